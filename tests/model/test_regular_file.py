"""Files that are opened without ever waiting, whatever is in their place."""

import os
import socket
from pathlib import Path

import pytest

from whisker.model.photo_files import is_picture, read_photo
from whisker.model.regular_file import open_regular, read_regular


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a folder with one of everything that is no photo."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "directory.jpg").mkdir()
    for name, target in (("zero", "/dev/zero"), ("itself", "itself.jpg"), ("nowhere", "gone"), ("tty", "/dev/tty")):
        (tmp_path / f"{name}.jpg").symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(tmp_path)  # a socket's path may have 107 bytes
        try:
            listener.bind("socket.jpg")
        finally:
            os.chdir(here)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe", "Is a named pipe"),
        ("socket", "Is a socket"),
        ("zero", "Is a device"),
        ("tty", "Is a device"),
        ("directory", "Is a directory"),
        ("itself", "Too many levels of symbolic links"),
        ("nowhere", "No such file or directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_file_is_an_error_at_once(folder: Path, name: str, reason: str) -> None:
    path = folder / f"{name}.jpg"
    for read in (read_photo, lambda path: read_regular(path, max_bytes=9)):
        with pytest.raises(OSError, match=reason):
            read(path)
    assert not is_picture(path)


def test_pipe_that_takes_the_place_of_a_file_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.jpg").write_bytes(b"x")
    seen = (folder / "a.jpg").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: seen)
    with pytest.raises(OSError, match="Is a named pipe"):
        open_regular(folder / "pipe.jpg")


def test_file_of_more_bytes_than_are_wanted_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_regular(tmp_path / "a", max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_regular(tmp_path / "a", max_bytes=4)
