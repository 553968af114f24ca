"""Clients that take too little of their answers, one and all together."""

import pytest

from whisker.app.server.connection import Connection
from whisker.app.server.connection_watch import ConnectionWatch
from whisker.app.server.outflow import Outflow

_MB = 1_000_000


class Waiting(Connection):
    """A connection without a socket, on which bytes wait."""

    unsent_bytes = 0

    def __init__(self, unsent: int) -> None:
        self.unsent_bytes = unsent
        self.is_aborted = False

    def look(self, now: float, take_seconds: float) -> None:
        pass

    def abort(self, reason: str) -> None:
        del reason
        self.is_aborted = True


def test_largest_answers_go_when_too_much_is_unsent() -> None:
    connections = [Waiting(size * _MB) for size in (1, 30, 2, 40, 3)]
    ConnectionWatch(lambda: connections, max_connections=100).look(0.0)
    assert [it.is_aborted for it in connections] == [False, False, False, True, False]


def test_none_goes_while_there_is_room() -> None:
    connections = [Waiting(20 * _MB) for _ in range(3)]
    ConnectionWatch(lambda: connections, max_connections=100).look(0.0)
    assert not any(it.is_aborted for it in connections)


@pytest.mark.parametrize(
    ("unsent", "stuck"),
    [
        ([50_000, 50_000, 50_000], True),
        ([500_000, 400_000, 341_000], True),
        ([500_000, 400_000, 340_000], False),  # 16 kB a second
        ([50_000, 0, 50_000], False),  # taken, and another answer
    ],
)
def test_client_takes_all_or_sixteen_kilobytes_a_second(unsent: list[int], stuck: bool) -> None:  # noqa: FBT001
    outflow = Outflow()
    looks = [outflow.is_stuck(size, 5.0 * number, 10.0) for number, size in enumerate(unsent)]
    assert looks == [False, False, stuck]


def test_less_is_enough_in_less_time() -> None:
    outflow = Outflow()
    assert [outflow.is_stuck(size, now, 2.0) for size, now in ((100_000, 0.0), (68_000, 2.0))] == [False, False]
