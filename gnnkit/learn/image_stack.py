"""What the estimators of images take as X: a stack of images in one of several forms, checked once, cut into batches.

Batches are slices of arrays on grids that are known to be right: no edge is listed, and plans of convolutions are
shared by all batches of one shape. May import graph and the error tree.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnkit.autodiff import as_array
from gnnkit.errors import DTypeError, InvalidFeatureError, ShapeError
from gnnkit.graph import Graph, Grid, Stencil, as_grid, from_image, grid_graph


class ImageStack:
    """Images as one table of pixels with the grid that they are on.

    Parameters
    ----------
    rows : array [num_nodes, channels]
        uint8 (0 to 255), boolean or floating; one image after another, the pixels that exist in C order.
    grid : Grid
    stencil : Stencil
        The graph's own edges.
    form : "array", "list" or "graph"
        What the images came as, and so what answers about their pixels go back as.
    """

    def __init__(self, rows: NDArray[Any], grid: Grid, stencil: Stencil, form: str) -> None:
        self.rows, self.grid, self.stencil, self.form = rows, grid, stencil, form
        self._whole = grid.is_uniform and grid.mask is None  # then images are a reshape
        if self._whole:
            self._images = rows.reshape(grid.num_graphs, math.prod(grid.size), self.channels)
        else:
            self._sizes = grid.sizes

    @classmethod
    def read(cls, X: Any, *, border: str = "zero", owner: str = "An image estimator") -> ImageStack:
        """Check images and stack them.

        Parameters
        ----------
        X : array [N, H, W] or [N, H, W, C], list of images [H, W] or [H, W, C] of any sizes, or Graph on a grid
        border : str
            Of the edges of arrays and lists; a graph has its own.
        owner : str
            Who asks, for errors.

        Raises
        ------
        ShapeError, DTypeError
            If it is none of these.
        InvalidFeatureError
            If a pixel is not finite, or an image has no pixels.
        """
        if isinstance(X, Graph):
            stack = cls._from_graph(X, owner)
        elif isinstance(X, list | tuple):
            stack = cls._from_list(X, border, owner)
        else:
            stack = cls._from_array(np.asarray(as_array(X)), border, owner)
        stack._check_pixels()
        return stack

    @classmethod
    def _from_graph(cls, graph: Graph, owner: str) -> ImageStack:
        grid = as_grid(graph)
        if "x" not in graph.nodes or hasattr(graph.x, "indptr"):
            raise InvalidFeatureError(
                f"{owner} learns from pixels x. The graph has {', '.join(graph.nodes) or 'no fields'}"
                f"{', x being sparse' if 'x' in graph.nodes else ''}. Make it with gk.from_image(images)."
            )
        rows = np.asarray(as_array(graph.x))
        rows = _numbers(rows, owner).reshape(len(rows), math.prod(rows.shape[1:]))
        return cls(rows, grid, graph.topology.stencil, "graph")  # type: ignore[attr-defined]

    @classmethod
    def _from_list(cls, images: list[Any] | tuple[Any, ...], border: str, owner: str) -> ImageStack:
        if not len(images):
            return cls(np.zeros((0, 1), np.float32), Grid((1, 1), num_graphs=0), Stencil(3, ndim=2), "list")
        graph = from_image(list(images), border=border, allow_nan=True)  # refused below, with the image named
        stack = cls._from_graph(graph, owner)
        stack.form = "list"
        return stack

    @classmethod
    def _from_array(cls, images: NDArray[Any], border: str, owner: str) -> ImageStack:
        if images.ndim not in (3, 4):
            advice = "Add an axis for a single image, X[None]."
            if images.ndim == 2:
                advice += " Rows of flattened pixels need their shape back: X.reshape(-1, height, width)."
            raise ShapeError(
                f"{owner} takes images [N, height, width] or [N, height, width, channels], a list of images, or a "
                f"graph made with gk.from_image. Got an array of shape {images.shape}. {advice}"
            )
        count, height, width = images.shape[:3]
        channels = images.shape[3] if images.ndim == 4 else 1
        if height <= 4 < channels:  # what other libraries call [N, channels, height, width] would train, on nonsense
            raise ShapeError(
                f"Channels are the last axis, [N, height, width, channels]. Got shape {images.shape}, which looks like "
                "channels first. Use np.moveaxis(X, 1, -1); if the images really are that flat, gk.from_image(X)."
            )
        grid = Grid((height, width), num_graphs=count)
        rows = _numbers(images, owner).reshape(grid.num_nodes, channels)
        return cls(rows, grid, Stencil(3, ndim=2, border=border), "array")

    def _check_pixels(self) -> None:
        if (len(self) and (self.grid.is_uniform and not math.prod(self.grid.size))) or not self.channels:
            size = " x ".join(map(str, self.grid.size)) if self.grid.is_uniform else "mixed"
            raise InvalidFeatureError(
                f"Images have pixels, and pixels have channels. Got {len(self)} images of size {size} with "
                f"{self.channels} channels. Check how they were read."
            )
        if self.rows.dtype.kind == "f" and not np.isfinite(self.rows).all():
            node = int(np.argwhere(~np.isfinite(self.rows))[0, 0])
            image = int(np.searchsorted(self.grid.node_ptr, node, side="right")) - 1
            cell = int(self.grid.cell_of_node[node] - self.grid.cell_ptr[image])
            place = tuple(int(i) for i in np.unravel_index(cell, self.grid.sizes[image]))
            raise InvalidFeatureError(
                f"Every pixel must be finite. Image {image} has {self.rows[node].tolist()} at {place}. Fill it in, or "
                "leave the pixel out: gk.from_image(images, mask=...) makes graphs with holes."
            )

    # -- what is in it ----------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.grid.num_graphs

    @property
    def channels(self) -> int:
        """Numbers per pixel."""
        return int(self.rows.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of its pixels as floats: uint8 and booleans are float32."""
        return self.rows.dtype if self.rows.dtype.kind == "f" else np.dtype(np.float32)

    @property
    def size(self) -> tuple[int, ...] | None:
        """The size of all images, None where they differ."""
        return self.grid.size if self.grid.is_uniform else None

    def nodes(self, images: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of some images, one image after another."""
        if self._whole:
            pixels = self._images.shape[1]
            return (images[:, None] * pixels + np.arange(pixels)).reshape(-1)
        starts, stops = self.grid.node_ptr[images], self.grid.node_ptr[images + 1]
        if not len(images):
            return np.zeros(0, np.int64)
        return np.concatenate([np.arange(start, stop) for start, stop in zip(starts, stops)])

    def pixels(self, images: NDArray[np.int64]) -> NDArray[Any]:
        """A fresh array of the stored pixels of some images, [their nodes, channels]."""
        if self._whole:
            return self._images[images].reshape(-1, self.channels)
        return self.rows[self.nodes(images)]

    def graph(self, images: NDArray[np.int64], dtype: Any, *, labels: NDArray[Any] | None = None) -> Graph:
        """A batch of some images, its ``x`` a fresh floating array in the units of the images.

        ``labels`` [num_nodes] are those of all pixels; the batch then has theirs as node field "y".
        """
        if self._whole:
            grid = Grid.uniform(self.grid.size, len(images), lattice=self.grid.lattice)
        else:
            grid = self._subgrid(images)
        fields = {"x": as_floats(self.pixels(images), dtype)}
        if labels is not None:
            fields["y"] = labels[self.nodes(images)]
        return grid_graph(grid, stencil=self.stencil, nodes=fields)

    def _subgrid(self, images: NDArray[np.int64]) -> Grid:
        whole = self.grid
        if not len(images):
            return Grid.uniform((0,) * whole.ndim, 0, lattice=whole.lattice)
        mask = None
        if whole.mask is not None:
            ends = whole.cell_ptr
            mask = np.concatenate([whole.mask[ends[i] : ends[i + 1]] for i in images])
        return Grid.trusted(tuple(self._sizes[i] for i in images), mask=mask, lattice=whole.lattice)

    def like(self, values: NDArray[Any]) -> Any:
        """Values per pixel [num_nodes, ...] in the form in which the images came."""
        if self.form == "graph":
            return values
        if self.form == "array":
            return values.reshape(len(self), *self.grid.size, *values.shape[1:])
        ends = self.grid.node_ptr
        tail = values.shape[1:]
        return [values[ends[i] : ends[i + 1]].reshape(*size, *tail) for i, size in enumerate(self.grid.sizes)]


def as_floats(pixels: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """uint8 in [0, 1], booleans as 0 and 1, floats as they are; always a fresh array where ``pixels`` is one."""
    if pixels.dtype == np.uint8:
        values = pixels.astype(dtype)
        values /= np.dtype(dtype).type(255)
        return values
    return pixels.astype(dtype, copy=False)


def _numbers(pixels: NDArray[Any], owner: str) -> NDArray[Any]:
    if pixels.dtype == np.uint8 or pixels.dtype.kind in "bf":
        return pixels
    raise DTypeError(
        f"{owner} takes floats, uint8 (0 to 255) or booleans as pixels. Got dtype {pixels.dtype}, whose range is not "
        "known. Convert them, for instance with X.astype('float32') / largest_value."
    )
