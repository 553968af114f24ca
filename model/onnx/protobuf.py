"""The wire format of protocol buffers: the fields of a message, without knowing what they mean.

The format is that of protobuf.dev/programming-guides/encoding. Nothing is copied and nothing is executed.
"""

from collections.abc import Iterator

from whisker.model.errors import CheckpointError

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}

Field = tuple[int, int | memoryview]  # the field's number; a number, or the bytes of text, packed numbers or a message


def read_fields(message: memoryview) -> Iterator[Field]:
    """Give a message's fields in the order of the file; those of fixed length are passed over.

    Raises `CheckpointError`, with the end of a sentence, if the message is cut off or of another format.
    """
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
            continue
        if kind == _LENGTH:
            length, position = _read_varint(message, position)
        elif kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
        else:
            raise _damaged()
        if not number or length > len(message) - position:
            raise _damaged()
        if kind == _LENGTH:
            yield number, message[position : position + length]
        position += length


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read a number of 7 bits a byte; give the position after it, too."""
    value = 0
    for index, byte in enumerate(message[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _damaged()


def _damaged() -> CheckpointError:
    return CheckpointError("is no ONNX file, or is cut off or damaged")
