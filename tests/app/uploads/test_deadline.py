"""An answer, its deadline, and clients that do not wait for it."""

import asyncio

import pytest
from starlette.types import Message

from whisker.app.errors import ClientGoneError, DeadlineExceededError
from whisker.app.uploads.deadline import in_time

pytestmark = pytest.mark.anyio


class Client:
    """Leaves when told."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> Message:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def pending() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


async def test_answer_that_comes_in_time() -> None:
    answer = pending()
    asyncio.get_running_loop().call_soon(answer.set_result, "cat")
    assert await in_time(answer, Client().receive, 10) == "cat"


@pytest.mark.parametrize("seconds", [0.001, 0.03])  # before and after it is watched whether the client leaves
async def test_deadline_cancels_the_answer(seconds: float) -> None:
    answer = pending()
    with pytest.raises(DeadlineExceededError, match=f"no answer within {seconds:g} seconds"):
        await in_time(answer, Client().receive, seconds)
    assert answer.cancelled()


async def test_client_that_leaves_cancels_the_answer() -> None:
    answer, client = pending(), Client()
    client.leaves.set()
    with pytest.raises(ClientGoneError):
        await in_time(answer, client.receive, 10)
    assert answer.cancelled()


async def test_error_of_the_answer_is_raised() -> None:
    answer = pending()
    answer.set_exception(ValueError("no picture"))
    with pytest.raises(ValueError, match="no picture"):
        await in_time(answer, Client().receive, 10)


async def test_request_that_is_cancelled_cancels_the_answer_and_stays_so() -> None:
    answer = pending()
    request = asyncio.create_task(in_time(answer, Client().receive, 10))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert answer.cancelled()
