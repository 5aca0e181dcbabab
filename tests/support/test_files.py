"""Files are there whole or not at all: no half of one, no link that is followed, no two writers in one file."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import threading

import numpy as np
import pytest
import torch
from frames import labelled

from piwsl_lab.data import DataError, read
from piwsl_lab.models import build
from piwsl_lab.support import files
from piwsl_lab.support.files import no_file, without_nan, write_json, write_whole
from piwsl_lab.training import checkpoint


def potential():
    torch.manual_seed(0)
    return build("painn", channels=8, layers=1, radial=6).calibrate(labelled("H2O", 4))


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01", "ä → €", b"x" * 3_000_000], ids=["none", "bytes", "words", "long"]
)
def test_a_file_holds_what_was_given_and_nothing_else_is_left(tmp_path, content):
    path = tmp_path / "result.bin"
    path.write_bytes(b"older and longer than what comes")
    assert write_whole(path, content) == path
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_says_who_may_read(tmp_path, umask):
    before = os.umask(umask)
    try:
        path = write_whole(tmp_path / "result", b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("failing", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_leaves_the_older_file(tmp_path, monkeypatch, failing, error):
    path = write_whole(tmp_path / "result", b"old")

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(type(error)):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_forced_to_the_disk(tmp_path, monkeypatch):
    forced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (forced.append(os.fstat(handle).st_mode), real(handle))[1])
    write_whole(tmp_path / "result", b"1")
    assert [stat.S_ISDIR(mode) for mode in forced] == [False, True]


def test_a_link_that_waits_for_the_writer_is_never_followed(tmp_path, monkeypatch):
    """Even one who knows the name of the temporary file cannot send the content elsewhere."""
    precious = tmp_path / "precious"
    precious.write_text("mine")
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in ("result.part", "result.tmp", "result.partial", ".result.part"):
        (folder / name).symlink_to(precious)
    write_whole(folder / "result", b"new")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 2 * n)
    (folder / f".result.{'0' * 16}.part").symlink_to(precious)
    with pytest.raises(FileExistsError):
        write_whole(folder / "result", b"newer")
    assert precious.read_text() == "mine"
    assert (folder / "result").read_bytes() == b"new"


def test_a_checkpoint_follows_no_link_and_two_writers_do_not_mix(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "p.safetensors.part").symlink_to(precious)
    one = potential()
    path = checkpoint.save(tmp_path / "p.safetensors", one)
    assert precious.read_text() == "mine"
    errors = []

    def press():
        try:
            for _ in range(20):
                checkpoint.save(path, one)
                checkpoint.load_potential(path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.safetensors", "p.safetensors.part", "precious"]


def test_a_checkpoint_that_cannot_be_written_says_so_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = checkpoint.save(tmp_path / "p.safetensors", potential())
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        checkpoint.CheckpointError, match=r"p\.safetensors: cannot be written \(No space left.*another folder"
    ):
        checkpoint.save(path, potential())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_nan_and_no_numpy(tmp_path):
    value = {"a": float("nan"), "b": [1, (np.float64("inf"), -np.inf)], "c": np.arange(2), "d": np.int64(3), "e": "ε"}
    expected = {"a": None, "b": [1, [None, None]], "c": [0, 1], "d": 3, "e": "ε"}
    assert without_nan(value) == expected
    path = write_json(tmp_path / "table.json", value)
    assert json.loads(path.read_text("utf-8")) == expected
    assert "ε" in path.read_text("utf-8")
    with pytest.raises(TypeError):
        write_json(tmp_path / "table.json", {"f": object()})
    assert json.loads(path.read_text("utf-8")) == expected


# F3: what is there and is no ordinary file


def test_a_pipe_and_a_socket_are_never_replaced(tmp_path):
    """F3: a new file took the place of a pipe, which its readers then waited at for ever."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name in ("pipe", "link", "socket"):
            with pytest.raises(OSError, match="which is no ordinary file") as refused:
                write_whole(tmp_path / name, b"1")
            assert refused.value.filename == str(tmp_path / name)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(OSError, match="is a device, which is no ordinary file"):
        write_whole("/dev/null", b"1")


def test_a_file_that_only_a_process_still_has_is_no_place(tmp_path):
    with open(tmp_path / "gone", "wb") as file:
        (tmp_path / "gone").unlink()
        with pytest.raises(OSError, match="is no ordinary file"):
            write_whole(f"/dev/fd/{file.fileno()}", b"1")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_a_file_is_written_through(tmp_path):
    """F3: the link was replaced, and the file that it means stayed as it was."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "result").write_text("old")
    for name, target in (("whole", "result"), ("dangling", "new")):
        link = tmp_path / name
        link.symlink_to(folder / target)
        assert write_whole(link, b"mine") == link
        assert link.is_symlink()
        assert (folder / target).read_bytes() == b"mine"
    assert sorted(path.name for path in folder.iterdir()) == ["new", "result"]
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "circle", b"1")


def test_what_is_no_file_is_called_by_its_kind(tmp_path):
    """F7: a pipe, a device and a folder were "no such file"."""
    os.mkfifo(tmp_path / "pipe.xyz")
    for path, words in ((tmp_path / "pipe.xyz", "is a pipe"), (tmp_path / "none.xyz", "no such file")):
        assert words in no_file(path)
        with pytest.raises(DataError, match=f"{path.name}: {words}"):
            read(path)
    with pytest.raises(DataError, match="/dev/null: is a device"):
        read("/dev/null")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "pipe.xyz", "is a pipe"), ("/dev/zero", "is a device")):
        with pytest.raises(checkpoint.CheckpointError, match=f"{path}: {words}"):
            checkpoint.load_potential(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EMFILE])
@pytest.mark.parametrize("at", ["open", "fsync"])
def test_a_folder_that_cannot_be_forced_to_the_disk_is_no_failure(number, at, tmp_path, monkeypatch):
    """The file had its name already, and the caller was told that nothing was written."""
    inner = {"open": os.open, "fsync": os.fsync}

    def refuses(what, *rest):
        is_folder = stat.S_ISDIR(os.fstat(what).st_mode) if at == "fsync" else os.path.isdir(what)
        if is_folder:
            raise OSError(number, os.strerror(number))
        return inner[at](what, *rest)

    monkeypatch.setattr(files.os, at, refuses)
    assert write_whole(tmp_path / "a.txt", "mine").read_text() == "mine"


def test_a_disk_that_fails_is_one(tmp_path, monkeypatch):
    inner = os.fsync

    def fails(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        inner(handle)

    monkeypatch.setattr(files.os, "fsync", fails)
    with pytest.raises(OSError, match="Input/output error"):
        write_whole(tmp_path / "a.txt", "mine")
