"""Modules, layers, norms, losses, optimisers: floor 4. Imports kernels, autodiff, graph and message."""

from gnnkit.nn import init as init
from gnnkit.nn.activations import ELU as ELU
from gnnkit.nn.activations import GELU as GELU
from gnnkit.nn.activations import LeakyReLU as LeakyReLU
from gnnkit.nn.activations import LogSoftmax as LogSoftmax
from gnnkit.nn.activations import ReLU as ReLU
from gnnkit.nn.activations import Sigmoid as Sigmoid
from gnnkit.nn.activations import SiLU as SiLU
from gnnkit.nn.activations import Softmax as Softmax
from gnnkit.nn.activations import Softplus as Softplus
from gnnkit.nn.activations import Tanh as Tanh
from gnnkit.nn.containers import Identity as Identity
from gnnkit.nn.containers import Lambda as Lambda
from gnnkit.nn.containers import ModuleList as ModuleList
from gnnkit.nn.containers import Residual as Residual
from gnnkit.nn.containers import Sequential as Sequential
from gnnkit.nn.dropout import Dropout as Dropout
from gnnkit.nn.inputs import FeatureModule as FeatureModule
from gnnkit.nn.linear import MLP as MLP
from gnnkit.nn.linear import Embedding as Embedding
from gnnkit.nn.linear import Linear as Linear
from gnnkit.nn.module import Module as Module
from gnnkit.nn.parameter import Parameter as Parameter
from gnnkit.nn.spec import build as build
