"""Silence is what the supervisor has seen itself, whatever the clock says."""

import time

import pytest

from whisker.app.server.balance import ConnectionBalance, shared_balances
from whisker.app.server.silence import CHECK_SECONDS, Silence
from whisker.app.time_limits import KILL_SECONDS

_HOUR = 3600.0


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def watch(self, silence: Silence, seconds: float, *, beats: ConnectionBalance | None = None) -> None:
        """Check often, as the supervisor does, for so many seconds."""
        for _ in range(int(seconds / CHECK_SECONDS)):
            self.now += CHECK_SECONDS
            if beats is not None:
                beats.beat()
            silence.check()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def worker() -> ConnectionBalance:
    return shared_balances(1)[0]


def test_worker_that_beats_is_never_silent_and_one_that_stops_is(worker: ConnectionBalance, clock: Clock) -> None:
    silence = Silence(worker, start_seconds=60)
    clock.watch(silence, 100, beats=worker)
    assert not silence.is_longer_than(0)
    clock.watch(silence, 9)
    assert not silence.is_longer_than(10)
    clock.watch(silence, 2)
    assert silence.is_longer_than(10)
    clock.watch(silence, 1, beats=worker)
    assert not silence.is_longer_than(0)


def test_pause_of_the_whole_machine_is_no_silence(worker: ConnectionBalance, clock: Clock) -> None:
    silence = Silence(worker, start_seconds=60)
    clock.watch(silence, 1, beats=worker)
    clock.now += _HOUR
    clock.watch(silence, 1)  # nobody has beaten yet
    assert not silence.is_longer_than(2)


def test_checks_that_come_faster_count_for_no_more(worker: ConnectionBalance, clock: Clock) -> None:
    silence = Silence(worker, start_seconds=60)
    clock.watch(silence, 1, beats=worker)
    for _ in range(1000):
        silence.check()
    assert not silence.is_longer_than(0)


def test_worker_may_be_silent_before_it_beats_and_when_it_ends(worker: ConnectionBalance, clock: Clock) -> None:
    silence = Silence(worker, start_seconds=60)
    clock.watch(silence, 60)
    assert not silence.is_longer_than(0)
    clock.watch(silence, 1)
    assert silence.is_longer_than(0)
    worker.rest()
    clock.watch(silence, KILL_SECONDS)
    assert not silence.is_longer_than(0)
    clock.watch(silence, 1)
    assert silence.is_longer_than(0)
