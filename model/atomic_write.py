"""Writing a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file to write; it replaces `path` if the block succeeds, and is deleted otherwise.

    Its content is synced to disk before the rename, so that neither a crash nor a power cut leaves half a file.
    Raises `OSError`.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(4)}.unfinished")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
