"""Pictures: training curves, graphs, images, stencils, embeddings, tapes, counterexamples. Floor 6.

matplotlib is imported when drawing.

Every function returns a ``matplotlib.figure.Figure`` and saves it if ``path`` is given; none touches pyplot.
"""

from gnnkit.plot.curves import training_curve as training_curve
from gnnkit.plot.embeddings import embedding_map as embedding_map
from gnnkit.plot.fields import draw_computation as draw_computation
from gnnkit.plot.fields import draw_receptive_field as draw_receptive_field
from gnnkit.plot.graphs import draw_graph as draw_graph
from gnnkit.plot.images import feature_maps as feature_maps
from gnnkit.plot.images import image as image
from gnnkit.plot.segmentations import segmentation as segmentation
from gnnkit.plot.stencils import draw_stencil as draw_stencil
from gnnkit.plot.symmetry import counterexample as counterexample
from gnnkit.plot.tapes import draw_tape as draw_tape
