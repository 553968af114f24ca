"""The inference thread: what waits is answered together, and nobody pays for a neighbour."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.batching import Batcher
from app.errors import InferenceFailedError
from app.jobs import Job, Outcome
from app.metrics import Metrics
from model import Classifier, Prediction
from model.errors import CheckpointError
from tests.app.conftest import picture

pytestmark = pytest.mark.anyio


class HeldClassifier(Classifier):
    """A classifier that waits, in its first batch, until it is let go."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def predict_pixels(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        self.entered.set()
        self.let_go.wait()
        return super().predict_pixels(pixels)


class Bench:
    """A batcher, its held classifier, and what both need to be looked at."""

    def __init__(self, path: Path, max_batch: int) -> None:
        torch.set_num_threads(1)  # two would wait for each other on a busy machine
        self.metrics = Metrics()
        self.classifier = HeldClassifier.load(path)
        self.batcher = Batcher(lambda: self.classifier, max_batch=max_batch, max_batch_seconds=60, metrics=self.metrics)

    def submit(self, data: bytes) -> asyncio.Future[Outcome]:
        """Put a picture in the queue."""
        job = Job(data, asyncio.get_running_loop().create_future())
        self.batcher.put(job, self.classifier.preprocessing.read(data))
        return job.answer

    async def occupy(self) -> asyncio.Future[Outcome]:
        """Submit a picture and return when the thread is held in its batch."""
        answer = self.submit(picture(colour="black"))
        await asyncio.to_thread(self.classifier.entered.wait)
        return answer

    def batch_sizes(self) -> tuple[int, int]:
        """Count batches and the pictures in them."""
        text = self.metrics.render().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("whisker_batch_size"))
        return int(float(lines["whisker_batch_size_count"])), int(float(lines["whisker_batch_size_sum"]))


@asynccontextmanager
async def bench(path: Path, *, max_batch: int = 8) -> AsyncIterator[Bench]:
    made = Bench(path, max_batch)
    await made.batcher.start()
    try:
        yield made
    finally:
        made.classifier.let_go.set()
        await made.batcher.close()


async def test_what_waits_is_answered_in_one_batch(tiny: Path) -> None:
    pictures = [picture(colour=colour) for colour in ("red", "green", "blue", "white")]
    async with bench(tiny) as held:
        first = await held.occupy()
        waiting = [held.submit(data) for data in pictures]
        assert "whisker_queue_depth 4.0" in held.metrics.render().decode()
        held.classifier.let_go.set()
        answers = await asyncio.gather(first, *waiting)
        assert held.batch_sizes() == (2, 5)
        for data, answer in zip(pictures, answers[1:], strict=True):
            (alone,) = Classifier.predict(held.classifier, [data])
            assert answer.prediction.label == alone.label
            assert answer.prediction.score == pytest.approx(alone.score, abs=1e-5)
            assert answer.queue_seconds > 0
            assert answer.inference_seconds > 0


async def test_a_batch_never_exceeds_its_limit(tiny: Path) -> None:
    async with bench(tiny, max_batch=2) as held:
        first = await held.occupy()
        waiting = [held.submit(picture()) for _ in range(5)]
        held.classifier.let_go.set()
        await asyncio.gather(first, *waiting)
        assert held.batch_sizes() == (1 + 3, 6)


async def test_a_picture_nobody_waits_for_is_dropped(tiny: Path) -> None:
    async with bench(tiny) as held:
        first = await held.occupy()
        left, stayed = held.submit(picture()), held.submit(picture())
        left.cancel()
        await asyncio.wait({left})
        held.classifier.let_go.set()
        await asyncio.gather(first, stayed)
        assert held.batch_sizes() == (2, 2)


async def test_a_batch_nobody_waits_for_is_not_computed(tiny: Path) -> None:
    async with bench(tiny) as held:
        first = await held.occupy()
        left = held.submit(picture())
        left.cancel()
        await asyncio.wait({left})
        held.classifier.let_go.set()
        await first
        await held.batcher.close()
        assert held.batch_sizes() == (1, 1)


async def test_a_client_who_leaves_during_the_batch_harms_nobody(tiny: Path) -> None:
    async with bench(tiny) as held:
        first = await held.occupy()
        first.cancel()
        await asyncio.wait({first})
        held.classifier.let_go.set()
        assert (await held.submit(picture())).prediction.label


async def test_a_failing_picture_fails_alone(fragile: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with bench(fragile) as held:
        first = await held.occupy()
        good, bad, fine = [held.submit(picture(colour=colour)) for colour in ("black", "white", "black")]
        held.classifier.let_go.set()
        expected = (await first).prediction
        assert (await good).prediction == (await fine).prediction == expected
        with pytest.raises(InferenceFailedError, match="could not answer for this picture"):
            await bad
        assert (await held.submit(picture(colour="black"))).prediction == expected
    assert [record.message for record in caplog.records if record.exc_info] == ["Inference failed"]


async def test_a_batch_that_hangs_is_a_stall(tiny: Path) -> None:
    async with bench(tiny) as held:
        assert not held.batcher.is_stalled(0)
        first = await held.occupy()
        assert held.batcher.is_stalled(0)
        assert not held.batcher.is_stalled(600)
        held.classifier.let_go.set()
        await first
        assert not held.batcher.is_stalled(0)


async def test_closing_answers_what_is_queued_and_takes_no_more(tiny: Path) -> None:
    async with bench(tiny) as held:
        first = await held.occupy()
        waiting = held.submit(picture())
        closing = asyncio.create_task(held.batcher.close())
        await asyncio.sleep(0)
        assert not held.batcher.is_running
        held.classifier.let_go.set()
        assert (await first).prediction.label
        assert (await waiting).prediction.label
        await closing
        assert not held.batcher.is_running


async def test_a_failure_to_load_is_raised_by_start(tmp_path: Path) -> None:
    batcher = Batcher(lambda: Classifier.load(tmp_path / "none"), max_batch=8, max_batch_seconds=60, metrics=Metrics())
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        await batcher.start()
    await batcher.close()
    assert not batcher.is_running


async def test_closing_before_the_start_is_harmless(tiny: Path) -> None:
    batcher = Batcher(lambda: Classifier.load(tiny), max_batch=8, max_batch_seconds=60, metrics=Metrics())
    await batcher.close()
    assert not batcher.is_running


async def test_batches_stay_below_the_time_wanted(tiny: Path) -> None:
    classifier = Classifier.load(tiny)
    classifier.batch_seconds = {1: 0.01, 2: 0.02, 4: 0.04, 8: 0.08}
    metrics = Metrics()
    batcher = Batcher(lambda: classifier, max_batch=8, max_batch_seconds=0.05, metrics=metrics)
    await batcher.start()
    try:
        assert batcher.max_batch == 4
    finally:
        await batcher.close()
