"""Connections over real sockets: what never becomes a request, what takes too long, and how a service says farewell."""

import contextlib
import json
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

from tests.app.conftest import Server, picture

_PNG = picture()


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, WHISKER_RECEIVE_SECONDS="1")
    yield server
    server.clean_up()


@contextlib.contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        yield connection


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
        with connected(server) as connection:
            connection.sendall(_SLOW[name])
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
def test_rest_of_a_refused_body_is_not_awaited_for_ever(slow: dict[str, Ending]) -> None:
    assert slow["rest of a refused body"].line == "HTTP/1.1 404 Not Found"
    assert slow["rest of a refused body"].seconds < 20


def test_body_that_does_not_come_is_given_up(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nx"
        )
        line, body = read_to_end(connection)
    assert line == "HTTP/1.1 408 Request Timeout"
    assert json.loads(body)["code"] == "request_timeout"


def test_upload_for_which_there_is_no_room_is_refused_and_its_connection_kept(tiny: Path) -> None:
    server = Server(tiny, "--max-in-flight=1", "--inference-workers=1")
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
                connection.sendall(_head("POST", "/predict", "Content-Type: image/png", f"Content-Length: {len(_PNG)}"))
                connection.sendall(_PNG)
                status, headers, body = _read_answer(connection)
                statuses.append(status)
            stop.set()
            assert json.loads(body)["code"] == "overloaded"
            assert json.loads(body)["request_id"] == headers["x-request-id"] == "mine"
            assert int(headers["retry-after"]) >= 1
            assert headers["x-content-type-options"] == "nosniff"
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
