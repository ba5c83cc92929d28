"""Layers on grids: convolutions of sequences, images and volumes as message passing. Part of floor 4."""

from gnnkit.nn.grid.base import GridLayer as GridLayer
from gnnkit.nn.grid.conv import Conv1d as Conv1d
from gnnkit.nn.grid.conv import Conv2d as Conv2d
from gnnkit.nn.grid.conv import Conv3d as Conv3d
from gnnkit.nn.grid.conv import DepthwiseConv1d as DepthwiseConv1d
from gnnkit.nn.grid.conv import DepthwiseConv2d as DepthwiseConv2d
from gnnkit.nn.grid.conv import DepthwiseConv3d as DepthwiseConv3d
from gnnkit.nn.grid.conv import HexConv as HexConv
from gnnkit.nn.grid.isotropic import IsotropicConv as IsotropicConv
from gnnkit.nn.grid.local import LocallyConnected1d as LocallyConnected1d
from gnnkit.nn.grid.local import LocallyConnected2d as LocallyConnected2d
from gnnkit.nn.grid.local import LocallyConnected3d as LocallyConnected3d
from gnnkit.nn.grid.transposed import ConvTranspose1d as ConvTranspose1d
from gnnkit.nn.grid.transposed import ConvTranspose2d as ConvTranspose2d
from gnnkit.nn.grid.transposed import ConvTranspose3d as ConvTranspose3d
