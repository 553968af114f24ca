"""How large the head of a request may be: its target, its header lines, and everything that no body is part of."""

from whisker.app.errors import HeadTooLargeError, ServiceError, TargetTooLongError

MAX_TARGET_BYTES = 16_384
MAX_HEAD_BYTES = 65_536
MAX_HEADER_LINES = 100
MAX_PARAMETERS = 100  # of a query: it takes longer to read than it is long


class HeadSize:
    """Count what a client sends besides bodies; the parser itself would take any amount of it."""

    def __init__(self) -> None:
        self._target = self._parameters = self._head = self._lines = self._received = 0

    def begin(self) -> None:
        """Begin a request."""
        self._target = self._parameters = self._head = self._lines = 0

    def add_target(self, part: bytes) -> None:
        """Count a part of the target, which may come in several."""
        self._target += len(part)
        self._parameters += part.count(b"&")

    def add_line(self, size: int) -> None:
        """Count a complete header line, or one of a trailer, which follows a body in chunks."""
        self._head += size
        self._lines += 1

    def add_received(self, size: int) -> None:
        """Count bytes that no line and no part of a body has come out of yet, such as half a header line."""
        self._received += size

    def forget_received(self) -> None:
        """Know that something has come out of the bytes received."""
        self._received = 0

    @property
    def is_too_large(self) -> bool:
        return (
            self._lines > MAX_HEADER_LINES
            or self._target + self._head > MAX_HEAD_BYTES
            or self._target > MAX_TARGET_BYTES
            or self._parameters >= MAX_PARAMETERS
        )

    @property
    def is_endless(self) -> bool:
        """Tell, when all bytes received have been parsed, whether too many have come to nothing."""
        return self._received > MAX_HEAD_BYTES

    def refusal(self) -> ServiceError:
        """Make the error for a head that is too large."""
        if self._target > MAX_TARGET_BYTES:
            return TargetTooLongError(f"The request's target is longer than {MAX_TARGET_BYTES:,} bytes.")
        if self._parameters >= MAX_PARAMETERS:
            return TargetTooLongError(f"The request's query has more than {MAX_PARAMETERS} parameters.")
        if self._lines > MAX_HEADER_LINES:
            return HeadTooLargeError(f"The request's head has more than {MAX_HEADER_LINES} lines.")
        return HeadTooLargeError(f"The request's head is larger than {MAX_HEAD_BYTES:,} bytes.")
