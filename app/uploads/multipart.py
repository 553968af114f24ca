"""A multipart form's parts, straight from python-multipart's parser.

FastAPI would spool each file to a temporary one and read it back in a thread. A picture fits in memory: the body's
limit ensures that.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from whisker.app.errors import MalformedFormError, quoted
from whisker.app.uploads.part import Part

OTHER_PARTS = 8  # besides the files that are expected; a browser's form may have a few of its own
_MAX_FIELD_BYTES = 16_384
_SMALL_BYTES = 256_000  # of a form, that are parsed at once
_ENDS = 2  # delimiters besides those before parts: the one after the last, and one that shows that there are too many
_MAX_HEADERS, _MAX_HEADER_BYTES = 8, 4_096  # of a part; a file's name may be long


class _Form:
    """What the parser's callbacks have collected so far.

    It does not reference its parser: a cycle would keep the pictures in memory until the garbage collector runs.
    """

    def __init__(self, max_parts: int) -> None:
        self.parts: list[Part] = []
        self.is_complete = False
        self._max_parts = max_parts
        self._header = self._value = b""

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_to_header,
                "on_header_value": self._add_to_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )

    def _begin_part(self) -> None:
        if len(self.parts) == self._max_parts:
            raise MalformedFormError(f"The multipart form has more than {self._max_parts} parts.")
        self.parts.append(Part())

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self.parts[-1].note_header(self._header.lower(), self._value)
        self._header = self._value = b""

    def _end_headers(self) -> None:
        if not self.parts[-1].name:
            raise MalformedFormError("The multipart form has a part without a name.")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.pieces.append(data[start:end])
        part.size += end - start
        if not part.is_file and part.size > _MAX_FIELD_BYTES:
            part.settle()
            if not part.is_file:
                raise MalformedFormError(
                    f"The multipart form has more than {_MAX_FIELD_BYTES} bytes of text in {quoted(part.field_name)}."
                )

    def _end(self) -> None:
        self.is_complete = True


class _Delimiters:
    """The delimiters in a body: as many as it may have parts, and each at the end of its line.

    RFC 2046 forbids a part to have them. The parser takes those that do not end their line for content, a letter of
    theirs at a time: 20 MB of them take seconds.
    """

    def __init__(self, boundary: bytes, most: int) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._left = most
        self._seen = b"\r\n"  # before the first one there may be nothing

    def check(self, data: bytes) -> None:
        """Look through the next part of the body; raise `MalformedFormError`."""
        seen, size = self._seen + data, len(self._delimiter)
        at = seen.find(self._delimiter, 0, -1)  # without the last byte: what follows has to be seen, too
        while at >= 0:
            self._left -= 1
            if self._left < 0 or seen[at + size] not in b"\r-":
                raise MalformedFormError("The multipart form has its boundary within a part, or too often.")
            at = seen.find(self._delimiter, at + size, -1)
        self._seen = seen[-size:]


async def _parse(
    body: AsyncIterator[bytes], parser: MultipartParser, delimiters: _Delimiters, turns: asyncio.Lock | None
) -> None:
    size = 0
    async for chunk in body:
        size += len(chunk)
        is_large = turns is not None and size > _SMALL_BYTES
        async with turns if turns is not None and is_large else contextlib.nullcontext():
            delimiters.check(chunk)
            parser.write(chunk)
            if is_large:
                await asyncio.sleep(0)  # the event loop goes round once before the next turn
    parser.finalize()


async def read_form(
    body: AsyncIterator[bytes], content_type: str, *, max_parts: int, turns: asyncio.Lock | None = None
) -> Sequence[Part]:
    """Read the parts of a form, in order.

    Large forms share `turns`: of all of them together, the event loop parses one chunk at a time before it looks after
    others. A chunk of 256 kB takes up to 2 ms.

    Raises `MalformedFormError` if the form cannot be parsed, ends before its closing boundary, or has too many parts.
    """
    try:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if not boundary:
            raise MalformedFormError(
                "The multipart form's content type names no boundary: leave that header to the client, which knows it."
            )
        form = _Form(max_parts)
        await _parse(body, form.parser(boundary), _Delimiters(boundary, max_parts + _ENDS), turns)
    except FormParserError as exc:
        raise MalformedFormError("The multipart form cannot be read: its parts are not as RFC 7578 has them.") from exc
    if not form.is_complete:
        raise MalformedFormError("The multipart form ends before its closing boundary.")
    for part in form.parts:
        part.settle()
    return form.parts
