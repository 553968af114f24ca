"""Real pictures, mutated, against a real server: whatever comes, a documented answer, and the same for good ones."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.conftest import Server
from tests.pictures import draw, encode
from whisker.app.web.problem_kinds import KINDS

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_PICTURES = {format_: encode(draw("rings", 0, (90, 70)), format_) for format_ in _FORMATS}
_GOOD = {"file": ("good.jpg", _PICTURES["JPEG"])}


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1")
    assert server.process.stderr is not None
    threading.Thread(target=deque, args=(server.process.stderr, 0), daemon=True).start()  # a full pipe would stop it
    yield server
    server.clean_up()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a picture file of which some parts were overwritten, taken out, repeated or cut off."""
    data = bytearray(_PICTURES[draw(st.sampled_from(_FORMATS))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        end = at + draw(st.integers(0, 40))
        match draw(st.sampled_from(("overwrite", "take out", "repeat", "cut off"))):
            case "overwrite":
                noise = draw(st.binary(min_size=1, max_size=40))
                data[at : at + len(noise)] = noise
            case "take out":
                del data[at:end]
            case "repeat":
                data[at:at] = data[at:end] * draw(st.integers(1, 50))
            case _:
                del data[at:]
    return bytes(data)


@settings(
    max_examples=300, derandomize=True, deadline=2_000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=mutated(), as_form=st.booleans())
def test_any_mutated_picture_is_answered_as_documented(server: Server, data: bytes, as_form: bool) -> None:  # noqa: FBT001 - drawn
    request: dict[str, Any] = {"files": {"file": ("a", data)}} if as_form else {"content": data}
    headers = {} if as_form else {"Content-Type": "image/jpeg"}
    answer = server.client.post("/predict", headers=headers, **request)
    assert answer.status_code in {200, 413, 415, 422}
    if answer.status_code != 200:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["code"] in {kind.code for kind in KINDS.values()}


_PATHS = ("/", "/models/tiny", "/v1/models/tiny:predict", "/v2/models/tiny/infer", "/invocations")
_WORDS = (
    "inputs",
    "instances",
    "b64",
    "parameters",
    "top_k",
    "outputs",
    "id",
    "name",
    "image",
    "shape",
    "datatype",
    "data",
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(_WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=12,
)
_TENSOR = st.fixed_dictionaries(
    {"name": st.just("image"), "shape": st.lists(st.integers(-1, 4), max_size=5), "data": _JSON},
    optional={"datatype": st.sampled_from(("BYTES", "UINT8", "FP32")), "parameters": _JSON},
)
_REQUESTS = _JSON | st.fixed_dictionaries(
    {"inputs": st.lists(_TENSOR, max_size=2)}, optional={"outputs": _JSON, "id": _JSON}
)


@settings(max_examples=300, derandomize=True, deadline=2_000)
@given(document=_REQUESTS, path=st.sampled_from(_PATHS))
def test_any_document_of_other_protocols_is_answered_as_documented(server: Server, document: Any, path: str) -> None:
    answer = server.client.post(path, content=json.dumps(document), headers={"Content-Type": "application/json"})
    assert answer.status_code in {200, 415, 422}
    if answer.status_code != 200:
        assert answer.json()["code"] in {kind.code for kind in KINDS.values()}


def test_good_picture_is_answered_as_before_the_mutated_ones(server: Server) -> None:
    answer = server.client.post("/predict", files=_GOOD)
    assert answer.status_code == 200
    assert answer.json()["image"] == {"width": 90, "height": 70, "format": "JPEG"}
