"""Regular files, opened without ever waiting: a pipe, a socket or a device in their place is an error."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "Is a named pipe",
    stat.S_IFSOCK: "Is a socket",
    stat.S_IFCHR: "Is a device",
    stat.S_IFBLK: "Is a device",
    stat.S_IFDIR: "Is a directory",
    stat.S_IFLNK: "Is a link",
}
# Whatever has taken the file's place since it was looked at, opening it neither waits nor takes over the terminal.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def open_regular(path: str | Path, *, follows_links: bool = True) -> BufferedReader:
    """Open a regular file or, if it `follows_links`, a link to one, for reading; raise `OSError` for anything else."""
    _require_regular(Path(path).stat(follow_symlinks=follows_links), path)  # first: opening some devices has effects
    descriptor = os.open(path, _FLAGS if follows_links else _FLAGS | os.O_NOFOLLOW)
    try:
        _require_regular(os.fstat(descriptor), path)
        return os.fdopen(descriptor, "rb")
    except BaseException:  # raised again: whatever it is, nobody else would close the file
        os.close(descriptor)
        raise


def read_regular(path: str | Path, *, max_bytes: int) -> bytes:
    """Read a regular file's bytes; raise `OSError` for more than `max_bytes`, or for anything but a regular file."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise OSError(errno.EFBIG, f"It has more than {max_bytes:,} bytes", str(path))
        return file.read(size)


def _require_regular(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "Is not a file")
        raise OSError(errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ENODEV, kind, str(path))
