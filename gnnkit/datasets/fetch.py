"""Where the file of a data set is, whether it is the right one, and how it gets there. Returns arrays, not graphs.

A file counts as the right one by its sha256, or by the digest of its decoded content where the card has one: so any
faithful re-encoding serves. Downloads are checked in memory and written whole. Imports errors, files, cards, layouts;
pooch and rich only inside the functions that need them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gnnkit.datasets.cards import Card, DataFile
from gnnkit.datasets.layouts import Content, content_sha256, decode
from gnnkit.errors import ChecksumError, DownloadError, FileFormatError, FileMissingError, SaveError
from gnnkit.files import atomic_write, read_bytes

ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
TIMEOUT = 30.0  # seconds without a byte


def obtain(card: Card, *, root: str | os.PathLike[str] | None = None, download: bool = True) -> Content:
    """Return the arrays of a data set from the first place that has its file, downloading it if there is none.

    Parameters
    ----------
    card
        Which data set.
    root
        The only folder to look in, and to download into. Default: the bundled folder for a bundled set, else the
        folder in the environment variable ``GNNKIT_DATA`` and then :func:`cache_folder`.
    download
        Whether the network may be used.

    Raises
    ------
    ChecksumError
        If the file that was found, or that arrived, is not the published one.
    DownloadError
        If there is no file and none could be downloaded.
    FileMissingError
        If a bundled file is missing, or ``GNNKIT_DATA`` names no folder.
    """
    folders = _folders(card, root)
    path = find(card, folders)
    if path is not None:
        return verified(card, read_bytes(path, purpose="data file"), where=str(path))
    if card.is_bundled:
        raise FileMissingError(
            f"The file of data set {card.name!r} must be in '{folders[0]}'. There is no '{card.files[0].name}' in it. "
            + ("Leave root away to use the bundled copy." if root is not None else "Install gnnkit again.")
        )
    if not download:
        raise DownloadError(_absent(card, folders, "Downloading was switched off (download=False)."))
    return fetch(card, folders)


def cache_folder() -> Path:
    """Return the folder that keeps downloaded data sets: ``GNNKIT_CACHE`` if set, else what the platform provides.

    Notes
    -----
    By default ``~/.cache/gnnkit`` on Linux, ``~/Library/Caches/gnnkit`` on macOS,
    ``%LOCALAPPDATA%\\gnnkit\\gnnkit\\Cache`` on Windows. It may be deleted at any time.
    """
    chosen = os.environ.get("GNNKIT_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("gnnkit")).expanduser()


def find(card: Card, folders: list[Path]) -> Path | None:
    """Return the first file of the data set in ``folders``: directly inside, or in a sub-folder of its name."""
    places = (folder / sub / file.name for folder in folders for sub in ("", card.name) for file in card.files)
    return next((place for place in places if place.is_file()), None)


def verified(card: Card, data: bytes, *, where: str) -> Content:
    """Return the arrays in ``data`` once they are known to be those of the data set.

    Raises
    ------
    ChecksumError
        If neither the sha256 nor the content is the published one, or the counts differ from the card's.
    """
    content = _known(card, data, where)
    came = content.counts()
    promised = (card.num_nodes, card.num_edges, card.num_features if came[2] else 0)
    if came != promised:
        raise ChecksumError(
            f"Data set {card.name!r} must have (nodes, edges, features) = {promised}. '{where}' has {came}. "
            "Replace that file by the published one."
        )
    return content


def fetch(card: Card, folders: list[Path]) -> Content:
    """Download the file of a data set into the last of ``folders`` and return its arrays.

    Raises
    ------
    DownloadError
        If no attempt succeeded; the text names the data set, the address and where a copy was looked for.
    ChecksumError
        If what arrived is not the published file; it is not kept.
    SaveError
        If it could not be written; nothing partial is left behind.
    """
    file = next(file for file in card.files if file.url)
    data = _download(card, file, folders)
    content = verified(card, data, where=str(file.url))
    folder = folders[-1] / card.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(
            f"A downloaded data set is kept in a folder of its own. '{folder}' could not be made ({error}). "
            "Set GNNKIT_CACHE to a folder you may write to."
        ) from error
    atomic_write(folder / file.name, data)
    return content


def _folders(card: Card, root: str | os.PathLike[str] | None) -> list[Path]:
    if root is not None:
        return [Path(root).expanduser()]
    if card.is_bundled:
        return [card.folder]
    local = os.environ.get("GNNKIT_DATA")
    if not local:
        return [cache_folder()]
    if not Path(local).expanduser().is_dir():
        raise FileMissingError(
            f"GNNKIT_DATA must name a folder with data files. '{local}' is no folder. Correct or unset the variable."
        )
    return [Path(local).expanduser(), cache_folder()]


def _known(card: Card, data: bytes, where: str) -> Content:
    sha256 = hashlib.sha256(data).hexdigest()
    for file in card.files:
        if sha256 == file.sha256:
            return decode(data, layout=file.layout, num_nodes=card.num_nodes, name=where)
    if card.content_sha256 is not None:
        for layout in dict.fromkeys(file.layout for file in card.files):
            with contextlib.suppress(FileFormatError):
                content = decode(data, layout=layout, num_nodes=card.num_nodes, name=where)
                if content_sha256(content) == card.content_sha256:
                    return content
    sizes = " or ".join(f"{file.bytes:,}" for file in card.files)
    raise ChecksumError(
        f"The file of data set {card.name!r} must have sha256 {' or '.join(file.sha256 for file in card.files)} "
        f"({sizes} bytes){' or the same content' if card.content_sha256 else ''}. '{where}' has sha256 {sha256} "
        f"({len(data):,} bytes). "
        + ("Nothing was kept; try again later." if "://" in where else "Delete that file and fetch it again.")
    )


def _download(card: Card, file: DataFile, folders: list[Path]) -> bytes:
    import pooch
    import requests

    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE * 2 ** (attempt - 1))
        buffer = io.BytesIO()
        try:
            with _progress(file) as bar:
                pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)(file.url, buffer, None)
            return buffer.getvalue()
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            reason = f"the server answered {status}" if status else f"{type(error).__name__}: {error}"
            if status is not None and status < 500 and status != 429:
                break  # such an answer will not change by asking again
    tries = "once" if attempt == 0 else f"{attempt + 1} times"
    raise DownloadError(_absent(card, folders, f"Downloading was tried {tries} and failed ({reason})."))


def _absent(card: Card, folders: list[Path], what_happened: str) -> str:
    file = next(file for file in card.files if file.url)
    size = file.bytes / 1e6
    looked = "', '".join(str(folder) for folder in folders)
    return (
        f"Data set {card.name!r} is not bundled and must be downloaded once ({size:.0f} MB from {file.url}). "
        f"{what_happened} No copy was found in '{looked}'"
        f"{'' if 'GNNKIT_DATA' in os.environ else ' (GNNKIT_DATA is not set)'}. Connect to the network and try again, "
        f"or bring '{file.name}' from elsewhere and set GNNKIT_DATA to its folder."
    )


@contextlib.contextmanager
def _progress(file: DataFile) -> Iterator[Any]:
    """Yield what pooch takes as progress bar: one drawn by rich on a terminal, else False."""
    if not sys.stderr.isatty():
        yield False
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(progress, file)


class _Bar:
    """The four things that pooch asks of a progress bar."""

    def __init__(self, progress: Any, file: DataFile) -> None:
        self._progress = progress
        self._task = progress.add_task(f"downloading {file.name}", total=file.bytes)

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, value: int) -> None:
        if value:  # 0 where the server does not say
            self._progress.update(self._task, total=value)

    def update(self, count: int) -> None:
        self._progress.update(self._task, advance=count)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        self._progress.stop()
