"""What the protocols' bodies have in common: a JSON object, and pictures in Base64. Imports nothing slow."""

import base64
import binascii
import re
from codecs import BOM_UTF8
from typing import TypeGuard
from urllib.parse import unquote

from pydantic_core import from_json

from whisker.app.errors import InvalidUploadError, quoted

_DATA_URL, _DATA_URL_LETTERS = ";base64,", 100  # where a data: address goes over to its content, and within how many
_USUAL, _BLANKS = bytes.maketrans(b"-_", b"+/"), b" \t\r\n\f"  # letters of addresses, and what lines are broken with
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=_\s-]", re.ASCII)
_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
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
        raise InvalidUploadError(f"The body is not JSON: {exc}.") from exc
    if not isinstance(document, dict):
        raise InvalidUploadError(f"The body must be a JSON object, but is {kind_of(document)}.")
    return document


def decode_base64(text: object) -> bytes:
    """Decode a picture's Base64, with or without `data:...;base64,` before it.

    It may be in either alphabet (RFC 4648, sections 4 and 5), on several lines, and without its padding.

    Raises `InvalidUploadError`.
    """
    if not isinstance(text, str):
        raise InvalidUploadError(f"A picture must be a text, in Base64, but is {kind_of(text)}.")
    start = text[:_DATA_URL_LETTERS].lower().find(_DATA_URL)
    content = text[start + len(_DATA_URL) :] if start >= 0 else text
    try:
        return base64.b64decode(content, validate=True)
    except ValueError:  # not the usual notation
        return _decode_leniently(unquote(content) if start >= 0 and "%" in content else content)


def kind_of(value: object) -> str:
    """Name what a JSON document holds, as JSON does."""
    return _KINDS.get(type(value), "no text")


def _decode_leniently(text: str) -> bytes:
    try:
        plain = text.encode("ascii").translate(_USUAL, _BLANKS).rstrip(b"=")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        odd = _NOT_BASE64.search(text)
        reason = "its length is none that Base64 has" if odd is None else f"there is {quoted(odd[0])} in it"
        raise InvalidUploadError(f"A picture is not valid Base64: {reason}.") from exc


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value of a JSON document is a whole number; `true` and 3.0 are none, whatever Python says."""
    return type(value) is int
