"""Pictures that wait: single ones first, forms not for ever behind them, and only so many heavy ones."""

import asyncio

import pytest

from whisker.app.errors import OverloadedError
from whisker.app.inference.requests import PendingPrediction
from whisker.app.inference.waiting import WaitingPictures
from whisker.app.inference.wire import PredictionOptions

pytestmark = pytest.mark.anyio


def pending(
    name: bytes, *, has_company: bool = False, is_spare: bool = False, waited: float = 0.0
) -> PendingPrediction:
    """Make a picture that has waited for so many seconds."""
    result = asyncio.get_running_loop().create_future()
    upload = PendingPrediction(name, PredictionOptions(1), result, has_company=has_company, is_spare=is_spare)
    upload.since -= waited
    return upload


def taken(waiting: WaitingPictures, share: int = 4) -> list[bytes]:
    return [one.data for one in waiting.take(share)]


async def test_single_pictures_go_before_those_of_a_form() -> None:
    changes: list[int] = []
    waiting = WaitingPictures(1, changes.append)
    for name in (b"1", b"2", b"3"):
        waiting.put(pending(name, has_company=True))
    assert waiting.is_company_next
    waiting.put(pending(b"single"))
    assert (len(waiting), waiting.is_company_next) == (4, False)
    assert taken(waiting) == [b"single"]
    assert taken(waiting, 2) == [b"1", b"2"]
    assert (sum(changes), waiting.light) == (1, 1)


async def test_pictures_of_a_form_do_not_wait_for_ever() -> None:
    waiting = WaitingPictures(1, lambda _: None)
    waiting.put(pending(b"early", waited=2))
    waiting.put(pending(b"form", has_company=True, waited=1))
    waiting.put(pending(b"late"))
    assert taken(waiting, 1) == [b"early"]
    assert taken(waiting) == [b"form"]
    assert taken(waiting) == [b"late"]


async def test_heavy_pictures_beyond_their_share_are_told_when_to_come_again() -> None:
    waiting = WaitingPictures(2, lambda _: None)
    waiting.note_heavy(3.0)
    left = pending(b"left")
    waiting.put_heavy(left, 1)
    with pytest.raises(OverloadedError, match="take long") as refusal:
        waiting.put_heavy(pending(b"too many"), 1)
    assert refusal.value.retry_seconds == 7
    with pytest.raises(OverloadedError):
        waiting.put_heavy(pending(b"for nobody", is_spare=True), 0)  # which has to be the only one
    waiting.put_heavy(pending(b"of a form", has_company=True), 1)
    left.result.cancel()
    following = waiting.heavy
    assert following is not None
    assert waiting.take_heavy() is following
    assert following.data == b"of a form"
    assert len(waiting) == 0
