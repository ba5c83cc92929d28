"""Floor 0: kernels over plain arrays, in adjoint pairs, each with a numpy twin. No Graph, no tape, no validation.

``from gnnkit import kernels as K``. May import numpy and gnnkit.errors; numba is imported at the first kernel call.
"""

from __future__ import annotations

from gnnkit.kernels.arrays import empty as empty
from gnnkit.kernels.backend import current_backend as current_backend
from gnnkit.kernels.backend import jit as jit
from gnnkit.kernels.backend import numba_is_usable as numba_is_usable
from gnnkit.kernels.backend import set_notice as set_notice
from gnnkit.kernels.backend import use_backend as use_backend
from gnnkit.kernels.blocks import add_in_place as add_in_place
from gnnkit.kernels.blocks import blockwise as blockwise
from gnnkit.kernels.blocks import column_sums as column_sums
from gnnkit.kernels.column_parts import add_columns as add_columns
from gnnkit.kernels.column_parts import contiguous as contiguous
from gnnkit.kernels.column_parts import copy_columns as copy_columns
from gnnkit.kernels.column_parts import join_columns as join_columns
from gnnkit.kernels.column_parts import pad_columns as pad_columns
from gnnkit.kernels.columns import column_moments as column_moments
from gnnkit.kernels.columns import column_products as column_products
from gnnkit.kernels.columns import column_scale as column_scale
from gnnkit.kernels.columns import column_scale_adjoint as column_scale_adjoint
from gnnkit.kernels.csr import build_csr as build_csr
from gnnkit.kernels.csr import expand_indptr as expand_indptr
from gnnkit.kernels.csr import stable_order as stable_order
from gnnkit.kernels.csr import transpose_csr as transpose_csr
from gnnkit.kernels.elementwise import adam_update as adam_update
from gnnkit.kernels.elementwise import cross_entropy_adjoint as cross_entropy_adjoint
from gnnkit.kernels.elementwise import dropout as dropout
from gnnkit.kernels.elementwise import elu as elu
from gnnkit.kernels.elementwise import elu_adjoint as elu_adjoint
from gnnkit.kernels.elementwise import elu_dropout as elu_dropout
from gnnkit.kernels.elementwise import elu_dropout_adjoint as elu_dropout_adjoint
from gnnkit.kernels.elementwise import relu_adjoint as relu_adjoint
from gnnkit.kernels.elementwise import softmax_cross_entropy as softmax_cross_entropy
from gnnkit.kernels.elementwise import tanh_adjoint as tanh_adjoint
from gnnkit.kernels.exactness import exact_sums as exact_sums
from gnnkit.kernels.exactness import sums_are_exact as sums_are_exact
from gnnkit.kernels.invariance import batch_invariant as batch_invariant
from gnnkit.kernels.invariance import is_batch_invariant as is_batch_invariant
from gnnkit.kernels.invariance import ways as ways
from gnnkit.kernels.memory import keep_freed_memory as keep_freed_memory
from gnnkit.kernels.neighbours import edge_dot as edge_dot
from gnnkit.kernels.neighbours import gather as gather
from gnnkit.kernels.neighbours import neighbour_sum as neighbour_sum
from gnnkit.kernels.neighbours import scatter_add as scatter_add
from gnnkit.kernels.parallel import get_num_threads as get_num_threads
from gnnkit.kernels.parallel import parallel_rows as parallel_rows
from gnnkit.kernels.parallel import run_chunks as run_chunks
from gnnkit.kernels.parallel import set_num_threads as set_num_threads
from gnnkit.kernels.prerounded import axis_sum as axis_sum
from gnnkit.kernels.products import contract_rows as contract_rows
from gnnkit.kernels.products import matmul as matmul
from gnnkit.kernels.products import rows_times as rows_times
from gnnkit.kernels.products import single_threaded_blas as single_threaded_blas
from gnnkit.kernels.segments import segment_logsumexp as segment_logsumexp
from gnnkit.kernels.segments import segment_max as segment_max
from gnnkit.kernels.segments import segment_mean as segment_mean
from gnnkit.kernels.segments import segment_min as segment_min
from gnnkit.kernels.segments import segment_prod as segment_prod
from gnnkit.kernels.segments import segment_repeat as segment_repeat
from gnnkit.kernels.segments import segment_softmax as segment_softmax
from gnnkit.kernels.segments import segment_std as segment_std
from gnnkit.kernels.segments import segment_sum as segment_sum
from gnnkit.kernels.stencil_outers import stencil_outer as stencil_outer
from gnnkit.kernels.stencil_pool import stencil_argmax as stencil_argmax
from gnnkit.kernels.stencil_pool import stencil_max as stencil_max
from gnnkit.kernels.stencil_pool import stencil_max_adjoint as stencil_max_adjoint
from gnnkit.kernels.stencil_pool import stencil_max_spread as stencil_max_spread
from gnnkit.kernels.stencil_pool import stencil_spread as stencil_spread
from gnnkit.kernels.stencil_sums import stencil_sum as stencil_sum
from gnnkit.kernels.stencils import StencilPart as StencilPart
from gnnkit.kernels.traversal import khop as khop
