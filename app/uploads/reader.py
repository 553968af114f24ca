"""From a request's body to a picture's bytes: a multipart form, or the bytes themselves."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request

from whisker.app.errors import BodyTooLargeError, ClientGoneError, UnsupportedMediaTypeError, quoted
from whisker.app.uploads.form_files import FIELD, all_pictures, only_picture, texts_of
from whisker.app.uploads.multipart import OTHER_PARTS, read_form
from whisker.app.uploads.part import Part
from whisker.app.uploads.signature import START_BYTES, is_picture

FORM = "multipart/form-data"
RAW = "application/octet-stream"
_MAX_TYPE_LETTERS = 512  # of a content type: its parameters take longer to read than there are letters
_MAX_TEXTS = 100  # fields of a form: its labels, and what a browser's form may have of its own
_WANTED = f"send the picture as {FORM} in the field `{FIELD}`, or its bytes as the body with the content type image/*"


def set_turns(app: Starlette) -> None:
    """Let an application's large forms take turns."""
    app.state.whisker_turns = asyncio.Lock()


async def read_upload(request: Request) -> bytes:
    """Read the one picture in a request's body; its content type says how, or else its first bytes do.

    Raises an `UploadError`, or `ClientGoneError` if the body ends in a closed connection.
    """
    kind = media_type(request)
    if kind.startswith("image/") or kind == RAW:
        return await read_body(request)
    if kind != FORM:
        return await _read_unnamed(request)
    return only_picture(await _read_form(request, max_parts=1 + OTHER_PARTS))


async def read_body(request: Request) -> bytes:
    """Read the whole body; raise `ClientGoneError` if it ends in a closed connection."""
    return b"".join(await read_pieces(request))


async def read_pieces(request: Request) -> list[bytes]:
    """Read the whole body in the pieces it came in; raise `ClientGoneError` if it ends in a closed connection."""
    return [piece async for piece in _received(request)]


async def read_small(request: Request, *, max_bytes: int) -> bytes:
    """Read a whole body that has a limit of its own; raise `BodyTooLargeError`, or as `read_body` does."""
    return b"".join([piece async for piece in _capped(_received(request), max_bytes)])


async def read_uploads(request: Request, *, max_files: int) -> list[bytes]:
    """Read the pictures of a form that may hold several; raise as `read_upload` does."""
    _require_form(request, f"send the pictures as {FORM}, each in a field `{FIELD}`")
    return all_pictures(await _read_form(request, max_parts=max_files + OTHER_PARTS), max_files=max_files)


async def read_correction(request: Request) -> tuple[bytes, dict[str, list[str]]]:
    """Read a form of one picture and some text fields, with the values of each; raise as `read_upload` does."""
    _require_form(request, f"send the picture as {FORM} in the field `{FIELD}`")
    parts = await _read_form(request, max_parts=1 + _MAX_TEXTS)
    return only_picture(parts), texts_of(parts)


async def read_texts(request: Request, *, max_bytes: int) -> dict[str, list[str]]:
    """Read a form of text fields alone, with the values of each; raise as `read_small` and `read_upload` do."""
    _require_form(request, f"send the fields as {FORM}")
    body = _capped(_received(request), max_bytes)
    return texts_of(await read_form(body, request.headers["content-type"], max_parts=_MAX_TEXTS))


def media_type(request: Request) -> str:
    """Return a request's content type without parameters, in lower case; raise `UnsupportedMediaTypeError`."""
    kind = request.headers.get("content-type", "")
    if len(kind) > _MAX_TYPE_LETTERS:
        raise UnsupportedMediaTypeError(f"The content type is longer than {_MAX_TYPE_LETTERS} letters.")
    return kind.partition(";")[0].strip().lower()


async def _read_unnamed(request: Request) -> bytes:
    """Read a picture whose content type is none, or another: many clients say what they always say, whatever they send.

    What is no picture is refused by its first bytes.
    """
    start, pieces = b"", list[bytes]()
    async for piece in _received(request):
        pieces.append(piece)
        if len(start) < START_BYTES:
            start += piece[:START_BYTES]
            if len(start) >= START_BYTES and not is_picture(start):
                break
    if is_picture(start):
        return b"".join(pieces)
    came = "JSON, which needs the content type `application/json` where it is taken" if is_json(start) else "no picture"
    raise UnsupportedMediaTypeError(f"{_said(request)}, and the body is {came if start else 'empty'}: {_WANTED}.")


def is_json(start: bytes) -> bool:
    """Tell whether a body begins as a JSON object does, and no picture."""
    return start[:START_BYTES].lstrip().startswith(b"{")


def _require_form(request: Request, wanted: str) -> None:
    if media_type(request) != FORM:
        raise UnsupportedMediaTypeError(f"{_said(request)}: {wanted}.")


def _said(request: Request) -> str:
    given = request.headers.get("content-type", "")
    return f"The request's content type is {quoted(given)}" if given else "The request has no content type"


async def _read_form(request: Request, *, max_parts: int) -> Sequence[Part]:
    kind, turns = request.headers["content-type"], request.app.state.whisker_turns
    return await read_form(_received(request), kind, max_parts=max_parts, turns=turns)


async def _capped(pieces: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise BodyTooLargeError(f"The body has more than the {max_bytes:,} bytes that are allowed here.")
        yield piece


async def _received(request: Request) -> AsyncIterator[bytes]:
    """Yield a body in the pieces it comes in; raise `ClientGoneError` if it ends in a closed connection."""
    try:  # not `request.body()`, which would keep it for as long as the request lasts
        async for piece in request.stream():
            yield piece
    except ClientDisconnect as exc:
        raise ClientGoneError("The connection was closed before the upload was complete.") from exc
