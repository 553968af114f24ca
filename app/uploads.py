"""From a request's body to one picture's bytes: a multipart form, or the bytes themselves."""

from collections.abc import AsyncGenerator

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from app.errors import ClientGoneError, InvalidUploadError, MalformedFormError, UnsupportedMediaTypeError

FIELD = "file"
FORM = "multipart/form-data"
RAW = "application/octet-stream"
_MAX_PARTS = 8  # files, and fields beside them; a browser's form may have a few of its own
_MAX_FIELD_BYTES = 16_384


class _FormParser(MultiPartParser):
    """Refuse a form that ends before its closing boundary; the base class would pass over its last file."""

    _complete = False

    def on_end(self) -> None:
        self._complete = True

    async def parse(self) -> FormData:
        self.stream = self._to_the_end(self.stream)
        return await super().parse()

    async def _to_the_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for chunk in stream:
            yield chunk
        if not self._complete:
            raise MultiPartException("It ends before its closing boundary.")


async def read_upload(request: Request, *, max_body_bytes: int) -> bytes:
    """Read the one picture in a request's body; its content type says how.

    Raises an `UploadError`, or `ClientGoneError` if the body ends in a closed connection.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if media_type == FORM:
            return await _read_form(request, max_body_bytes)
        if media_type.startswith("image/") or media_type == RAW:
            return await request.body()
    except ClientDisconnect as exc:
        raise ClientGoneError("The connection was closed before the upload was complete.") from exc
    raise UnsupportedMediaTypeError(
        f"Send the picture as {FORM} in the field `{FIELD}`, or its bytes as the body with the content type "
        f"image/* or {RAW}."
    )


async def _read_form(request: Request, max_body_bytes: int) -> bytes:
    parser = _FormParser(
        request.headers,
        request.stream(),
        max_files=_MAX_PARTS,
        max_fields=_MAX_PARTS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    parser.spool_max_size = max_body_bytes  # no file is larger than the body, so none is ever written to disk
    try:
        form = await parser.parse()
    except MultiPartException as exc:
        raise MalformedFormError(f"The multipart form cannot be read. {exc.message.rstrip('.')}.") from exc
    try:
        files = form.getlist(FIELD)
        if len(files) != 1 or not isinstance(files[0], UploadFile):
            raise InvalidUploadError(f"The form must hold exactly one file, in the field `{FIELD}`.")
        return await files[0].read()
    finally:
        await form.close()
