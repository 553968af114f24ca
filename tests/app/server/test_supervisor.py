"""The supervisor's arithmetic; its processes are in test_workers.py."""

from typing import Literal

import pytest

from whisker.app.server.supervisor import count_workers, restart_delay
from whisker.app.settings import Settings


@pytest.mark.parametrize(
    ("workers", "cores", "expected"), [(1, 64, 1), (3, 1, 3), ("auto", 1, 1), ("auto", 4, 1), ("auto", 5, 2)]
)
def test_auto_is_a_worker_for_every_four_cores(
    workers: int | Literal["auto"], cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whisker.app.server.supervisor.available_cores", lambda: cores)
    assert count_workers(Settings(workers=workers)) == expected


def test_deaths_in_a_row_are_followed_by_longer_and_longer_waits() -> None:
    assert [restart_delay(deaths) for deaths in range(1, 9)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert restart_delay(10_000) == 30
