"""Connections over real sockets: what never becomes a request, what takes too long, and how a service says farewell."""

import base64
import contextlib
import json
import re
import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from benchmarks.reliability.mutation import mutated_requests
from tests.app.conftest import Server, picture
from whisker.app.server.bounded_connection import MAX_WAITING

pytestmark = pytest.mark.usefixtures("measured")

_PNG = picture()


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, WHISKER_RECEIVE_SECONDS="1")
    yield server
    server.clean_up()


@contextlib.contextmanager
def connected(server: Server, *, window: int | None = None) -> Iterator[socket.socket]:
    """Connect; with a `window`, the client's own system holds no more bytes than that."""
    host, port = server.address.removeprefix("http://").split(":")
    with socket.socket() as connection:
        if window is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        connection.connect((host, int(port)))
        yield connection


def exchange(server: Server, request: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send bytes, and read all answers until the connection is closed."""
    with connected(server) as connection:
        with contextlib.suppress(ConnectionError):  # refused before everything was sent
            connection.sendall(request)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65_536):
                received += data
    answers = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers["content-length"])
        answers.append((int(line.split()[1]), headers, rest[:length]))
        received = rest[length:]
    return answers


def read_to_end(connection: socket.socket) -> tuple[str, bytes]:
    """Return the first line and the body of what is sent until the connection is closed."""
    content = b""
    with contextlib.suppress(ConnectionResetError):  # if bytes were sent that nobody read
        while received := connection.recv(65_536):
            content += received
    head, _, body = content.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01 TLS", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"\0" * 100])
def test_what_is_not_http_is_a_problem(server: Server, nonsense: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(nonsense)
        line, body = read_to_end(connection)
    assert line == "HTTP/1.1 400 Bad Request"
    assert json.loads(body)["code"] == "malformed_request"


@dataclass(frozen=True)
class Ending:
    """How a connection ended: after how many seconds, and with what answer."""

    seconds: float
    line: str
    body: bytes


_SLOW = {
    "unread answer": b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n" * 6,
    "silence": b"",
    "line breaks": b"\r\n",
    "half a head": b"GET / HTTP/1.1\r\nHost: whisker\r\n",
    "rest of a refused body": b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n",
}


@pytest.fixture(scope="module")
def slow(server: Server) -> dict[str, Ending]:
    """Let all slow clients wait at the same time; the last one goes on to send a byte now and then."""

    def wait(name: str) -> Ending:
        started, stop = time.monotonic(), Event()
        with connected(server, window=2048 if name == "unread answer" else None) as connection:
            connection.sendall(_SLOW[name])
            if name == "unread answer":
                hung_up = select.poll()
                hung_up.register(connection, 0)
                hung_up.poll(20_000)
            if name == "rest of a refused body":
                Thread(target=drip, args=(connection, stop), daemon=True).start()
            try:
                line, body = read_to_end(connection)
            finally:
                stop.set()
        return Ending(time.monotonic() - started, line, body)

    with ThreadPoolExecutor(len(_SLOW)) as pool:
        return dict(zip(_SLOW, pool.map(wait, _SLOW), strict=True))


def drip(connection: socket.socket, stop: Event) -> None:
    with contextlib.suppress(OSError):
        while not stop.wait(0.5):
            connection.sendall(b"x")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["silence", "line breaks", "half a head"])
def test_head_that_does_not_come_is_given_up_after_ten_seconds(slow: dict[str, Ending], name: str) -> None:
    assert 9 < slow[name].seconds < 14
    if name == "half a head":
        assert slow[name].line == "HTTP/1.1 408 Request Timeout"
        assert json.loads(slow[name].body)["code"] == "request_timeout"
    else:
        assert (slow[name].line, slow[name].body) == ("", b"")


@pytest.mark.slow
def test_answer_that_is_not_read_is_given_up_after_ten_seconds(slow: dict[str, Ending]) -> None:
    assert 9 < slow["unread answer"].seconds < 14


@pytest.mark.slow
def test_rest_of_a_refused_body_is_not_awaited_for_ever(slow: dict[str, Ending]) -> None:
    assert slow["rest of a refused body"].line == "HTTP/1.1 404 Not Found"
    assert slow["rest of a refused body"].seconds < 20


def test_client_that_does_not_read_keeps_no_slot(tiny: Path) -> None:
    server = Server(tiny, "--max-in-flight=1", "--inference-workers=1", "--drain-seconds=0")
    filling = _SLOW["unread answer"]
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                unread = stack.enter_context(connected(server, window=2048))
                unread.sendall(filling + _head("POST", "/predict", "Content-Type: image/png", "Content-Length: 9"))
                unread.sendall(b"no photo!")
            statuses = [
                server.client.post("/predict", content=_PNG, headers={"Content-Type": "image/png"}).status_code
                for _ in range(5)
            ]
            assert statuses == [200] * 5
            started = time.monotonic()
            code, lines = server.stop()
            assert (code, time.monotonic() - started < 8) == (0, True)
            assert "Exception" not in " ".join(lines)
    finally:
        server.clean_up()


_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
_TINY = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
_UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        _TINY,
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 0\r\n\r\n",
        _TINY[:-2] + _UPGRADE + b"\r\n",
    ],
    ids=["GET", "POST", "upgrade"],
)
def test_pipeline_ends_after_a_handful_of_requests(server: Server, request_: bytes) -> None:
    answers = exchange(server, request_ * 5_000)
    assert 1 <= len(answers) <= MAX_WAITING
    assert server.client.get("/livez").status_code == 200


def test_handful_of_requests_may_be_sent_at_once(server: Server) -> None:
    closing = _TINY[:-2] + b"Connection: close\r\n\r\n"
    assert [status for status, _, _ in exchange(server, _TINY * (MAX_WAITING - 1) + closing)] == [200] * MAX_WAITING


_START = b"GET /livez HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = b"POST /nowhere HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
_TOO_LARGE = {
    "lines": (_START + b"X: y\r\n" * 100 + b"\r\n", 431),
    "a header": (_START + b"X: " + b"y" * 66_000 + b"\r\n\r\n", 431),
    "an endless header": (_START + b"X: " + b"y" * 5_000_000, 431),
    "an endless name": (_START + b"x" * 5_000_000, 431),
    "line breaks": (b"\r\n" * 500_000, 431),
    "a target": (b"GET /" + b"a" * 16_384 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "parameters": (b"GET /livez?" + b"a&" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "an endless target": (b"GET /" + b"a" * 5_000_000, 414),
}


@pytest.mark.parametrize("name", _TOO_LARGE)
def test_head_that_is_too_large_is_refused(server: Server, name: str) -> None:
    request, expected = _TOO_LARGE[name]
    ((status, headers, body),) = exchange(server, request)
    assert (status, headers["connection"]) == (expected, "close")
    assert json.loads(body)["code"] in ("head_too_large", "target_too_long")


@pytest.mark.parametrize(
    "request_",
    [
        _CHUNKED + b"0\r\n" + b"X: y\r\n" * 200,
        _CHUNKED + b"0\r\nX: " + b"y" * 500_000,
        _CHUNKED + b"5;" + b"y" * 500_000,
    ],
    ids=["trailers", "a trailer", "an extension"],
)
def test_chunks_without_content_have_an_end(server: Server, request_: bytes) -> None:
    (*_, (status, _, _)) = exchange(server, request_)
    assert status in (404, 431)  # the former if the answer was there before


def test_head_that_is_just_small_enough_is_answered(server: Server) -> None:
    request = _START + b"X: y\r\n" * 97 + b"Y: " + b"y" * 60_000 + b"\r\nConnection: close\r\n\r\n"
    assert [status for status, _, _ in exchange(server, request)] == [200]


def test_body_after_an_offer_to_upgrade_is_a_body(server: Server) -> None:
    inner = b"GET /model HTTP/1.1\r\nHost: a\r\n\r\n"
    for body in (_PNG, inner):
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n" % len(body)
        answers = exchange(server, head + _UPGRADE + b"\r\n" + body + _TINY[:-2] + b"Connection: close\r\n\r\n")
        assert [status for status, _, _ in answers] == [200 if body is _PNG else 415, 200]
        assert answers[-1][2] == b'{"status":"alive"}'


_JAVA = (  # what its HttpClient sends, in its order
    b"POST %b HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\nHost: 127.0.0.1:8000\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\n%b\r\n%b"
)


def test_java_client_is_answered(server: Server) -> None:
    text = base64.b64encode(_PNG)
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%b\r\n' % _PNG
    kinds = {
        b"form": b"Content-Type: multipart/form-data;boundary=b\r\n",
        b"json": b"Content-Type: application/json\r\n",
    }
    requests = [
        (b"/predict", b"", _PNG),
        (b"/predict/batch", kinds[b"form"], part * 2 + b"--b--\r\n"),
        (b"/v1/models/tiny:predict", kinds[b"json"], b'{"instances": [{"b64": "%b"}]}' % text),
        (b"/", kinds[b"json"], b'{"inputs": "%b"}' % text),
    ]
    for path, kind, body in requests:
        sent = _JAVA % (path, len(body), kind, body)
        answers = exchange(server, sent + _TINY[:-2] + b"Connection: close\r\n\r\n")
        assert [status for status, _, _ in answers] == [200, 200], path


def test_chunks_after_an_offer_to_upgrade_are_a_body(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n"
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_PNG), _PNG)
    answers = exchange(server, head + _UPGRADE + b"\r\n" + chunks + _TINY[:-2] + b"Connection: close\r\n\r\n")
    assert [status for status, _, _ in answers] == [200, 200]


def test_large_body_that_comes_with_its_head_is_no_large_head(server: Server) -> None:
    large = _PNG + bytes(1_000_000)
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nConnection: close\r\n"
    answers = exchange(server, head + b"Content-Length: %d\r\n\r\n" % len(large) + large)
    assert [status for status, _, _ in answers] == [200]


def test_connect_is_refused(server: Server) -> None:
    ((status, _, body),) = exchange(server, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + _TINY)
    assert (status, json.loads(body)["code"]) == (400, "malformed_request")


def test_malformed_chunk_is_a_problem_too(server: Server) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    ((status, _, body),) = exchange(server, head + b"5\r\nhelloXX")
    assert (status, json.loads(body)["code"]) == (400, "malformed_request")


def test_mutated_requests_get_sensible_answers_and_an_end(server: Server) -> None:
    """Pipelines, upgrades, trailers and forms, the same in every run."""

    def send(request: bytes) -> list[int]:
        received = b""
        with connected(server) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(request)
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):  # it waits for more
                while data := connection.recv(65_536):
                    received += data
            connection.settimeout(10)
            connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65_536):
                received += data
        return [int(status) for status in _STATUS.findall(received)]

    requests = list(mutated_requests(_PNG, 200, seed=2))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, requests))
    assert sum(map(len, answers)) > 100
    for request, statuses in zip(requests, answers, strict=True):
        assert all(200 <= status < 500 for status in statuses), request
        assert len(statuses) <= MAX_WAITING, request
    assert server.client.post("/predict", content=_PNG, headers={"Content-Type": "image/png"}).status_code == 200


def test_body_that_does_not_come_is_given_up(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
        )
        line, body = read_to_end(connection)
    assert line == "HTTP/1.1 408 Request Timeout"
    assert json.loads(body)["code"] == "request_timeout"


def test_upload_for_which_there_is_no_room_is_refused_and_its_connection_kept(tiny: Path) -> None:
    server = Server(tiny, "--max-in-flight=1", "--inference-workers=1", WHISKER_CORS_ORIGINS="https://shop.example")
    large = picture(7000, 7000)
    stop = Event()

    def keep_busy() -> None:
        while not stop.is_set():
            httpx.post(f"{server.address}/predict", content=large, headers={"Content-Type": "image/png"}, timeout=60)
            time.sleep(0.2)  # when refused itself, it must not use up the log's lines for a second

    busy = Thread(target=keep_busy)
    busy.start()
    try:
        with connected(server) as connection:
            statuses: list[int] = []
            while statuses[-2:] != [503, 503]:  # the first may have begun when there was room
                fields = ("Content-Type: image/png", f"Content-Length: {len(_PNG)}", "Origin: https://shop.example")
                connection.sendall(_head("POST", "/predict", *fields))
                connection.sendall(_PNG)
                status, headers, body = _read_answer(connection)
                statuses.append(status)
            stop.set()
            assert json.loads(body)["code"] == "overloaded"
            assert json.loads(body)["request_id"] == headers["x-request-id"] == "mine"
            assert int(headers["retry-after"]) >= 1
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["access-control-allow-origin"] == "https://shop.example"
            assert "retry-after" in headers["access-control-expose-headers"]
            assert headers["vary"] == "origin"
            assert "connection" not in headers
            connection.sendall(_head("GET", "/livez"))
            assert _read_answer(connection)[0] == 200
        busy.join()
        assert 'whisker_problems_total{code="overloaded"}' in server.client.get("/metrics").text
        server.process.send_signal(signal.SIGINT)
        while server.read_until("An upload was refused")["request_id"] != "mine":
            pass  # the other client's
    finally:
        stop.set()
        busy.join()
        server.clean_up()


def _head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: whisker", "X-Request-ID: mine", *headers, "", ""]).encode()


def _read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer whose length is told."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65_536)
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65_536)
    return int(line.split()[1]), headers, body


def test_service_that_drains_says_so_and_answers_until_it_closes(tiny: Path) -> None:  # in the order of an end
    server = Server(tiny, "--drain-seconds=1")
    try:
        assert "connection" not in server.client.get("/readyz").headers
        server.process.send_signal(signal.SIGTERM)
        while server.client.get("/readyz").status_code == 200:
            pass
        refused = server.client.get("/readyz")
        assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
        assert server.client.get("/health").status_code == 503
        answer = server.client.post("/predict", content=picture(), headers={"Content-Type": "image/png"})
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        code, _ = server.end()
        assert code == 0
    finally:
        server.clean_up()


def test_second_signal_does_not_wait(tiny: Path) -> None:
    server = Server(tiny, "--drain-seconds=60")
    try:
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        while server.client.get("/readyz").status_code == 200:
            pass
        server.process.send_signal(signal.SIGTERM)
        assert server.end()[0] == 0
        assert time.monotonic() - started < 30
    finally:
        server.clean_up()
