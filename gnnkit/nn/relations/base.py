"""The base of the layers of one relation: features of senders and receivers in, new ones of the receivers out.

Senders and receivers may be nodes of different types, with different widths. Imports graph and the module base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnnkit.autodiff import Tensor
from gnnkit.errors import InvalidArgumentError, InvalidFeatureError, ShapeError
from gnnkit.graph import Relation
from gnnkit.nn.declared import MESSAGE_PASSING
from gnnkit.nn.inputs import input_features, layer_name
from gnnkit.nn.linear import check_count
from gnnkit.nn.module import Module


class RelationLayer(Module):
    """Base of the layers of one relation.

    A subclass defines ``messages(relation, sender_x, receiver_x)``, which returns the new features [num_receivers,
    channels]; ``relation`` is a :class:`gnnkit.graph.Relation`, ``receiver_x`` None for a type without ``x``. It names
    the state that it reads in ``state``: a relation with edge state ``e`` is refused unless that holds "e".

    Examples
    --------
    >>> import gnnkit as gk, numpy as np
    >>> class Total(gk.nn.RelationLayer):
    ...     def messages(self, relation, sender_x, receiver_x):
    ...         return gk.message.neighbour_sum(relation.topology, sender_x)
    >>> writes = ("author", "writes", "paper")
    >>> x = {"author": {"x": [[1.0], [2.0]]}, "paper": {"x": [[0.0]]}}
    >>> g = gk.typed_graph(nodes=x, edges={writes: ([0, 1], [0, 0])})
    >>> gk.nn.TypedConv({writes: Total()})(g)["paper"].x.numpy()
    array([[3.]])
    """

    symmetry = MESSAGE_PASSING
    hops = 1
    state: tuple[str, ...] = ("x",)

    def messages(self, relation: Relation, sender_x: Any, receiver_x: Any) -> Tensor:
        """Return the new features of the receivers."""
        raise NotImplementedError(
            f"A layer of a relation must define messages. {type(self).__name__} does not. "
            "Add 'def messages(self, relation, sender_x, receiver_x): ...' to it."
        )

    def forward(self, relation: Relation, sender_x: Any, receiver_x: Any = None) -> Tensor:
        if not isinstance(relation, Relation):
            raise InvalidArgumentError(
                f"{layer_name(self)} works on a relation of a typed graph. Got {type(relation).__name__}. "
                "Pass g[sender type, name, receiver type], or put the layer into gk.nn.TypedConv({relation: layer})."
            )
        if "e" in relation.edges and "e" not in self.state:
            raise InvalidFeatureError(
                f"A layer must use the whole state it is given, and {layer_name(self)} reads only "
                f"{', '.join(self.state)}. Got edge state e on {relation!r}. "
                f"Use a layer that reads e, or drop it with g.without('e', at={relation.key!r})."
            )
        return self.messages(relation, sender_x, receiver_x)


def widths(in_channels: int | Sequence[int]) -> tuple[int, int]:
    """Channels of the senders and of the receivers, from one number or two."""
    pair = (in_channels, in_channels) if isinstance(in_channels, int | np.integer) else tuple(in_channels)
    if len(pair) != 2:
        raise InvalidArgumentError(
            "in_channels must be one number, or two: of the senders and of the receivers. "
            f"Got {in_channels!r}. Write in_channels=(16, 8)."
        )
    return check_count("in_channels", pair[0]), check_count("in_channels", pair[1])


def rows(x: Any, channels: int, layer: RelationLayer, whose: str, dtype: Any) -> Any:
    """Features of one end as the layer computes with them: floating, in its dtype, of the right width."""
    if x is None:
        raise InvalidFeatureError(
            f"{layer_name(layer)} reads the features x of the {whose}. Their node type has none. "
            "Add them with g.replace(x={type: values}), or, for receivers, use a layer that needs none, such as "
            "RelationSAGE(own=False)."
        )
    x = input_features(x, channels, dtype, layer, field=f"x of the {whose}")
    if x.ndim != 2:
        raise ShapeError(
            f"{layer_name(layer)} needs features of shape [num_nodes, {channels}]. Got {list(x.shape)} for the "
            f"{whose}. Flatten the trailing axes with x.reshape(num_nodes, -1)."
        )
    return x
