"""Compressed bodies, decompressed in steps that each take little time and give little at once."""

import zlib

from whisker.app.errors import InvalidUploadError

STEP_BYTES, _INPUT_BYTES = 65_536, 16_384  # at most, that a step gives and takes: up to half a millisecond
_FORMATS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # window bits, as zlib has them
_RAW_DEFLATE = -15  # without the head that RFC 9110 wants; some clients leave it out
_MAX_MEMBERS = 1_000  # of a gzip file, which is one after the other
CODINGS = ("gzip", "deflate")


class Inflater:
    """Decompress one body; `consumed` and `produced` count its bytes so far."""

    def __init__(self, coding: str) -> None:
        """Raise `KeyError` for a coding that is not known."""
        self._bits = _FORMATS[coding]
        self._coding = coding
        self._data = b""
        self._at = 0  # of the data, where the next step begins
        self._stream: zlib._Decompress | None = None
        self._members = 0
        self._is_full = False  # the latest step: there may be more without more data
        self.consumed = self.produced = 0

    @property
    def is_pending(self) -> bool:
        """Tell whether a step can be made before more data comes."""
        return self._is_full or (self._at < len(self._data) and not self._awaits_head())

    def feed(self, data: bytes) -> None:
        """Add data, when no step is pending."""
        self._data, self._at = self._data[self._at :] + data, 0

    def step(self) -> bytes:
        """Decompress a piece, which may be empty; raise `InvalidUploadError` for data that is not compressed so."""
        stream = self._stream = self._stream or self._begin()
        given = memoryview(self._data)[self._at : self._at + _INPUT_BYTES]
        try:
            piece = stream.decompress(given, STEP_BYTES)
        except zlib.error as exc:
            raise InvalidUploadError(
                f"The request's Content-Encoding is {self._coding}, but its body is not, or is damaged."
            ) from exc
        taken = len(given) - len(stream.unconsumed_tail) - len(stream.unused_data)
        self._at += taken
        self.consumed += taken
        self.produced += len(piece)
        self._is_full = len(piece) == STEP_BYTES and not stream.eof
        if stream.eof:
            self._stream = None
        return piece

    def finish(self) -> None:
        """Raise `InvalidUploadError` if the data has ended early, or never begun."""
        if self._stream is not None or self._at < len(self._data) or not self._members:
            raise InvalidUploadError(f"The body, compressed with {self._coding}, ends before it is complete.")

    def _begin(self) -> "zlib._Decompress":
        self._members += 1
        if self._members > (_MAX_MEMBERS if self._coding != "deflate" else 1):
            raise InvalidUploadError(f"The body goes on after the end of what is compressed with {self._coding}.")
        return zlib.decompressobj(self._bits if self._coding != "deflate" else self._deflate_bits())

    def _deflate_bits(self) -> int:
        """Tell by the first two bytes whether there is zlib's head (RFC 1950, section 2.2)."""
        first, second = self._data[self._at : self._at + 2]
        return self._bits if first & 15 == 8 and (first << 8 | second) % 31 == 0 else _RAW_DEFLATE

    def _awaits_head(self) -> bool:
        return self._coding == "deflate" and not self._members and len(self._data) - self._at < 2
