"""The table that HTTP workers share."""

import pytest

from whisker.app.server import balance
from whisker.app.server.balance import shared_balances


def test_worker_with_the_fewest_connections_accepts() -> None:
    mine, other = shared_balances(2)
    assert mine.may_accept  # the other accepts none
    mine.report(2)
    other.report(1)
    assert (mine.may_accept, other.may_accept) == (False, True)
    other.close()
    assert mine.may_accept


@pytest.mark.parametrize(("seconds", "may_accept"), [(60, False), (0, True)])
def test_worker_that_does_not_beat_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, seconds: float, *, may_accept: bool
) -> None:
    mine, other = shared_balances(2)
    mine.report(2)
    other.report(1)
    monkeypatch.setattr(balance, "PASSED_OVER_SECONDS", seconds)
    assert mine.may_accept == may_accept
    other.forget()
    assert mine.may_accept
