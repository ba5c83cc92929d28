"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gnnkit.errors import FileMissingError, SaveError
from gnnkit.files import atomic_write, read_bytes


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_writes_and_replaces(tmp_path):
    target = tmp_path / "a.bin"
    assert atomic_write(str(target), b"one") == target
    atomic_write(target, memoryview(b"two"))
    assert target.read_bytes() == b"two"
    assert names(tmp_path) == ["a.bin"]


def test_keeps_permissions_and_follows_links(tmp_path):
    target = tmp_path / "a.bin"
    atomic_write(target, b"one")
    target.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(target)
    atomic_write(link, b"two")
    assert link.is_symlink()
    assert target.read_bytes() == b"two"
    assert target.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    target = tmp_path / "a.bin"
    atomic_write(target, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(SaveError, match=r"whole or not at all\. Writing 3 bytes .*No space left.* Free some space"):
        atomic_write(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_interrupt_removes_the_temporary_file(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a.bin", b"new")
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE, which Windows lacks")
def test_a_real_size_limit(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from gnnkit.errors import SaveError\n"
        "from gnnkit.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    atomic_write(sys.argv[1], b'x' * 5000)\n"
        "except SaveError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "a.bin")], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full, which only Linux has")
def test_a_device_is_written_straight():
    with pytest.raises(SaveError, match="No space left"):
        atomic_write("/dev/full", b"x" * 100_000)
    assert Path("/dev/full").is_char_device()


def test_folder_errors(tmp_path):
    with pytest.raises(SaveError, match="Create the folder"):
        atomic_write(tmp_path / "missing" / "a.bin", b"")
    with pytest.raises(SaveError, match="not of a folder"):
        atomic_write(tmp_path, b"")
    assert names(tmp_path) == []


def test_read_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_bytes(tmp_path / "a") == b"abc"
    with pytest.raises(FileMissingError, match=r"A model file must exist .*'none\.bin' does not exist"):
        read_bytes("none.bin", purpose="model file")
    with pytest.raises(FileMissingError, match="is a folder"):
        read_bytes(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"abc")

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)  # root, as in a container, may read everything
    with pytest.raises(FileMissingError, match=r"must be readable. .*could not be read \(Permission denied\)"):
        read_bytes(tmp_path / "a")
