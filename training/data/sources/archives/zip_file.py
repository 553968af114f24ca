"""The members of a zip archive."""

import posixpath
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

from whisker.training.data.sources.archives.members import Archive, Kind, Member, chunks_of, translated
from whisker.training.errors import DatasetError

_ENCRYPTED, _UTF8 = 0x1, 0x800  # flags of a member
_UNIX = (3, 19)  # systems whose programs write a file's mode
_MAX_TARGET = 4_096  # bytes of a link's target


@contextmanager
def open_zip(path: Path) -> Iterator[Archive]:
    """Open a zip archive; raise `DatasetError` if it is encrypted or damaged, also while it is read."""
    with translated(path), path.open("rb") as raw, _opened(raw) as file:
        infos = [info for info in file.infolist() if not _path(info).endswith("/")]
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            raise DatasetError(f"{path} is encrypted: unpack it yourself, with its password, and give the folder.")
        done = [0]

        def members() -> Iterator[Member]:
            for info in infos:
                yield _member(file, info)
                done[0] = info.header_offset + info.compress_size

        yield Archive(members(), sum(info.file_size for info in infos), lambda: done[0])


def _opened(raw: IO[bytes]) -> zipfile.ZipFile:
    with _damaged():
        return zipfile.ZipFile(raw)


@contextmanager
def _damaged() -> Iterator[None]:
    """Take what `zipfile` does not check, as names that are not UTF-8 and places before the beginning, for damage."""
    try:
        yield
    except ValueError as exc:
        raise zipfile.BadZipFile(str(exc)) from exc


def _member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    path, mode = _path(info), info.external_attr >> 16 if info.create_system in _UNIX else 0
    if not stat.S_ISLNK(mode):
        kind: Kind = "file" if stat.S_IFMT(mode) in {0, stat.S_IFREG} else "other"
        return Member(path, kind, partial(_chunks, file, info))
    if info.file_size > _MAX_TARGET:
        return Member(path, "other", partial(_chunks, file, info))
    with _damaged():
        target = file.read(info).decode(errors="surrogateescape")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return Member(path, "link", partial(_chunks, file, info), target)


def _path(info: zipfile.ZipInfo) -> str:
    """Read a member's path; some programs write UTF-8 without saying so, and others separate folders by backslashes."""
    name = info.filename
    if not info.flag_bits & _UTF8:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = info.filename
    return name if "/" in name else name.replace("\\", "/")


def _chunks(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with _damaged(), file.open(info) as opened:
        yield from chunks_of(opened)
