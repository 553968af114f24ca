"""From a request's body to a picture's bytes: a multipart form, or the bytes themselves."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request

from whisker.app.errors import ClientGoneError, InvalidUploadError, UnsupportedMediaTypeError
from whisker.app.uploads.multipart import OTHER_PARTS, read_form

FIELD = "file"
FORM = "multipart/form-data"
RAW = "application/octet-stream"
_MAX_TYPE_LETTERS = 512  # of a content type: its parameters take longer to read than there are letters
_MAX_TEXTS = 100  # fields of a correction: its labels, and what a browser's form may have of its own


def set_turns(app: Starlette) -> None:
    """Let an application's large forms take turns."""
    app.state.whisker_turns = asyncio.Lock()


async def read_upload(request: Request) -> bytes:
    """Read the one picture in a request's body; its content type says how.

    Raises an `UploadError`, or `ClientGoneError` if the body ends in a closed connection.
    """
    kind = media_type(request)
    if kind.startswith("image/") or kind == RAW:
        return await read_body(request)
    if kind != FORM:
        raise UnsupportedMediaTypeError(
            f"Send the picture as {FORM} in the field `{FIELD}`, or its bytes as the body with the content type "
            f"image/* or {RAW}."
        )
    files, _ = await _read_form(request, max_files=1)
    return _only(files)


async def read_body(request: Request) -> bytes:
    """Read the whole body; raise `ClientGoneError` if it ends in a closed connection."""
    return b"".join(await read_pieces(request))


async def read_pieces(request: Request) -> list[bytes]:
    """Read the whole body in the pieces it came in; raise `ClientGoneError` if it ends in a closed connection."""
    try:  # not `request.body()`, which would keep it for as long as the request lasts
        return [chunk async for chunk in request.stream()]
    except ClientDisconnect as exc:
        raise _gone() from exc


async def read_uploads(request: Request, *, max_files: int) -> list[bytes]:
    """Read the pictures of a form that may hold several; raise as `read_upload` does."""
    if media_type(request) != FORM:
        raise UnsupportedMediaTypeError(f"Send the pictures as {FORM}, each in a field `{FIELD}`.")
    files, _ = await _read_form(request, max_files=max_files)
    if not 1 <= len(files) <= max_files:
        raise InvalidUploadError(
            f"The form must hold 1 to {max_files} files, each in a field `{FIELD}`, not {len(files)}."
        )
    return files


async def read_correction(request: Request) -> tuple[bytes, dict[str, list[str]]]:
    """Read a form of one picture and some text fields, with the values of each; raise as `read_upload` does."""
    if media_type(request) != FORM:
        raise UnsupportedMediaTypeError(f"Send the picture as {FORM} in the field `{FIELD}`.")
    files, texts = await _read_form(request, max_files=1, max_others=_MAX_TEXTS)
    return _only(files), texts


def _only(files: list[bytes]) -> bytes:
    if len(files) != 1:
        raise InvalidUploadError(f"The form must hold exactly one file, in the field `{FIELD}`.")
    return files[0]


async def _read_form(
    request: Request, *, max_files: int, max_others: int = OTHER_PARTS
) -> tuple[list[bytes], dict[str, list[str]]]:
    kind = request.headers["content-type"]
    try:
        return await read_form(
            request.stream(),
            kind,
            FIELD,
            max_files=max_files,
            max_others=max_others,
            turns=request.app.state.whisker_turns,
        )
    except ClientDisconnect as exc:
        raise _gone() from exc


def media_type(request: Request) -> str:
    """Return a request's content type without parameters, in lower case; raise `UnsupportedMediaTypeError`."""
    kind = request.headers.get("content-type", "")
    if len(kind) > _MAX_TYPE_LETTERS:
        raise UnsupportedMediaTypeError(f"The content type is longer than {_MAX_TYPE_LETTERS} letters.")
    return kind.partition(";")[0].strip().lower()


def _gone() -> ClientGoneError:
    return ClientGoneError("The connection was closed before the upload was complete.")
