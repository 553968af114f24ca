"""Which uploads give way when all of them together fill the memory."""

import pytest

from whisker.app.errors import OverloadedError
from whisker.app.uploads.held_bytes import HeldBytes, HeldUpload

_MB = 1_000_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("whisker.app.uploads.held_bytes.time.monotonic", lambda: now[0])
    return now


def hold(held: HeldBytes, size: int) -> HeldUpload:
    upload = held.open()
    held.add(upload, size)
    return upload


def test_silent_uploads_give_way_and_a_steady_one_does_not(clock: list[float]) -> None:
    held = HeldBytes(200 * _MB)
    silent = [hold(held, 20 * _MB) for _ in range(7)]
    steady = held.open()
    for _ in range(20):
        held.add(steady, _MB // 10)
        clock[0] += 0.3
    for _ in range(3):
        hold(held, 20 * _MB)
    assert not steady.gives_way
    assert sum(upload.gives_way for upload in silent) == 3


def test_dribbling_does_not_help(clock: list[float]) -> None:
    held = HeldBytes(40 * _MB)
    dribbling, steady = hold(held, 20 * _MB), held.open()
    for _ in range(60):
        held.add(dribbling, 1)
        held.add(steady, 50_000)
        clock[0] += 0.1
    hold(held, 20 * _MB)
    assert (dribbling.gives_way, steady.gives_way) == (True, False)


def test_small_uploads_have_a_share_that_large_ones_cannot_take(clock: list[float]) -> None:
    held = HeldBytes(40 * _MB)
    large = hold(held, 20 * _MB)
    large.is_complete = True  # so that it cannot give way
    with pytest.raises(OverloadedError):
        hold(held, 20 * _MB)
    small = [hold(held, _MB) for _ in range(20)]
    clock[0] += 1
    assert not any(upload.gives_way for upload in small)


def test_one_that_had_to_give_way_is_held_no_more(clock: list[float]) -> None:
    held = HeldBytes(_MB)
    slow = hold(held, _MB)
    clock[0] += 1
    hold(held, 1)
    with pytest.raises(OverloadedError):
        held.add(slow, 1)
    held.close(slow)
    hold(held, _MB - 1)


def test_what_is_closed_counts_no_more() -> None:
    held = HeldBytes(_MB)
    for _ in range(5):
        held.close(hold(held, _MB))
