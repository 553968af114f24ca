"""Request ids: taken from the client if sane, made up if not, in every answer; and the traces of W3C and platforms."""

import json
import logging

import httpx
import pytest

from whisker.app.logs import JsonFormatter, current_request_id
from whisker.app.web.trace_context import Trace, find_trace

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("given", ["a", "0b5e9a3c-7d1f-4e6f-8a2b-4c6d8e0f1a2b", "1-67a:b/c=+._", "x" * 128])
async def test_sane_id_is_sent_back(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert response.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "two words", "né", 'quo"te'])
async def test_other_id_is_replaced(client: httpx.AsyncClient, given: str) -> None:
    response = await client.get("/livez", headers={b"X-Request-ID": given.encode()})
    made_up = response.headers["x-request-id"]
    assert made_up != given
    assert len(made_up) == 32


async def test_each_request_gets_another_id(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/livez")).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3


async def test_problem_names_the_request(client: httpx.AsyncClient) -> None:
    response = await client.get("/nothing", headers={"X-Request-ID": "mine"})
    assert response.json()["request_id"] == response.headers["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Correlation-ID": "theirs"}, "theirs"),
        ({"X-Correlation-ID": "theirs", "X-Request-ID": "mine"}, "mine"),
        ({"X-Correlation-ID": "theirs", "X-Request-ID": "not valid"}, "theirs"),
    ],
    ids=str,
)
async def test_correlation_id_is_one(client: httpx.AsyncClient, headers: dict[str, str], expected: str) -> None:
    response = await client.get("/nothing", headers=headers)
    assert response.headers["x-request-id"] == response.json()["request_id"] == expected


_TRACE, _PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_trace_is_logged_and_linked_to(client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonFormatter().format(record))  # type: ignore[method-assign]
    caplog.set_level("INFO", "whisker.app.web.access_log")  # which is undone afterwards
    logger = logging.getLogger("whisker.app.web.access_log")
    logger.addHandler(handler)
    for version in ("00", "01"):
        traceparent = f"{version}-{_TRACE}-{_PARENT}-01{'' if version == '00' else '-more'}"
        response = await client.get("/nothing", headers={"traceparent": traceparent, "tracestate": "a=1"})
        line = json.loads(lines.pop())
        assert (line["trace_id"], line["parent_id"]) == (_TRACE, _PARENT)
        assert response.headers["traceresponse"] == f"00-{_TRACE}-{line['span_id']}-00"
        assert line["span_id"] not in (_PARENT, "0" * 16)
        assert line["request_id"] == response.headers["x-request-id"]
    logger.removeHandler(handler)


@pytest.mark.parametrize(
    "given",
    [
        "",
        f"00-{_TRACE}-{_PARENT}",
        f"00-{_TRACE}-{_PARENT}-01-more",
        f"ff-{_TRACE}-{_PARENT}-01",
        f"00-{'0' * 32}-{_PARENT}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE.upper()}-{_PARENT}-01",
        f"00-{_TRACE}-{_PARENT}-1",
        f"00-{_TRACE}x-{_PARENT}-01",
        f"00-{_TRACE}-{_PARENT}-01, 00-{_TRACE}-{_PARENT}-01",
    ],
)
def test_malformed_trace_is_ignored(given: str) -> None:
    assert find_trace([(b"traceparent", given.encode())]) == Trace()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793", "1-5759e988-bd862e3fe1be46a994272793"),
        (
            "x-amzn-trace-id",
            "Self=1-a;Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
            "1-5759e988-bd862e3fe1be46a994272793",
        ),
        ("x-cloud-trace-context", f"{_TRACE}/123;o=1", _TRACE),
        ("x-cloud-trace-context", _TRACE, _TRACE),
        ("x-cloud-trace-context", "nonsense", None),
        ("x-amzn-trace-id", "Root=nonsense", None),
    ],
)
def test_platforms_trace_is_logged(name: str, given: str, expected: str | None) -> None:
    trace = find_trace([(name.encode(), given.encode()), (b"traceparent", b"nonsense")])
    assert trace == Trace({} if expected is None else {"trace_id": expected})
    assert find_trace([(name.encode(), given.encode())] * 2) == Trace()  # said twice


async def test_there_is_no_id_outside_a_request(client: httpx.AsyncClient) -> None:
    await client.get("/livez")
    assert current_request_id() == ""
