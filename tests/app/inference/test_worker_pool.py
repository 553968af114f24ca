"""Lanes: what waits is answered together, nobody pays for a neighbour, and a process that ends is replaced."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.app.conftest import picture
from tests.app.inference.frail_worker import BABBLER, BOASTER, GLUTTON, HANGER, KILLER, RAISER, SLEEPER
from tests.pictures import encode
from whisker.app.errors import InferenceFailedError
from whisker.app.inference.batch_handler import Ask
from whisker.app.inference.requests import Job, Outcome
from whisker.app.inference.worker_handle import LaneProcess
from whisker.app.inference.worker_pool import Lanes
from whisker.app.metrics import Metrics
from whisker.app.settings import Settings
from whisker.model import Classifier
from whisker.model.errors import CheckpointError, DeviceError, UndecodablePictureError, UnsupportedFormatError

pytestmark = pytest.mark.anyio

COLOURS = ("red", "green", "blue", "white")


class Bench:
    """Lanes at work, and what one needs to look at them."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics()
        self.lanes = Lanes(settings, self.metrics)
        self.card: dict[str, Any] = {}

    def submit(self, data: bytes, top_k: int = 5) -> asyncio.Future[Outcome]:
        job = Job(data, Ask(top_k), asyncio.get_running_loop().create_future())
        self.lanes.put(job)
        return job.answer

    def batch_sizes(self) -> tuple[int, int]:
        """Count batches and the pictures in them."""
        text = self.metrics.render().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("whisker_batch_size"))
        return int(float(lines["whisker_batch_size_count"])), int(float(lines["whisker_batch_size_sum"]))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


@asynccontextmanager
async def at_work(settings: Settings, **changes: Any) -> AsyncIterator[Bench]:
    bench = Bench(settings.model_copy(update=changes))
    try:
        bench.card = await bench.lanes.start()
        yield bench
    finally:
        await bench.lanes.close()


@pytest.fixture
def _frail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the lanes fall for some pictures."""
    monkeypatch.setattr("whisker.app.inference.worker_handle._PROGRAM", "tests.app.inference.frail_worker")


@pytest.mark.parametrize("engine", ["auto", "torch"])
async def test_answers_are_those_of_the_classifier(settings: Settings, tiny: Path, engine: str) -> None:
    pictures = [picture(colour=colour) for colour in COLOURS]
    async with at_work(settings, engine=engine, lanes=2) as bench:
        outcomes = await asyncio.gather(*map(bench.submit, pictures))
        short = await bench.submit(pictures[0], top_k=1)
    classifier = Classifier.load(tiny, engine=bench.card["engine"])
    for outcome, expected in zip(outcomes, classifier.predict(pictures), strict=True):
        assert outcome.prediction["label"] == expected.label
        assert outcome.prediction["verdict"] == expected.verdict
        scores = {entry["label"]: entry["score"] for entry in outcome.prediction["predictions"]}
        assert scores == pytest.approx({entry.label: entry.score for entry in expected.predictions}, abs=1e-3)
        assert min(outcome.decode_seconds, outcome.inference_seconds) > 0
    assert [entry["label"] for entry in short.prediction["predictions"]] == [short.prediction["label"]]


async def test_uploads_that_come_together_share_batches_of_limited_size(settings: Settings) -> None:
    async with at_work(settings, max_batch=2) as bench:
        waiting = [bench.submit(picture()) for _ in range(5)]
        assert "whisker_queue_depth 5.0" in bench.metrics.render().decode()
        await asyncio.gather(*waiting)
        assert bench.batch_sizes() == (3, 5)
        assert "whisker_queue_depth 0.0" in bench.metrics.render().decode()


async def test_large_pictures_have_no_company(settings: Settings) -> None:
    large = picture() + b"\0" * 600_000  # what follows a PNG's end is not looked at
    async with at_work(settings) as bench:
        await asyncio.gather(bench.submit(large), bench.submit(picture()), bench.submit(picture()))
        assert bench.batch_sizes() == (2, 3)


async def test_heavy_pictures_are_decoded_one_at_a_time_and_hold_nobody_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what lanes are sent, the numbers of heavy pictures that are being decoded, and of pictures, are kept."""
    sent: list[tuple[int, int]] = []
    send = LaneProcess.send
    heavy = picture(4000, 3000)
    async with at_work(settings, lanes=2) as bench:

        def watch(lane: LaneProcess, jobs: list[Job]) -> None:
            if jobs[0].is_heavy:
                sent.append((sum(each.has_heavy for each in bench.lanes._lanes), len(jobs)))  # noqa: SLF001 - seen by no answer
            send(lane, jobs)

        monkeypatch.setattr(LaneProcess, "send", watch)
        outcomes = await asyncio.gather(*[bench.submit(data) for data in (heavy, heavy, heavy, picture())])
    assert [outcome.prediction["image"]["width"] for outcome in outcomes] == [4000, 4000, 4000, 40]
    assert sent == [(0, 1)] * 3


async def test_upload_nobody_waits_for_is_dropped(settings: Settings) -> None:
    async with at_work(settings) as bench:
        left, stayed = bench.submit(picture()), bench.submit(picture())
        left.cancel()
        await stayed
        assert bench.batch_sizes() == (1, 1)


async def test_client_who_leaves_during_the_batch_harms_nobody(settings: Settings) -> None:
    async with at_work(settings) as bench:
        left = bench.submit(picture())
        await until(lambda: bench.batch_sizes() == (1, 1))
        left.cancel()
        assert (await bench.submit(picture())).prediction["label"]


async def test_picture_that_is_refused_is_told_why(settings: Settings) -> None:
    async with at_work(settings) as bench:
        bad, good = bench.submit(b"GIF89a"), bench.submit(picture())
        with pytest.raises(UndecodablePictureError, match="header is damaged"):
            await bad
        with pytest.raises(UnsupportedFormatError, match="is not a JPEG"):
            await bench.submit(b"text")
        assert (await good).prediction["label"]


async def test_picture_that_the_network_fails_for_fails_alone(
    settings: Settings, fragile: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(settings, checkpoint=fragile) as bench:
        good, bad, fine = [bench.submit(picture(colour=colour)) for colour in ("black", "white", "black")]
        with pytest.raises(InferenceFailedError, match="could not answer for this picture"):
            await bad
        assert (await good).prediction == (await fine).prediction
    (record,) = [record for record in caplog.records if record.message == "Inference failed"]
    assert "is not a finite number" in vars(record)["failure"]


async def test_killed_lane_loses_no_upload_and_is_replaced(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(settings, lanes=2) as bench:
        waiting = [bench.submit(picture()) for _ in range(20)]
        await asyncio.sleep(0)
        first, _ = bench.lanes.pids
        os.kill(first, signal.SIGKILL)
        for outcome in await asyncio.gather(*waiting):
            assert outcome.prediction["label"]
        await until(lambda: len(bench.lanes.pids) == 2)
        assert first not in bench.lanes.pids
        assert (await bench.submit(picture())).prediction["label"]
    (record,) = [record for record in caplog.records if record.message == "A lane has ended"]
    assert (vars(record)["lane"], vars(record)["exit_code"]) == (first, -signal.SIGKILL)


@pytest.mark.usefixtures("_frail")
@pytest.mark.parametrize(
    ("hostile", "stall_seconds"), [(KILLER, 60), (SLEEPER, 0.5), (BABBLER, 60), (BOASTER, 60)], ids=str
)
async def test_picture_that_ends_stalls_or_takes_over_lanes_is_refused_alone(
    settings: Settings, hostile: bytes, stall_seconds: float
) -> None:
    async with at_work(settings, stall_seconds=stall_seconds) as bench:
        before, bad, after = bench.submit(picture()), bench.submit(hostile), bench.submit(picture())
        reason = "within 0.5 seconds" if hostile == SLEEPER else "the process that tried has ended, twice"
        with pytest.raises(UndecodablePictureError, match=reason):
            await bad
        assert (await before).prediction["label"]
        assert (await after).prediction["label"]


@pytest.mark.usefixtures("_frail")
async def test_picture_that_the_network_raises_or_hangs_for_fails_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    raiser, hanger = (encode(Image.new("RGB", (40, 30), colour)) for colour in (RAISER, HANGER))
    async with at_work(settings, stall_seconds=0.5) as bench:
        before, bad, after = bench.submit(picture()), bench.submit(raiser), bench.submit(picture())
        with pytest.raises(InferenceFailedError):
            await bad
        assert (await before).prediction == (await after).prediction
        with pytest.raises(UndecodablePictureError, match=r"within 0\.5 seconds"):
            await bench.submit(hanger)
        assert (await bench.submit(picture())).prediction == before.result().prediction
    (record,) = [record for record in caplog.records if record.message == "Inference failed"]
    assert "RuntimeError: out of memory" in vars(record)["failure"]


@pytest.mark.usefixtures("_frail")
async def test_picture_that_wants_more_memory_than_any_needs_fails_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    async with at_work(settings, engine="openvino") as bench:
        (pid,) = bench.lanes.pids
        before, bad, after = bench.submit(picture()), bench.submit(GLUTTON), bench.submit(picture())
        with pytest.raises(InferenceFailedError):
            await bad
        assert (await before).prediction == (await after).prediction
        assert bench.lanes.pids == [pid]
    assert "MemoryError" in vars(next(it for it in caplog.records if it.message == "Inference failed"))["failure"]


async def test_upload_that_comes_when_all_lanes_have_ended_waits_for_the_next(settings: Settings) -> None:
    async with at_work(settings, lanes=2) as bench:
        for pid in bench.lanes.pids:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: bench.lanes.pids == [])
        assert bench.lanes.is_running
        assert (await bench.submit(picture())).prediction["label"]
        assert not bench.lanes.are_gone(0)


async def test_lanes_that_cannot_be_replaced_are_gone_until_they_can(
    settings: Settings, tiny: Path, strict: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = tmp_path / "moved.safetensors"
    shutil.copy(tiny, checkpoint)
    async with at_work(settings, checkpoint=checkpoint, engine="torch") as bench:
        (pid,) = bench.lanes.pids
        checkpoint.unlink()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: bench.lanes.are_gone(0.1))
        shutil.copy(strict, checkpoint)
        await until(lambda: "is another file than when the service was started" in caplog.text)
        assert bench.lanes.pids == []
        waiting = bench.submit(picture())
        shutil.copy(tiny, checkpoint)
        assert (await waiting).prediction["label"]
        assert len(bench.lanes.pids) == 1


async def test_closing_answers_what_is_queued_and_takes_no_more(settings: Settings) -> None:
    async with at_work(settings) as bench:
        waiting = [bench.submit(picture()) for _ in range(10)]
        closing = asyncio.create_task(bench.lanes.close())
        await asyncio.sleep(0)
        assert not bench.lanes.is_running
        await closing
        assert all(answer.result().prediction["label"] for answer in waiting)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"checkpoint": Path("none")}, CheckpointError, "There is no checkpoint file"),
        ({"device": "cuda:99"}, DeviceError, "cuda:99 is not available"),
    ],
)
async def test_failure_to_load_is_raised_by_start(
    settings: Settings, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        async with at_work(settings, **change):
            pass


async def test_batches_stay_below_the_time_wanted(settings: Settings) -> None:
    async with at_work(settings, max_batch_seconds=1e-9) as bench:
        await asyncio.gather(*(bench.submit(picture()) for _ in range(3)))
        assert bench.batch_sizes() == (3, 3)


async def test_lane_of_a_portable_engine_does_without_pytorch(settings: Settings) -> None:
    pytest.importorskip("openvino")
    async with at_work(settings, engine="openvino") as bench:
        (pid,) = bench.lanes.pids
        libraries = {Path(entry.path).name for entry in psutil.Process(pid).memory_maps()}
    assert any(name.startswith("libopenvino") for name in libraries)
    assert not any(name.startswith("libtorch") for name in libraries)
