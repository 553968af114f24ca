"""The load generator against real servers in threads of this process."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from benchmarks.connections import Target
from benchmarks.http import form_request
from benchmarks.load import Load, arrival_times, run_closed, run_count, run_open

REQUESTS = [form_request("/predict", b"photo" * 1000)]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Handler = Callable[[int], Awaitable[bytes | None]]  # of the number of a request, from 0


@contextmanager
def serving(handle: Handler) -> Iterator[int]:
    """Serve in a thread; yield the port. What `handle` returns is the answer; `None` closes the connection."""
    loop, numbers = asyncio.new_event_loop(), iter(range(1_000_000))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.rpartition(b":")[2]))
                answer = await handle(next(numbers))
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass
        finally:
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        for task in asyncio.all_tasks(loop):
            loop.call_soon_threadsafe(task.cancel)
        loop.call_soon_threadsafe(loop.call_later, 0.05, loop.stop)
        thread.join()
        loop.close()


async def answer_at_once(_: int) -> bytes:
    return OK


def test_count_answers_every_request_once() -> None:
    with serving(answer_at_once) as port:
        load = run_count(Target(port, REQUESTS), connections=3, requests=50)
    assert len(load.latencies) == 50
    assert load.errors == {}
    assert load.rate == pytest.approx(50 / load.seconds)


def test_refusals_and_lost_connections_are_counted_and_work_goes_on() -> None:
    async def fail_twice(number: int) -> bytes | None:
        return {3: BUSY, 5: None}.get(number, OK)

    with serving(fail_twice) as port:
        load = run_count(Target(port, REQUESTS), connections=1, requests=20)
    assert load.errors == {"503": 1, "connection": 1}
    assert len(load.shed) == 1
    assert len(load.latencies) == 18


def test_closed_loop_keeps_so_many_requests_under_way() -> None:
    under_way, most = 0, 0

    async def count(_: int) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return OK

    with serving(count) as port:
        load = run_closed(Target(port, REQUESTS), 4, warm_up=0.1, seconds=0.2, server_cpu=time.process_time)
    assert most == 4
    assert load.errors == {}
    assert load.latencies[0] >= 0.005


def test_open_loop_charges_a_stall_to_all_who_wait_for_it() -> None:
    """A server that does one request at a time and stalls once: a closed loop would see one slow answer."""
    lock = asyncio.Lock()

    async def stall_once(number: int) -> bytes:
        async with lock:
            await asyncio.sleep(0.3 if number == 5 else 0)
        return OK

    with serving(stall_once) as port:
        load = run_open(Target(port, REQUESTS), 200, warm_up=0, seconds=0.6, server_cpu=time.process_time)
    moments = list(arrival_times(200, 0.6, 0))
    assert len(load.latencies) == len(moments)
    waited = [moment for moment in moments[6:] if moment < moments[5] + 0.2]
    assert len([latency for latency in load.latencies if latency >= 0.1]) >= len(waited)


def test_server_that_is_not_there_is_an_error_and_no_answer() -> None:
    with serving(answer_at_once) as port:
        pass
    load = run_closed(Target(port, REQUESTS), 1, warm_up=0, seconds=0.1, server_cpu=time.process_time)
    assert load.latencies == ()
    assert set(load.errors) == {"connection"}
    assert math.isnan(load.percentile(50))


def test_percentiles_are_nearest_ranks() -> None:
    load = Load(2.0, tuple(float(value) for value in range(1, 101)), {}, 0.0, 0.0)
    assert [load.percentile(percent) for percent in (0, 50, 99, 100)] == [1.0, 50.0, 99.0, 100.0]
    assert load.rate == 50.0


def test_arrivals_are_as_many_as_asked_for_and_the_same_for_equal_seeds() -> None:
    moments = list(arrival_times(100, 50, seed=1))
    assert moments == list(arrival_times(100, 50, seed=1))
    assert moments == sorted(moments)
    assert len(moments) == pytest.approx(5000, rel=0.05)
