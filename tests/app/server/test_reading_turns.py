"""Turns of the event loop, shared among connections that send much."""

import asyncio

import pytest

from whisker.app.server.reading_turns import ReadingTurns

pytestmark = pytest.mark.anyio


class Sender:
    """A connection whose client has `left` bytes to send, and sends 256 kB as often as it may."""

    def __init__(self, turns: ReadingTurns, left: int) -> None:
        self.left = left
        self.is_held = False
        self.went_on = 0
        self._turns = turns

    def receive(self) -> int:
        """Receive what comes in one turn of the event loop; return how much it is."""
        if self.is_held or not self.left:
            return 0
        size = min(self.left, 256_000)
        self.left -= size
        self._turns.count(self, size)
        return size

    def hold_reading(self) -> None:
        self.is_held = True

    def go_on(self) -> None:
        self.is_held = False
        self.went_on += 1


async def receive_all(senders: list[Sender]) -> list[int]:
    """Give the bytes that were received in each turn."""
    received = []
    while any(sender.left for sender in senders):
        received.append(sum(sender.receive() for sender in senders))
        await asyncio.sleep(0)
    return received


async def test_hundreds_of_large_uploads_take_turns() -> None:
    turns = ReadingTurns()
    first, *rest = await receive_all([Sender(turns, 900_000) for _ in range(200)])
    assert first == 200 * 256_000  # before anybody could be told to wait
    assert max(rest) <= 8 * 256_000


async def test_debt_of_a_turn_is_paid_by_the_next_ones() -> None:
    turns = ReadingTurns()
    received = await receive_all([Sender(turns, 900_000) for _ in range(16)])
    assert received[:4] == [16 * 256_000, 3 * 256_000, 0, 0]  # the first three had not been told to wait


async def test_single_upload_never_waits() -> None:
    assert await receive_all([Sender(ReadingTurns(), 2_560_000)]) == [256_000] * 10


async def test_small_uploads_never_wait() -> None:
    turns = ReadingTurns()
    assert await receive_all([Sender(turns, 30_000) for _ in range(100)]) == [3_000_000]


async def test_who_waits_twice_goes_on_once() -> None:
    turns, sender = ReadingTurns(), Sender(ReadingTurns(), 0)
    turns.wait(sender)
    turns.wait(sender)
    for _ in range(3):
        await asyncio.sleep(0)
    assert sender.went_on == 1


async def test_who_waits_longest_goes_on_first() -> None:
    turns = ReadingTurns()
    senders = [Sender(turns, 0) for _ in range(20)]
    for sender in senders:
        turns.wait(sender)
    await asyncio.sleep(0)
    assert [sender.went_on for sender in senders] == [1] * 8 + [0] * 12
