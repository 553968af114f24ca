"""From a file's bytes to its outline, for any accepted format."""

from whisker.model.errors import UndecodablePictureError
from whisker.model.photo_files import check_signature
from whisker.model.structure.bmp import outline_bmp
from whisker.model.structure.gif import outline_gif
from whisker.model.structure.heif import outline_heif
from whisker.model.structure.jpeg import outline_jpeg
from whisker.model.structure.outline import Outline
from whisker.model.structure.png import outline_png
from whisker.model.structure.tiff import outline_tiff
from whisker.model.structure.webp import outline_webp

_FORMATS = {  # by the first byte; that of a box is the highest of its length
    b"\xff": outline_jpeg,
    b"\x89": outline_png,
    b"G": outline_gif,
    b"B": outline_bmp,
    b"R": outline_webp,
    b"I": outline_tiff,
    b"M": outline_tiff,
    b"\0": outline_heif,
}


def read_outline(data: bytes) -> Outline:
    """Outline a picture file.

    Raises `UnsupportedFormatError`, `UndecodablePictureError` for a header that is damaged or in too many parts, and
    `PictureTooLargeError` for far more work than such files usually take.
    """
    if not data:
        raise UndecodablePictureError("The picture is empty: it has no bytes.")
    check_signature(data)
    return _FORMATS[data[:1]](data)
