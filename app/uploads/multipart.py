"""A multipart form's files, straight from python-multipart's parser.

FastAPI would spool each file to a temporary one and read it back in a thread. A picture fits in memory: the body's
limit ensures that.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from whisker.app.errors import MalformedFormError

OTHER_PARTS = 8  # besides the files that are expected; a browser's form may have a few of its own
_MAX_FIELD_BYTES = 16_384


@dataclass(slots=True)
class _Part:
    """One part: its field's name, empty until it is read, whether it is a file, and its content in pieces."""

    name: bytes = b""
    is_file: bool = False
    pieces: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)


class _Form:
    """What the parser's callbacks have collected so far.

    It does not reference its parser: a cycle would keep the pictures in memory until the garbage collector runs.
    """

    def __init__(self, max_parts: int) -> None:
        self.parts: list[_Part] = []
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
        )

    def _begin_part(self) -> None:
        if len(self.parts) == self._max_parts:
            raise MalformedFormError(f"The multipart form has more than {self._max_parts} parts.")
        self.parts.append(_Part())

    def _add_to_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_to_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self.parts[-1].name, self.parts[-1].is_file = options.get(b"name", b""), b"filename" in options
        self._header = self._value = b""

    def _end_headers(self) -> None:
        if not self.parts[-1].name:
            raise MalformedFormError("The multipart form has a part without a name.")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        part = self.parts[-1]
        part.pieces.append(data[start:end])
        if not part.is_file and sum(map(len, part.pieces)) > _MAX_FIELD_BYTES:
            raise MalformedFormError(f"The multipart form has a field of more than {_MAX_FIELD_BYTES} bytes.")

    def _end(self) -> None:
        self.is_complete = True


async def read_form(
    body: AsyncIterator[bytes], content_type: str, name: str, *, max_files: int, max_others: int = OTHER_PARTS
) -> tuple[list[bytes], dict[str, list[str]]]:
    """Read the files of the field `name`, in order, and the values of each text field; other files are skipped.

    Raises `MalformedFormError` if the form cannot be parsed, ends before its closing boundary, or has more parts than
    `max_files` files and `max_others` others.
    """
    try:
        _, options = parse_options_header(content_type)
        if b"boundary" not in options:
            raise MalformedFormError("The multipart form's content type names no boundary.")
        form = _Form(max_files + max_others)
        parser = form.parser(options[b"boundary"])
        async for chunk in body:
            parser.write(chunk)
        parser.finalize()
    except FormParserError as exc:
        raise MalformedFormError("The multipart form cannot be read.") from exc
    if not form.is_complete:
        raise MalformedFormError("The multipart form ends before its closing boundary.")
    files = [part.content for part in form.parts if part.is_file and part.name == name.encode()]
    texts: dict[str, list[str]] = {}
    for part in form.parts:
        if not part.is_file:
            texts.setdefault(part.name.decode(errors="replace"), []).append(part.content.decode(errors="replace"))
    return files, texts
