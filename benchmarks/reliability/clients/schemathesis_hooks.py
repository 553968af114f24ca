"""What Schemathesis is told of our API: some of the bytes that it sends as pictures shall be pictures.

And a picture may be the whole body, which the description says in prose alone, as generators of clients need it.
"""

from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis import HookContext
from schemathesis.transport.serialization import Binary

from benchmarks.reliability.pictures import encode

_PICTURES = [encode(Image.new("RGB", (40, 30), "teal"), format_) for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]
_ALONE = ("image/*", "application/octet-stream")

schemathesis.openapi.format("binary", st.one_of(st.sampled_from(_PICTURES), st.binary()).map(Binary))


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Describe the bodies that are a picture and nothing else."""
    for path in ("/predict", "/explain"):
        content = raw_schema["paths"][path]["post"]["requestBody"]["content"]
        content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in _ALONE}
