"""Photos as files: read whole, and only if they may be pictures at all."""

import os
from pathlib import Path

from model.errors import PictureTooLargeError
from model.preprocessing import check_signature

MAX_FILE_BYTES = 500_000_000  # above any photo that the pixel limit admits


def read_photo(path: str | Path) -> bytes:
    """Read a file's bytes; of one that is no picture, such as a film among photos, only the first are read.

    Raises `UnsupportedFormatError`, `PictureTooLargeError` for more than `MAX_FILE_BYTES`, and `OSError`. An empty file
    is returned: to say what is wrong with it is `Preprocessing.decode`'s.
    """
    with Path(path).open("rb") as file:
        start = file.peek()
        if start:
            check_signature(start)
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise PictureTooLargeError(f"The file has more than {MAX_FILE_BYTES:,} bytes.")
        return file.read()
