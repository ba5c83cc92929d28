"""Writing files so that a reader never sees half of one. Imports only the error tree.

Every floor that saves something (models, checkpoints, reports, pictures) turns it into bytes first and hands
them to :func:`atomic_write`: a temporary name in the same folder, flushed to the disk, then renamed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from gnnkit.errors import FileMissingError, SaveError


def atomic_write(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> Path:
    """Write ``data`` to ``path`` completely or not at all.

    Parameters
    ----------
    path
        The file to create or replace. Its folder must exist. A symbolic link is followed.
    data
        The whole content.

    Returns
    -------
    pathlib.Path
        ``path`` as given.

    Raises
    ------
    SaveError
        If the folder is missing or not writable, the disk is full, or any other operating system error
        occurs. The temporary file is removed, and a file that was at ``path`` before is still there, whole.

    Notes
    -----
    An existing pipe or device (``/dev/stdout``) is written straight, as it cannot be replaced by renaming.
    The permissions are those of a newly created file, or those of the file that is replaced.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> atomic_write(folder / "note.txt", b"whole or not at all").name
    'note.txt'
    >>> [entry.name for entry in folder.iterdir()]
    ['note.txt']
    """
    path = Path(path)
    try:
        mode = _existing_mode(path)
        if mode is not None and not stat.S_ISREG(mode):
            path.write_bytes(data)  # a directory raises IsADirectoryError here
        else:
            _write_and_rename(Path(os.path.realpath(path)), data, mode)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SaveError(
            f"A file is written whole or not at all. Writing {len(data)} bytes to '{path}' failed ({reason}) and "
            f"nothing was left behind. {_advice(path, error)}"
        ) from error
    return path


def read_bytes(path: str | os.PathLike[str], *, purpose: str = "file") -> bytes:
    """Return the whole content of the file at ``path``.

    Parameters
    ----------
    path
        The file to read.
    purpose
        What the file is, for the error text: ``"model file"``.

    Raises
    ------
    FileMissingError
        If there is no such file, it is a folder, or it may not be read.
    """
    path = Path(path)
    if not path.is_file():
        came = "is a folder" if path.is_dir() else "does not exist"
        raise FileMissingError(
            f"A {purpose} must exist before it can be read. '{path}' {came}. "
            f"Check the name, and that the path is relative to the folder you work in ('{Path.cwd()}')."
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileMissingError(
            f"A {purpose} must be readable. '{path}' could not be read ({error.strerror or error}). "
            "Check its permissions, or copy it again."
        ) from error


def _existing_mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None


def _write_and_rename(target: Path, data: bytes | bytearray | memoryview, mode: int | None) -> None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # without it a power cut after the rename can leave an empty file
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:  # Ctrl-C must not leave the temporary file either
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder. Not every system can open or sync one, and the data are safe by now.
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _advice(path: Path, error: OSError) -> str:
    if not path.parent.is_dir():
        return f"Create the folder '{path.parent}' first."
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return "Give the name of a file, not of a folder."
    if isinstance(error, PermissionError):
        return "Choose a folder you may write to."
    return "Free some space, or choose another folder, and save again."
