"""The members of a tar archive, compressed or not, read once from its beginning to its end."""

import bz2
import gzip
import importlib
import importlib.util
import lzma
import posixpath
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NoReturn, Self, cast

from whisker.training.data.sources.archives.members import Archive, Member, chunks_of, translated
from whisker.training.data.sources.destination import most_bytes, too_many_bytes
from whisker.training.errors import DatasetError

_ABOUT_OTHERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MAX_ABOUT = 1 << 20  # bytes
_MAX_REST = 1 << 26  # bytes behind the end, which are read to see whether a checksum is right


@contextmanager
def open_tar(path: Path) -> Iterator[Archive]:
    """Open a tar archive; raise `DatasetError` if it is damaged, also while it is read."""
    with (
        translated(path),
        path.open("rb") as raw,
        _decompressed(raw, path) as stream,
    ):
        counted, size = _Counted(stream, path), path.stat().st_size
        with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r|", tarinfo=_StrictHeader) as file:
            yield Archive(_members(file, counted), size if stream is raw else 0, raw.tell)


class _Counted:
    """The bytes of an archive, of which no more are read than it may unpack to, whatever they are."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._left = most_bytes(path.stat().st_size)

    def read(self, size: int) -> bytes:
        """Read as a file does."""
        try:
            chunk = self._stream.read(size)
        except Exception as exc:
            if type(exc).__name__ != "ZstdError":  # of `compression.zstd`, which few versions of Python have
                raise
            raise _ReadError(str(exc)) from exc
        self._left -= len(chunk)
        if self._left < 0:
            raise too_many_bytes(self._path)
        return chunk


class _StrictHeader(tarfile.TarInfo):
    """A header that is an error where `tarfile` would take a damaged one for the end of the archive.

    Sparse files are refused before `tarfile` reads their maps, which may be long, into memory.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Refuse headers about headers, which are read into memory, of a length that no name has."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in _ABOUT_OTHERS and header.size > _MAX_ABOUT:
            raise _ReadError("a header is too long")
        return header

    def _refuse_sparse(self, *_: object) -> NoReturn:
        raise NotImplementedError("sparse files")

    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except _HeaderError as exc:
            if isinstance(exc, _EndError):
                raise
            raise _ReadError(str(exc) or "no end of the archive") from exc
        except (ValueError, RecursionError) as exc:
            raise _ReadError("a header is damaged") from exc


_HeaderError, _ReadError = tarfile.HeaderError, tarfile.ReadError
_EndError: type[tarfile.HeaderError] = tarfile.EOFHeaderError  # type: ignore[attr-defined]  # typeshed lacks it


def _decompressed(raw: IO[bytes], path: Path) -> IO[bytes]:
    """Decompress by what the first bytes say."""
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMAFile(raw)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstandard(raw, path)
    return raw


def _zstandard(raw: IO[bytes], path: Path) -> IO[bytes]:
    """Decompress with the standard library, from Python 3.14 on, or with PyArrow."""
    if importlib.util.find_spec("compression") is not None:
        return cast("IO[bytes]", importlib.import_module("compression.zstd").ZstdFile(raw))
    if importlib.util.find_spec("pyarrow") is not None:
        return cast("IO[bytes]", importlib.import_module("pyarrow").CompressedInputStream(raw, "zstd"))
    raise DatasetError(
        f"{path} is compressed with Zstandard, which Python 3.14 or PyArrow reads: run `pip install "
        "'whisker-vision[parquet]'`, or unpack it yourself and give the folder."
    )


def _members(file: tarfile.TarFile, stream: _Counted) -> Iterator[Member]:
    while (info := file.next()) is not None:
        file.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
        if not info.isdir():
            yield _member(file, info)
    rest = 0
    while rest < _MAX_REST and (chunk := stream.read(1 << 16)):
        rest += len(chunk)


def _member(file: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    chunks = partial(_chunks, file, info)
    if info.isreg() and not info.issparse():
        return Member(info.name, "file", chunks)
    if info.islnk():
        return Member(info.name, "link", chunks, info.linkname)
    if info.issym():
        return Member(info.name, "link", chunks, _joined(info))
    return Member(info.name, "other", chunks)


def _joined(info: tarfile.TarInfo) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(info.name), info.linkname))


def _chunks(file: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    opened = file.extractfile(info)
    if opened is not None:
        yield from chunks_of(opened)
