"""The downloader against a real server on this machine: whatever goes wrong, the error says so and nothing is left."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import gnnkit as gk
from gnnkit.datasets import cards, fetch
from gnnkit.datasets.cards import Card, DataFile
from gnnkit.datasets.layouts import content_sha256, decode
from gnnkit.errors import ChecksumError, DownloadError, FileFormatError, FileMissingError, SaveError

EDGES = np.array([[0, 0, 2], [1, 2, 3]])
FEATURES = np.array([[1, 0, 0], [0, 2, 0], [0, 0, 0], [3, 0, 4]], np.float32)
LABELS = np.array([0, 1, 1, 0])


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def upstream() -> bytes:
    """A file as Shchur et al. publish theirs: directed adjacency with a loop and a two-way edge, features unsorted."""
    return npz(
        adj_data=np.ones(6, np.float32),
        adj_indices=np.array([2, 1, 0, 3, 3, 2], np.int32),
        adj_indptr=np.array([0, 2, 3, 4, 6], np.int32),
        adj_shape=np.array([4, 4]),
        attr_data=np.array([1, 2, 4, 3, 0], np.float32),
        attr_indices=np.array([0, 1, 2, 0, 1], np.int32),
        attr_indptr=np.array([0, 1, 2, 2, 5], np.int32),
        attr_shape=np.array([4, 3]),
        labels=LABELS,
        node_names=np.array(["a", "b", "c", "d"]),
    )


def ours() -> bytes:
    return npz(
        edge_index=EDGES[:, ::-1].astype(np.int32),
        x_indptr=np.array([0, 1, 2, 2, 4], np.int32),
        x_indices=np.array([0, 1, 0, 2], np.uint16),
        x_data=np.array([1, 2, 3, 4], np.uint8),
        x_shape=np.array([4, 3]),
        y=LABELS.astype(np.int8),
    )


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        server.asked += 1  # type: ignore[attr-defined]
        status, promised, body = server.answers[min(server.asked, len(server.answers)) - 1]  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Gives one answer (status, promised length, body) per request, the last one for ever."""

    daemon_threads = True

    def answer(self, *answers: tuple[int, bytes] | tuple[int, int, bytes]) -> None:
        self.asked = 0
        self.answers = [(a[0], len(a[1]), a[1]) if len(a) == 2 else a for a in answers]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def card(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A data set 'toy' in the registry, whose publisher is the server; the cache is an empty folder."""
    data = upstream()
    url = f"http://127.0.0.1:{server.server_address[1]}/toy_upstream.npz"
    toy = dataclasses.replace(
        gk.datasets.card("amazon_photo"),
        name="toy",
        num_nodes=4,
        num_edges=6,
        num_features=3,
        num_classes=2,
        content_sha256=None,
        files=(DataFile("toy_upstream.npz", len(data), hashlib.sha256(data).hexdigest(), "gnn-benchmark", url),),
    )
    monkeypatch.setattr(cards, "all_cards", lambda: {"toy": toy})
    monkeypatch.setenv("GNNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GNNKIT_DATA", raising=False)
    return toy


def change(monkeypatch: pytest.MonkeyPatch, toy: Card, **facts: object) -> Card:
    changed = dataclasses.replace(toy, **facts)  # type: ignore[arg-type]
    monkeypatch.setattr(cards, "all_cards", lambda: {"toy": changed})
    return changed


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def check_graph(g: gk.Graph) -> None:
    pairs = {(int(s), int(r)) for s, r in zip(g.senders, g.receivers)}
    assert pairs == {(0, 1), (1, 0), (0, 2), (2, 0), (2, 3), (3, 2)}
    np.testing.assert_array_equal(g.x.toarray(), FEATURES)
    np.testing.assert_array_equal(g.nodes["y"], LABELS)


def test_a_good_file_is_downloaded_once_and_kept(server: Server, card: Card, tmp_path: Path) -> None:
    server.answer((200, upstream()))
    check_graph(gk.datasets.load("toy"))
    check_graph(gk.datasets.load("toy"))
    assert server.asked == 1
    assert (tmp_path / "cache" / "toy" / "toy_upstream.npz").read_bytes() == upstream()
    assert kept(tmp_path) == ["toy_upstream.npz"]


def test_root_is_where_it_is_kept_instead(server: Server, card: Card, tmp_path: Path) -> None:
    server.answer((200, upstream()))
    check_graph(gk.datasets.load("toy", root=tmp_path / "mine"))
    assert kept(tmp_path / "mine") == ["toy_upstream.npz"] and kept(tmp_path / "cache") == []
    check_graph(gk.datasets.load("toy", root=str(tmp_path / "mine"), download=False))


def test_a_wrong_checksum_is_refused_and_nothing_kept(server: Server, card: Card, tmp_path: Path) -> None:
    server.answer((200, upstream() + b"!"))
    with pytest.raises(ChecksumError, match=r"'toy' must have sha256 .* has sha256 .* Nothing was kept"):
        gk.datasets.load("toy")
    assert server.asked == 1 and kept(tmp_path) == []


def test_another_encoding_of_the_same_content_is_accepted(
    server: Server, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = content_sha256(decode(ours(), layout="gnnkit", num_nodes=4, name="ours"))
    assert digest == content_sha256(decode(upstream(), layout="gnn-benchmark", num_nodes=4, name="upstream"))
    (file,) = card.files
    change(monkeypatch, card, content_sha256=digest, files=(dataclasses.replace(file, sha256="0" * 64),))
    server.answer((200, upstream()))
    check_graph(gk.datasets.load("toy"))


def test_other_content_is_refused_in_any_encoding(
    server: Server, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, card, content_sha256="1" * 64, files=(dataclasses.replace(card.files[0], sha256="0" * 64),))
    for body in (upstream(), b"<html>moved</html>", b"", upstream()[:200]):
        server.answer((200, body))
        with pytest.raises(ChecksumError, match="or the same content"):
            gk.datasets.load("toy")
    assert kept(tmp_path) == []


def test_a_transfer_that_breaks_off_is_tried_again(server: Server, card: Card, tmp_path: Path) -> None:
    whole = upstream()
    server.answer((200, len(whole), whole[:100]), (503, b"busy"), (200, whole))
    check_graph(gk.datasets.load("toy"))
    assert server.asked == 3


def test_a_truncated_file_is_never_kept(server: Server, card: Card, tmp_path: Path) -> None:
    whole = upstream()
    server.answer((200, len(whole), whole[:100]))
    with pytest.raises(DownloadError, match=r"tried 3 times and failed \(.*(IncompleteRead|Connection broken)"):
        gk.datasets.load("toy")
    assert server.asked == 3 and kept(tmp_path) == []
    server.answer((200, whole[:100]))  # a server that is content with its short file
    with pytest.raises(ChecksumError, match=r"has sha256 .*\(100 bytes\)"):
        gk.datasets.load("toy")
    assert kept(tmp_path) == []


def test_a_missing_page_is_not_asked_for_again(server: Server, card: Card, tmp_path: Path) -> None:
    server.answer((404, b"gone"))
    with pytest.raises(DownloadError, match=r"tried once and failed \(the server answered 404\)"):
        gk.datasets.load("toy")
    assert server.asked == 1 and kept(tmp_path) == []


def test_offline_the_error_names_the_set_the_address_and_the_way_out(
    server: Server, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer((200, b""))
    file = dataclasses.replace(card.files[0], url="http://127.0.0.1:9/toy_upstream.npz")  # nobody listens there
    change(monkeypatch, card, files=(file,))
    with pytest.raises(DownloadError) as caught:
        gk.datasets.load("toy")
    text = str(caught.value)
    for part in ("'toy'", "127.0.0.1:9", "tried 3 times", "ConnectionError", str(tmp_path / "cache"),
                 "GNNKIT_DATA is not set", "bring 'toy_upstream.npz'"):  # fmt: skip
        assert part in text
    assert server.asked == 0 and kept(tmp_path) == []


def test_download_false_asks_nobody(server: Server, card: Card, tmp_path: Path) -> None:
    server.answer((200, upstream()))
    with pytest.raises(DownloadError, match=r"'toy' is not bundled.*switched off \(download=False\)"):
        gk.datasets.load("toy", download=False)
    assert server.asked == 0


def test_a_cache_that_cannot_be_written_is_a_save_error(
    server: Server, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer((200, upstream()))
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(SaveError, match=r"could not be made .* Set GNNKIT_CACHE"):
        gk.datasets.load("toy")
    assert kept(tmp_path) == ["cache"]


def test_gnnkit_data_comes_before_the_network(
    server: Server, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer((200, b""))
    monkeypatch.setenv("GNNKIT_DATA", str(tmp_path / "local"))
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "toy_upstream.npz").write_bytes(upstream())
    check_graph(gk.datasets.load("toy"))
    (tmp_path / "local" / "toy_upstream.npz").write_bytes(upstream()[:-1])
    with pytest.raises(ChecksumError, match=r"local/toy_upstream\.npz' has sha256 .* Delete that file"):
        gk.datasets.load("toy")
    assert server.asked == 0


def test_gnnkit_data_must_name_a_folder(card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileMissingError, match=r"GNNKIT_DATA must name a folder .*nowhere' is no folder"):
        gk.datasets.load("toy")


def test_a_file_whose_counts_are_not_those_of_the_card_is_refused(
    server: Server, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, card, num_edges=8)
    server.answer((200, upstream()))
    with pytest.raises(ChecksumError, match=r"must have \(nodes, edges, features\) = \(4, 8, 3\).*\(4, 6, 3\)"):
        gk.datasets.load("toy")


def npy() -> bytes:
    """One bare array, as numpy.save writes it."""
    buffer = io.BytesIO()
    np.save(buffer, LABELS)
    return buffer.getvalue()


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"text", npz(y=LABELS), upstream()[:300], npy()])
def test_a_file_that_is_no_such_npz_is_named(data: bytes) -> None:
    for layout in ("gnnkit", "gnn-benchmark"):
        with pytest.raises(FileFormatError, match=r"'it\.npz' must be an npz file in the layout"):
            decode(data, layout=layout, num_nodes=4, name="it.npz")


def test_pickled_objects_in_a_file_are_never_opened() -> None:
    harmless = dict(np.load(io.BytesIO(upstream())))
    with_names = npz(**{**harmless, "node_names": np.array([{"a": 1}], dtype=object)})
    assert decode(with_names, layout="gnn-benchmark", num_nodes=4, name="it.npz").num_nodes == 4
    poisoned = npz(**{**harmless, "labels": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(FileFormatError, match="allow_pickle=False"):
        decode(poisoned, layout="gnn-benchmark", num_nodes=4, name="it.npz")


def test_the_progress_bar_shows_bytes(monkeypatch: pytest.MonkeyPatch, server: Server, card: Card) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    server.answer((200, upstream()))
    gk.datasets.load("toy")
    assert "downloading toy_upstream.npz" in screen.getvalue()


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GNNKIT_CACHE", raising=False)
    assert gk.datasets.cache_folder().name in ("gnnkit", "Cache")
    monkeypatch.setenv("GNNKIT_CACHE", str(tmp_path))
    assert gk.datasets.cache_folder() == tmp_path


@pytest.mark.parametrize("name", ["amazon_photo", "coauthor_cs"])
def test_the_development_copies_load_through_gnnkit_data(
    name: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNNKIT_DATA", str(shared_data))
    known = gk.datasets.card(name)
    g = gk.datasets.load(name, download=False)
    assert (g.num_nodes, g.num_edges, g.x.shape[1]) == (known.num_nodes, known.num_edges, known.num_features)
    assert np.unique(g.nodes["y"]).tolist() == list(range(known.num_classes))
    file = next(file for file in known.files if file.layout == "gnnkit")
    content = decode((shared_data / file.name).read_bytes(), layout="gnnkit", num_nodes=known.num_nodes, name=name)
    assert content_sha256(content) == known.content_sha256


def test_a_damaged_bundled_file_is_refused(tmp_path: Path) -> None:
    known = gk.datasets.card("karate")
    data = bytearray((known.folder / "karate.npz").read_bytes())
    data[200] ^= 1
    (tmp_path / "karate.npz").write_bytes(data)
    with pytest.raises(ChecksumError, match=f"{known.files[0].sha256}.*Delete that file"):
        gk.datasets.load("karate", root=tmp_path)
    with pytest.raises(FileMissingError, match=r"There is no 'cora\.npz' in it\. Leave root away"):
        gk.datasets.load("cora", root=tmp_path)
