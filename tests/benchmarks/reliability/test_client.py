"""Every way in which an answer can come or fail to, from real sockets."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from benchmarks.reliability.client import HOST, Reply, ask, count, get, post, statuses
from benchmarks.reliability.prober import Probe, Probes, probing

OK = b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"label": "cat", "score": 0.5}'
BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serving(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections in a thread, one after the other, and let `handle` have each; yield the port."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if connection.recv(1) == b"!":
                        return
                    handle(connection)

        thread = Thread(target=serve)
        thread.start()
        port: int = listener.getsockname()[1]
        try:
            yield port
        finally:
            with socket.create_connection((HOST, port)) as last:
                last.sendall(b"!")
            thread.join()


def answering(answer: bytes) -> Callable[[socket.socket], None]:
    def handle(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(answer)

    return handle


@pytest.mark.parametrize(
    ("answer", "status", "failure"),
    [
        (OK, 200, ""),
        (BUSY, 503, ""),
        (b"", 0, "closed"),
        (OK[:-5], 0, "closed"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0, "not HTTP"),
    ],
)
def test_reply_has_a_status_or_says_why_not(answer: bytes, status: int, failure: str) -> None:
    with serving(answering(answer)) as port:
        reply = ask(port, get("/"))
    assert (reply.status, reply.failure) == (status, failure)


def test_server_that_is_silent_or_away_is_told_apart() -> None:
    enough = Event()

    def wait(_: socket.socket) -> None:
        enough.wait()

    with serving(wait) as port:
        assert ask(port, get("/"), seconds=0.1).failure == "timeout"
        enough.set()
    assert ask(port, get("/")).failure == "refused"


def test_answer_that_comes_before_the_whole_request_was_read_counts() -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(answering(refusal)) as port:
        reply = ask(port, (bytes(65_536) for _ in range(1_000)))
    assert reply.status == 413


def test_reply_tells_what_it_holds() -> None:
    reply = Reply(200, 0.1, OK)
    assert reply.json() == {"label": "cat", "score": 0.5}
    assert reply.verdict() == (200, "cat", 0.5)
    assert not reply.retry_after
    assert Reply(503, 0.1, BUSY).retry_after
    assert Reply(503, 0.1, BUSY).verdict() == (503, "", 0.0)


def test_replies_are_counted() -> None:
    replies = [Reply(200, 0), Reply(503, 0), Reply(500, 0), Reply(0, 0, failure="reset")]
    assert count(replies, 500, 599) == 2
    assert statuses(replies) == "1 x 200, 1 x 500, 1 x 503, 1 x reset"


def test_post_declares_its_length_or_another() -> None:
    assert post("/predict", "A: b", body=b"abc").endswith(b"A: b\r\nContent-Length: 3\r\n\r\nabc")
    assert b"Content-Length: 10000000000\r\n\r\n" in post("/predict", length=10_000_000_000)
    assert post("/", "Host: whisker").count(b"Host:") == 1


def test_prober_asks_until_its_block_ends() -> None:
    asked, enough = 0, Event()

    def handle(connection: socket.socket) -> None:
        nonlocal asked
        asked += 1
        answering(BUSY if asked == 2 else OK)(connection)
        if asked == 4:
            enough.set()

    with serving(handle) as port, probing(port, get("/livez"), every=0.001) as probes:
        enough.wait()
    assert len(probes.all) == asked >= 4
    assert [probe.status for probe in probes.all[:3]] == [200, 503, 200]
    assert [probe.retry_after for probe in probes.all[:2]] == [False, True]
    assert probes.failures() == len(probes.of(503)) == 1


def test_probe_that_fails_is_never_fast() -> None:
    fast = [Probe(0, 0, 0.001, 200, retry_after=False)] * 98
    refused = [Probe(0, 0, 0.001, 503, retry_after=True)] * 2
    assert Probes(fast).p99_ms() == pytest.approx(1)
    assert Probes(fast + refused).p99_ms() == float("inf")
