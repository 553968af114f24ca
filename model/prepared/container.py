"""The container of a prepared classifier: one JSON document and arrays, as bytes that hold no code.

It begins with a mark that names the version of the format, the SHA-256 of all that follows, and the length of the
document, which comes next and says where each array lies. Arrays begin at whole pages of memory, so that a mapped file
can be used as it lies. Reading the document needs no NumPy.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from io import BufferedReader
from typing import Any

from whisker.model.checkpoint.json_object import parse_object
from whisker.model.errors import CheckpointError, PreparedError

FORMAT = 1  # raised when what is prepared changes, or how it is written
MAX_BYTES = 4_000_000_000  # as of a checkpoint
_MARK = b"whisker prepared %d\n" % FORMAT
_HEAD = struct.Struct("<32s32sQ")  # the mark, the digest, and the length of the document in bytes
_DIGEST = slice(32, 64)
_MAX_DOCUMENT_BYTES = 64_000_000  # as of a checkpoint
_PAGE_BYTES = 4096


def put_together(document: Mapping[str, Any], arrays: Mapping[str, memoryview]) -> bytes:
    """Make a container; the document gets a field `places`, which says where in it each array begins."""
    places, size = dict[str, int](), 0
    for name, array in arrays.items():
        places[name] = size
        size += pages(array.nbytes)
    text = json.dumps({**document, "places": places}, sort_keys=True).encode()
    begin = pages(_HEAD.size + len(text))
    data = bytearray(begin + size)
    data[_HEAD.size : _HEAD.size + len(text)] = text
    for name, array in arrays.items():
        data[begin + places[name] : begin + places[name] + array.nbytes] = array.cast("B")
    _HEAD.pack_into(data, 0, _MARK, b"", len(text))
    data[_DIGEST] = hashlib.sha256(memoryview(data)[_DIGEST.stop :]).digest()
    return bytes(data)


def check(file: BufferedReader) -> dict[str, Any]:
    """Read a file as a whole, and give its document if it is a container as it was written.

    It is not mapped: to read a mapped file that somebody shortens ends the process. Raises `PreparedError` with the end
    of a sentence, and `OSError`.
    """
    head, size = file.read(_HEAD.size), os.fstat(file.fileno()).st_size
    length = _document_bytes(head, size)
    file.seek(_DIGEST.stop)
    if hashlib.file_digest(file, "sha256").digest() != head[_DIGEST]:
        raise PreparedError("was changed or damaged after it was written")
    file.seek(0)
    return read_document(file.read(_HEAD.size + length))[0]


def read_document(data: bytes | memoryview) -> tuple[dict[str, Any], int]:
    """Read the document, and where the arrays begin; raise `PreparedError` with the end of a sentence."""
    length = _document_bytes(data, len(data))
    try:
        document = parse_object(bytes(data[_HEAD.size : _HEAD.size + length]).decode())
    except (CheckpointError, UnicodeDecodeError) as exc:
        raise PreparedError("has a document that cannot be read") from exc
    return document, pages(_HEAD.size + length)


def pages(size: int) -> int:
    """Round a number of bytes up to whole pages of memory."""
    return -(-size // _PAGE_BYTES) * _PAGE_BYTES


def _document_bytes(data: bytes | memoryview, size: int) -> int:
    if len(data) < _HEAD.size:
        raise PreparedError("is incomplete")
    mark, _, length = _HEAD.unpack_from(data)
    if mark.rstrip(b"\0") != _MARK:
        raise PreparedError("is no prepared classifier of this version")
    if length > min(_MAX_DOCUMENT_BYTES, size - _HEAD.size):
        raise PreparedError("has a document of a wrong length")
    found: int = length
    return found
