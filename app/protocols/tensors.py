"""The tensors of the Open Inference Protocol, as JSON and in its binary extension.

In JSON a tensor's `data` is a list, nested or flat, and BYTES are texts; a picture's bytes are Base64 there. In the
binary extension tensors follow the JSON one after the other, and a BYTES element is its length (uint32) and its bytes.
"""

import io
import math
import struct
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from whisker.app.errors import InvalidUploadError
from whisker.app.protocols.documents import decode_base64
from whisker.model.structure.budget import check_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LENGTH = struct.Struct("<I")
_RGB = 3
DATATYPES = ("BYTES", "UINT8")
_OTHER_SHAPE = "The input has not as many elements as its shape says."


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input: its shape, its datatype, and its content, either `data` of JSON or `binary`."""

    shape: tuple[int, ...]
    datatype: str
    data: object
    binary: bytes | None

    @property
    def pictures(self) -> int:
        """Count the pictures that its shape announces."""
        if self.datatype == "BYTES":
            return math.prod(self.shape)
        return self.shape[0] if len(self.shape) == 4 else 1

    def files(self, *, max_pixels: int) -> list[bytes]:
        """Give the picture files in it: BYTES, one each, or UINT8 pixels `[H, W, 3]` or `[N, H, W, 3]`.

        Raises `InvalidUploadError` for anything else, and `PictureTooLargeError` for more pixels than are accepted.
        """
        if self.datatype == "BYTES":
            return self._decoded() if self.binary is None else _split(self.binary, self.pictures)
        pixels = self._pixels()
        check_size(pixels.shape[2], pixels.shape[1], max_pixels)  # before a file is made of so many rows
        return [*map(_to_file, pixels)]

    def _decoded(self) -> list[bytes]:
        texts, _ = _flatten(self.data)
        if len(texts) != self.pictures:
            raise InvalidUploadError(_OTHER_SHAPE)
        return [*map(decode_base64, texts)]

    def _pixels(self) -> "NDArray[np.uint8]":
        import numpy as np  # noqa: PLC0415 - for this protocol alone

        shape = (1, *self.shape) if len(self.shape) == 3 else self.shape
        if len(shape) != 4 or shape[-1] != _RGB or 0 in shape:
            raise InvalidUploadError("Pixels have the shape [H, W, 3] or [N, H, W, 3].")
        content = self.binary
        if content is None:
            content = _to_bytes(self.data)
        if len(content) != math.prod(shape):
            raise InvalidUploadError(_OTHER_SHAPE)
        return np.frombuffer(content, np.uint8).reshape(shape)


def to_bytes_elements(strings: list[str]) -> bytes:
    """Write strings as BYTES of the binary extension."""
    return b"".join(_LENGTH.pack(len(text)) + text for text in (string.encode() for string in strings))


def _to_file(pixels: "NDArray[np.uint8]") -> bytes:
    """Wrap pixels as BMP, which keeps them as they are, so that workers treat them like any picture."""
    from PIL import Image  # noqa: PLC0415 - as above

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()


def _split(binary: bytes, count: int) -> list[bytes]:
    """Split `count` elements, each a length and its bytes."""
    elements, at = [], 0
    for _ in range(count):
        start = at + _LENGTH.size
        if start > len(binary):
            raise InvalidUploadError(_OTHER_SHAPE)
        at = start + _LENGTH.unpack_from(binary, start - _LENGTH.size)[0]
        elements.append(binary[start:at])
    if at != len(binary):
        raise InvalidUploadError(_OTHER_SHAPE)
    return elements


def _to_bytes(data: object) -> bytes:
    values, kinds = _flatten(data)
    try:
        if kinds == {int}:  # `true` is an int, too, to everybody else in Python
            return bytes(values)
    except ValueError:  # below 0, or above 255
        pass
    raise InvalidUploadError("Pixels are whole numbers of 0 to 255.")


def _flatten(data: object) -> tuple[list[Any], set[type]]:
    """Flatten nested lists, however deep, without recursion; return the values, and their types."""
    if not isinstance(data, list):
        raise InvalidUploadError("The input's `data` must be a list.")
    values: list[Any] = data
    while list in (kinds := set(map(type, values))):
        if len(kinds) > 1:
            raise InvalidUploadError("The input's `data` mixes lists and values.")
        values = [*chain.from_iterable(values)]
    return values, kinds
