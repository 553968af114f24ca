"""What the protocols' bodies have in common: a JSON object, and pictures in Base64. Imports nothing slow."""

import base64
import binascii
from codecs import BOM_UTF8
from typing import TypeGuard

from pydantic_core import from_json

from whisker.app.errors import InvalidUploadError

_DATA_URL, _DATA_URL_LETTERS = ";base64,", 100  # where a data: address goes over to its content, and within how many
_MAX_VALUES = 300_000  # of a JSON document: each takes up to 64 bytes, and all of them 30 ms
_COSTLY = (b",", b"[", b"{", b"\\")  # what there is one of for each value, or for each letter that is not as it seems


def parse_json(body: bytes) -> dict[str, object]:
    """Read a JSON object as RFC 8259 has it: UTF-8, no NaN, no half of a pair of surrogates; nested up to 200 deep.

    Raises `InvalidUploadError` if it is none, or holds more values than are good for us.
    """
    if sum(body.count(sign) for sign in _COSTLY) > _MAX_VALUES:
        raise InvalidUploadError(
            f"The JSON holds more than {_MAX_VALUES:,} values: send pictures as files, or tensors in binary form."
        )
    try:
        document = from_json(body.removeprefix(BOM_UTF8), allow_inf_nan=False, cache_strings="keys")
    except ValueError as exc:
        raise InvalidUploadError("The body is not JSON.") from exc
    if not isinstance(document, dict):
        raise InvalidUploadError("The body is not a JSON object.")
    return document


def decode_base64(text: object) -> bytes:
    """Decode a picture's Base64, with or without `data:...;base64,` before it; raise `InvalidUploadError`."""
    if not isinstance(text, str):
        raise InvalidUploadError("A picture must be a text, in Base64.")
    try:
        start = text.find(_DATA_URL, 0, _DATA_URL_LETTERS)
        return base64.b64decode(text[start + len(_DATA_URL) :] if start >= 0 else text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidUploadError("A picture is not valid Base64.") from exc


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value of a JSON document is a whole number; `true` and 3.0 are none, whatever Python says."""
    return type(value) is int
