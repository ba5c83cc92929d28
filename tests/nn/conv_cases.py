"""What the tests of convolutions share."""

from __future__ import annotations


def randomised(layer, rng, scale=1.0):
    """The layer in float64 with all parameters drawn anew, biases and scores included."""
    layer.astype("float64")
    for parameter in layer.parameters():
        parameter.assign(rng.normal(scale=scale, size=parameter.shape))
    return layer
