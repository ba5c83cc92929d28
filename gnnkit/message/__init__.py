"""Floor 3: differentiable message passing on a Topology, and the GraphNetwork block. Imports floors 0 to 2.

Arrays or Tensors in, Tensors out. Every derivative is written with operations of this floor, so that second
derivatives work.
"""

from gnnkit.message.blocks import broadcast_to_edges as broadcast_to_edges
from gnnkit.message.blocks import broadcast_to_nodes as broadcast_to_nodes
from gnnkit.message.blocks import graph_network as graph_network
from gnnkit.message.blocks import pool_edges as pool_edges
from gnnkit.message.blocks import pool_nodes as pool_nodes
from gnnkit.message.extremes import neighbour_max as neighbour_max
from gnnkit.message.memory import remember as remember
from gnnkit.message.memory import remember_constant as remember_constant
from gnnkit.message.ops import aggregate as aggregate
from gnnkit.message.ops import edge_dot as edge_dot
from gnnkit.message.ops import edge_softmax as edge_softmax
from gnnkit.message.ops import gather_receivers as gather_receivers
from gnnkit.message.ops import gather_senders as gather_senders
from gnnkit.message.ops import neighbour_sum as neighbour_sum
from gnnkit.message.ops import neighbour_sum_adjoint as neighbour_sum_adjoint
from gnnkit.message.program import MessageProgram as MessageProgram
from gnnkit.message.program import agg as agg
from gnnkit.message.program import message_passing as message_passing
from gnnkit.message.program import message_program as message_program
from gnnkit.message.segments import REDUCERS as REDUCERS
from gnnkit.message.segments import segment_reduce as segment_reduce
from gnnkit.message.stencil_pool import stencil_argmax as stencil_argmax
from gnnkit.message.stencil_pool import stencil_max as stencil_max
from gnnkit.message.stencil_pool import stencil_mean as stencil_mean
from gnnkit.message.stencil_pool import stencil_unpool as stencil_unpool
from gnnkit.message.stencils import reversed_weight as reversed_weight
from gnnkit.message.stencils import stencil_outer as stencil_outer
from gnnkit.message.stencils import stencil_sum as stencil_sum
