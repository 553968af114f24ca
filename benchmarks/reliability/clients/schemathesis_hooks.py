"""What Schemathesis is told of our API: some of the bytes that it sends as pictures shall be pictures."""

import schemathesis
from hypothesis import strategies as st
from PIL import Image
from schemathesis.transport.serialization import Binary

from benchmarks.reliability.pictures import encode

_PICTURES = [encode(Image.new("RGB", (40, 30), "teal"), format_) for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]

schemathesis.openapi.format("binary", st.one_of(st.sampled_from(_PICTURES), st.binary()).map(Binary))
