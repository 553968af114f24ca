"""What an archive holds, member by member, and what is wrong with archives, in one sentence each."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from whisker.training.errors import DatasetError

_CHUNK = 1 << 20  # bytes
_DAMAGED = (
    EOFError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
Kind: TypeAlias = Literal["file", "link", "other"]  # `other`: devices, pipes, and links that lead out


@dataclass(frozen=True, slots=True)
class Member:
    """A file or link of an archive; `target` is the path in the archive that a link leads to.

    `chunks` reads a file's bytes, before the next member is asked for.
    """

    path: str
    kind: Kind
    chunks: Callable[[], Iterator[bytes]]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """An open archive: its members, once; the bytes that it announces, if it does; and how many of its own are read."""

    members: Iterator[Member]
    announced: int
    position: Callable[[], int]


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file in pieces."""
    while chunk := file.read(_CHUNK):
        yield chunk


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Say what is wrong with an archive."""
    try:
        yield
    except _DAMAGED as exc:
        raise DatasetError(f"{path} is damaged or incomplete ({exc or 'it ends too early'}): get it again.") from exc
    except NotImplementedError as exc:
        raise DatasetError(
            f"{path} is packed in a way that Whisker cannot read ({exc}): unpack it yourself and give the folder."
        ) from exc
    except OSError as exc:
        raise DatasetError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
