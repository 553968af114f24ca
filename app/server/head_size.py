"""How large the head of a request may be: its target, its header lines, and everything that no body is part of."""

from collections.abc import Sequence

from whisker.app.errors import HeadTooLargeError, ServiceError, TargetTooLongError

MAX_TARGET_BYTES = 16_384
MAX_PARAMETERS = 100  # of a query: it takes longer to read than it is long
MAX_HEAD_BYTES = 65_536
MAX_HEADER_LINES = 100


def head_refusal(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> ServiceError | None:
    """Make the error for a head that is too large; `None` if it is not."""
    if len(target) > MAX_TARGET_BYTES:
        return TargetTooLongError(f"The request's target is longer than {MAX_TARGET_BYTES:,} bytes.")
    if target.count(b"&") >= MAX_PARAMETERS:
        return TargetTooLongError(f"The request's query has more than {MAX_PARAMETERS} parameters.")
    if len(headers) > MAX_HEADER_LINES:
        return HeadTooLargeError(f"The request's head has more than {MAX_HEADER_LINES} lines.")
    if len(target) + sum([len(name) + len(value) for name, value in headers]) > MAX_HEAD_BYTES:
        return endless_head()
    return None


def endless_head() -> ServiceError:
    """Make the error for more bytes than a head may have, of which no head has come."""
    return HeadTooLargeError(f"The request's head is larger than {MAX_HEAD_BYTES:,} bytes.")
