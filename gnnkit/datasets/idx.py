"""The idx files of MNIST (LeCun et al. 1998) inside a compressed tar archive, as arrays. Imports nothing of gnnkit.

An idx file is a header of big-endian numbers (two zero bytes, the kind of number, the number of axes, the length of
each axis), then the values.
"""

from __future__ import annotations

import io
import tarfile

import numpy as np

_PARTS = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
_UNSIGNED_BYTE = 8  # the kind of number in all four files


def mnist_arrays(data: bytes) -> dict[str, np.ndarray]:
    """Return images and labels of both parts from an archive that holds the four files in any folder.

    Raises
    ------
    ValueError, KeyError, tarfile.TarError
        If the archive is damaged or a file is missing or malformed; the caller says what that means.
    """
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        members = {member.name.rsplit("/", 1)[-1]: member for member in archive.getmembers() if member.isfile()}
        arrays = {}
        for key, name in _PARTS.items():
            opened = archive.extractfile(members[name])
            assert opened is not None  # it is a file
            arrays[key] = idx_array(opened.read(), name)
    return arrays


def idx_array(data: bytes, name: str) -> np.ndarray:
    """Return the uint8 array in the bytes of one idx file."""
    if len(data) < 4 or data[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError(f"{name} is no idx file of bytes")
    axes = data[3]
    shape = tuple(int(length) for length in np.frombuffer(data, ">u4", axes, offset=4))
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
