"""The trace that a request is part of: named in its log lines, and linked to by its answer.

`traceparent` is W3C Trace Context's; malformed ones are ignored, as it says. Without one, what Amazon's and Google's
load balancers send names the trace. The service calls no other, so the trace goes no further; `traceresponse`, of the
W3C's draft of trace response headers, tells the caller as which span its request was logged. Where spans are recorded,
app/tracing/ has made that span.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_W3C, _AMAZON, _GOOGLE = b"traceparent", b"x-amzn-trace-id", b"x-cloud-trace-context"
_PARENT = re.compile(
    rb"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})"
    rb"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_ROOT = re.compile(rb"(?:.*;)?\s*Root=(1-[0-9a-f]{8}-[0-9a-f]{24})(?:;.*)?")
_CLOUD = re.compile(rb"([0-9a-f]{32})(?:/\d{1,20})?(?:;o=\d)?")
_FLAGS = "00"  # no trace data is recorded here, but for the log
_SAMPLED = 1  # the flag of a caller that records the trace
TRACE = "whisker.trace"  # where a request's scope has its trace, if spans are made


@dataclass(frozen=True, slots=True)
class Trace:
    """What log lines say of a trace, and the header of an answer, which is empty if there is none.

    `is_sampled` tells whether the caller says that it records the trace.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    response: str = ""
    is_sampled: bool = False


_NONE = Trace()


def find_trace(headers: Iterable[tuple[bytes, bytes]]) -> Trace:
    """Find the trace that a request's headers name."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (_W3C, _AMAZON, _GOOGLE):
            found[name] = b"" if name in found else value  # said twice, it is not said
    if not found:
        return _NONE
    parent = _PARENT.fullmatch(found.get(_W3C, b""))
    if parent is not None and not (parent["version"] == b"00" and parent["more"]):
        is_sampled = bool(int(parent["flags"], 16) & _SAMPLED)
        return _joined(parent["trace"].decode(), parent["parent"].decode(), is_sampled=is_sampled)
    named = _ROOT.fullmatch(found.get(_AMAZON, b"")) or _CLOUD.fullmatch(found.get(_GOOGLE, b""))
    return Trace({"trace_id": named[1].decode()}) if named else _NONE


def _joined(trace: str, parent: str, *, is_sampled: bool) -> Trace:
    span = secrets.token_hex(8)
    fields = {"trace_id": trace, "span_id": span, "parent_id": parent}
    return Trace(fields, f"00-{trace}-{span}-{_FLAGS}", is_sampled)
