"""Graph convolutions: Graph -> Graph, each a few lines of mathematics on the operations of gnnkit.message."""

from gnnkit.nn.conv.arma import ARMAConv as ARMAConv
from gnnkit.nn.conv.base import Convolution as Convolution
from gnnkit.nn.conv.crystal import CGConv as CGConv
from gnnkit.nn.conv.edge_conditioned import NNConv as NNConv
from gnnkit.nn.conv.edge_conv import EdgeConv as EdgeConv
from gnnkit.nn.conv.egnn import EGNNConv as EGNNConv
from gnnkit.nn.conv.gat import GATConv as GATConv
from gnnkit.nn.conv.gat import GATv2Conv as GATv2Conv
from gnnkit.nn.conv.gated import GatedGraphConv as GatedGraphConv
from gnnkit.nn.conv.gated import ResGatedGraphConv as ResGatedGraphConv
from gnnkit.nn.conv.gaussian import GMMConv as GMMConv
from gnnkit.nn.conv.gcn import GCNConv as GCNConv
from gnnkit.nn.conv.gcn2 import GCN2Conv as GCN2Conv
from gnnkit.nn.conv.gcn2 import KeepFeatures as KeepFeatures
from gnnkit.nn.conv.gin import GINConv as GINConv
from gnnkit.nn.conv.gin import GINEConv as GINEConv
from gnnkit.nn.conv.pna import PNAConv as PNAConv
from gnnkit.nn.conv.rgcn import RGCNConv as RGCNConv
from gnnkit.nn.conv.sage import GraphConv as GraphConv
from gnnkit.nn.conv.sage import SAGEConv as SAGEConv
from gnnkit.nn.conv.schnet import SchNetConv as SchNetConv
from gnnkit.nn.conv.spectral import APPNP as APPNP
from gnnkit.nn.conv.spectral import ChebConv as ChebConv
from gnnkit.nn.conv.spectral import SGConv as SGConv
from gnnkit.nn.conv.tag import TAGConv as TAGConv
from gnnkit.nn.conv.transformer import TransformerConv as TransformerConv
