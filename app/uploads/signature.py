"""Whether bytes begin as a picture does: what a client calls them is not always right, or said at all."""

from whisker.model.errors import UnsupportedFormatError
from whisker.model.photo_files import check_signature

START_BYTES = 64  # that are looked at
_BMP, _BMP_HEAD_BYTES = b"BM", 14  # two letters that texts begin with, too; its head has zeros in it


def is_picture(data: bytes) -> bool:
    """Tell whether bytes begin like an accepted picture; if so, what is wrong with it is for a decoder to say."""
    start = data[:START_BYTES]
    if start.startswith(_BMP) and 0 not in start[:_BMP_HEAD_BYTES]:
        return False
    try:
        check_signature(start)
    except UnsupportedFormatError:
        return False
    return True
