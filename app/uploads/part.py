"""One part of a multipart form, and whether it is a file."""

import re
from dataclasses import dataclass, field

from python_multipart.multipart import parse_options_header

from whisker.app.uploads.signature import START_BYTES, is_picture

# `filename*` is forbidden in forms by RFC 7578, and sent: RFC 8187 has its notation.
_FILE_NAME = re.compile(rb";[ \t]*filename\*?[ \t]*=[ \t]*(?P<empty>\"\"|$|;)?", re.IGNORECASE)
_FILE_TYPES = (b"image/", b"application/octet-stream")


@dataclass(slots=True)
class Part:
    """One part: its field's name, empty until it is read, whether it is a file, and its content in pieces.

    It is one by its file's name or content type or, where a client sends neither, because it is a picture.
    """

    name: bytes = b""
    is_file: bool = False
    is_nameless: bool = False  # a file whose name is said to be empty, as of a browser's input without a choice
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def content(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def start(self) -> bytes:
        """Give the first bytes, without putting all of a large file together."""
        start = b""
        for piece in self.pieces:
            start += piece[: START_BYTES - len(start)]
            if len(start) == START_BYTES:
                break
        return start

    @property
    def field_name(self) -> str:
        """Give the field's name as text."""
        return self.name.decode(errors="replace")

    def note_header(self, name: bytes, value: bytes) -> None:
        """Take what a header says about the part."""
        if name == b"content-disposition":
            _, options = parse_options_header(value)
            self.name = options.get(b"name", b"")
            if found := _FILE_NAME.search(value):
                self.is_file, self.is_nameless = True, found["empty"] is not None
        elif name == b"content-type":
            self.is_file = self.is_file or value.lower().startswith(_FILE_TYPES)

    def settle(self) -> None:
        """Decide, now that there is enough of it, whether a part without a file's name is one."""
        self.is_file = self.is_file or is_picture(self.start)
