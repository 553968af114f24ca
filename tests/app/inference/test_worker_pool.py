"""The worker pool: waiting uploads share batches, nobody pays for a neighbour, and a worker that ends is replaced."""

import asyncio
import errno
import io
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
from PIL import Image

from benchmarks.reliability.costly_pictures import scanned_jpeg
from tests.app.conftest import child_processes, picture
from tests.app.inference.frail_worker import BABBLER, BOASTER, GLUTTON, HANGER, KILLER, RAISER, SLEEPER
from tests.pictures import encode
from whisker.app import time_limits
from whisker.app.errors import InferenceFailedError, OverloadedError, WorkerError
from whisker.app.inference.prepared_models import LoadedModel
from whisker.app.inference.program import PROGRAM
from whisker.app.inference.requests import PendingPrediction, PredictionResult
from whisker.app.inference.wire import PredictionOptions
from whisker.app.inference.worker_handle import WorkerHandle
from whisker.app.inference.worker_pool import WorkerPool
from whisker.app.metrics import Metrics
from whisker.app.settings import Settings
from whisker.model import Classifier
from whisker.model.answers.descriptor import DESCRIPTOR_BYTES
from whisker.model.card.document import CheckpointCard
from whisker.model.errors import CheckpointError, DeviceError, UndecodablePictureError, UnsupportedFormatError

pytestmark = pytest.mark.anyio

FATAL, NOTING, ON_A_GPU = (f"tests.app.inference.programs.{name}" for name in ("fatal", "noting", "on_a_gpu"))
FRAIL = "tests.app.inference.frail_worker"
SLOW = scanned_jpeg((640, 480), 50)  # 10 ms
COLOURS = ("red", "green", "blue", "white")


class Bench:
    """A worker pool at work, and its metrics."""

    def __init__(self, settings: Settings, program: str) -> None:
        self.metrics = Metrics()
        self.pool = WorkerPool(settings, self.metrics, program=program)
        self.card: CheckpointCard | None = None

    @property
    def engine(self) -> str:
        assert self.card is not None
        return self.card["engine"]

    def submit(self, data: bytes, top_k: int = 5, *, is_spare: bool = False) -> asyncio.Future[PredictionResult]:
        options = PredictionOptions(top_k, opacity=0, wants_descriptor=True) if is_spare else PredictionOptions(top_k)
        pending = PendingPrediction(data, options, asyncio.get_running_loop().create_future(), is_spare=is_spare)
        self.pool.put(pending)
        return pending.result

    def batch_sizes(self) -> tuple[int, int]:
        """Count batches and the pictures in them."""
        text = self.metrics.render().decode()
        lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("whisker_batch_size"))
        return int(float(lines["whisker_batch_size_count"])), int(float(lines["whisker_batch_size_sum"]))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.005)


def refuse_with(error: Exception) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise error

    return refuse


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@asynccontextmanager
async def at_work(settings: Settings, *, program: str = PROGRAM, **changes: Any) -> AsyncIterator[Bench]:
    bench = Bench(settings.model_copy(update=changes), program)
    try:
        bench.card = await bench.pool.start()
        yield bench
    finally:
        await bench.pool.close()


@pytest.mark.parametrize("engine", ["auto", "torch"])
async def test_answers_are_those_of_the_classifier(settings: Settings, tiny: Path, engine: str) -> None:
    pictures = [picture(colour=colour) for colour in COLOURS]
    async with at_work(settings, engine=engine, inference_workers=2) as bench:
        results = await asyncio.gather(*map(bench.submit, pictures))
        short = await bench.submit(pictures[0], top_k=1)
    classifier = Classifier.load(tiny, engine=bench.engine)
    for result, expected in zip(results, classifier.predict(pictures), strict=True):
        assert result.prediction["label"] == expected.label
        assert result.prediction["verdict"] == expected.verdict
        scores = {entry["label"]: entry["score"] for entry in result.prediction["predictions"]}
        assert scores == pytest.approx({entry.label: entry.score for entry in expected.predictions}, abs=1e-3)
        assert min(result.decode_seconds, result.inference_seconds) > 0
    assert [entry["label"] for entry in short.prediction["predictions"]] == [short.prediction["label"]]


async def test_upload_that_was_in_two_workers_killed_at_once_is_answered(settings: Settings) -> None:
    async with at_work(settings, inference_workers=2, stall_seconds=60) as bench:
        workers = bench.pool.pids
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        answer = asyncio.ensure_future(bench.submit(picture()))
        await asyncio.sleep(0.05)  # it is in one of them
        os.kill(workers[0], signal.SIGKILL)
        await until(lambda: len(bench.pool.pids) < 2)  # now it is in the other
        os.kill(workers[1], signal.SIGKILL)
        assert (await answer).prediction["label"]


async def test_uploads_that_come_together_share_batches_of_limited_size(settings: Settings) -> None:
    async with at_work(settings, max_batch=2) as bench:
        waiting = [bench.submit(picture()) for _ in range(5)]
        assert "whisker_queue_depth 5.0" in bench.metrics.render().decode()
        await asyncio.gather(*waiting)
        assert bench.batch_sizes() == (3, 5)
        assert "whisker_queue_depth 0.0" in bench.metrics.render().decode()


async def batches_while_stopped(bench: Bench, *numbers: int) -> list[tuple[int, int]]:
    """Stop the workers, submit so many pictures at a time, and give the batches and pictures sent after each time."""
    answers = list[asyncio.Future[PredictionResult]]()
    sent = list[tuple[int, int]]()
    workers = bench.pool.pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    for number in numbers:
        answers += [bench.submit(picture()) for _ in range(number)]
        await asyncio.sleep(0.01)
        sent.append(bench.batch_sizes())
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    await asyncio.gather(*answers)
    return sent


async def test_busy_worker_gets_a_full_batch_where_enough_uploads_are_under_way(settings: Settings) -> None:
    async with at_work(settings, max_batch=4, inference_workers=1) as bench:
        assert await batches_while_stopped(bench, 4, 1, 3, 1) == [(1, 4), (1, 4), (2, 8), (2, 8)]
        assert bench.batch_sizes() == (3, 9)


async def test_busy_worker_gets_the_next_upload_at_once_where_few_are_under_way(settings: Settings) -> None:
    async with at_work(settings, max_batch=4, inference_workers=1) as bench:
        assert await batches_while_stopped(bench, 1, 1) == [(1, 1), (2, 2)]


async def test_busy_worker_that_opens_a_model_gets_no_batch_ahead_but_others_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(settings, max_batch=4, inference_workers=2) as bench:
        opens = bench.pool.pids[0]
        monkeypatch.setattr(WorkerHandle, "is_opening", property(lambda worker: worker.pid == opens))
        assert await batches_while_stopped(bench, 1, 1, 1, 1) == [(1, 1), (2, 2), (3, 3), (3, 3)]
        assert bench.batch_sizes() == (4, 4)


async def test_picture_is_lone_if_others_before_it_had_no_company_either(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bool] = []
    send = WorkerHandle.send

    def watch(worker: WorkerHandle, batch: list[PendingPrediction], *, is_lone: bool) -> None:
        sent.append(is_lone)
        send(worker, batch, is_lone=is_lone)

    monkeypatch.setattr(WorkerHandle, "send", watch)
    async with at_work(settings, inference_workers=2) as bench:
        for _ in range(6):
            await bench.submit(picture())
        assert sent == [False] * 4 + [True] * 2
        await asyncio.gather(bench.submit(picture()), bench.submit(picture()))
        await bench.submit(picture())
        assert sent[6:] == [False] * 3
        sent.clear()
        for data in [picture()] * 5 + [SLOW]:
            await bench.submit(data)
        assert sent == [False] * 3 + [True] * 3 + [False]  # the last is sent again, as one that is heavy


async def test_worker_prepares_two_threads_once_when_lone_pictures_come(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    notes = tmp_path / "notes"
    notes.touch()
    monkeypatch.setenv("TEST_NOTES", str(notes))
    monkeypatch.setattr("whisker.app.inference.begun.available_cores", lambda: 2)  # tests may be kept to one
    async with at_work(settings, program=NOTING, inference_workers=2, threads=0) as bench:
        first = bench.pool.pids[0]
        answers = [await bench.submit(picture()) for _ in range(5)]
        await until(lambda: notes.read_text() != "")
        answers += [await bench.submit(picture()) for _ in range(2)]
    assert notes.read_text().splitlines() == [f"{first} prepared 2", f"{first} computed", f"{first} computed"]
    scores = [answer.prediction["score"] for answer in answers]
    assert scores == pytest.approx([scores[0]] * 7, abs=1e-3)


async def test_preparation_that_fails_is_logged_and_costs_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("TEST_NOTES", str(tmp_path))  # a folder, which cannot be written as a file
    monkeypatch.setattr("whisker.app.inference.begun.available_cores", lambda: 2)
    told = ""

    def is_told() -> bool:
        nonlocal told
        told += capfd.readouterr().err
        return "IsADirectoryError" in told

    async with at_work(settings, program=NOTING, inference_workers=2, threads=0) as bench:
        workers = bench.pool.pids
        for _ in range(5):
            await bench.submit(picture())
        await until(is_told)
        assert (await bench.submit(picture())).prediction["label"]
        assert bench.pool.pids == workers
    assert "Lone pictures are computed by one thread" in told


async def test_worker_whose_threads_were_set_prepares_no_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("TEST_NOTES", str(tmp_path / "notes"))
    async with at_work(settings, program=NOTING, inference_workers=2, threads=1) as bench:
        for _ in range(7):
            await bench.submit(picture())
    assert not (tmp_path / "notes").exists()


async def test_large_pictures_have_no_company(settings: Settings) -> None:
    large = picture() + b"\0" * 600_000  # what follows a PNG's end is not looked at
    async with at_work(settings) as bench:
        await asyncio.gather(bench.submit(large), bench.submit(picture()), bench.submit(picture()))
        assert bench.batch_sizes() == (2, 3)


async def test_heavy_pictures_are_decoded_one_at_a_time_and_leave_a_worker_to_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of each batch sent: how many heavy pictures are being decoded, and how many pictures it has."""
    sent: list[tuple[int, int]] = []
    send = WorkerHandle.send
    heavy = picture(4000, 3000)
    async with at_work(settings, inference_workers=2) as bench:

        def watch(worker: WorkerHandle, batch: list[PendingPrediction], *, is_lone: bool) -> None:
            if batch[0].is_heavy:
                sent.append((sum(each.has_heavy for each in bench.pool._workers), len(batch)))  # noqa: SLF001 - seen by no answer
            send(worker, batch, is_lone=is_lone)

        monkeypatch.setattr(WorkerHandle, "send", watch)
        results = await asyncio.gather(*[bench.submit(data) for data in (heavy, SLOW, heavy, SLOW, picture())])
    assert [result.prediction["image"]["width"] for result in results] == [4000, 640, 4000, 640, 40]
    assert sent == [(0, 1)] * 4


async def test_one_worker_takes_light_pictures_between_slow_ones_and_not_too_many_of_those(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[bool] = []
    send = WorkerHandle.send

    def watch(worker: WorkerHandle, batch: list[PendingPrediction], *, is_lone: bool) -> None:
        sent.append(batch[0].is_heavy)
        send(worker, batch, is_lone=is_lone)

    monkeypatch.setattr(WorkerHandle, "send", watch)
    uploads = [*[SLOW] * 6, *[picture()] * 12]
    async with at_work(settings, max_batch=1, max_in_flight=4) as bench:
        results = await asyncio.gather(*map(bench.submit, uploads), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Exception)]
    assert {type(one) for one in refused} == {OverloadedError}  # one heavy picture may wait or be decoded
    assert len(refused) + sent.count(True) == 6
    last = len(sent) - sent[::-1].index(False) - 1  # when the last light picture went
    assert not any(one and following for one, following in pairwise(sent[:last]))


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


async def test_killed_worker_loses_no_upload_and_is_replaced(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    async with at_work(settings, inference_workers=2) as bench:
        waiting = [bench.submit(picture()) for _ in range(20)]
        await asyncio.sleep(0)
        first, _ = bench.pool.pids
        os.kill(first, signal.SIGKILL)
        for result in await asyncio.gather(*waiting):
            assert result.prediction["label"]
        await until(lambda: len(bench.pool.pids) == 2)
        assert first not in bench.pool.pids
        assert (await bench.submit(picture())).prediction["label"]
    (record,) = [record for record in caplog.records if record.message == "An inference worker has ended"]
    assert (vars(record)["inference_worker"], vars(record)["exit_code"]) == (first, -signal.SIGKILL)


@pytest.mark.parametrize(
    ("hostile", "stall_seconds"), [(KILLER, 60), (SLEEPER, 0.5), (BABBLER, 60), (BOASTER, 60)], ids=str
)
async def test_picture_that_ends_stalls_or_takes_over_workers_is_refused_alone(
    settings: Settings, hostile: bytes, stall_seconds: float
) -> None:
    async with at_work(settings, stall_seconds=stall_seconds, program=FRAIL) as bench:
        before, bad, after = bench.submit(picture()), bench.submit(hostile), bench.submit(picture())
        reason = "within 0.5 seconds" if hostile == SLEEPER else "the processes that tried have ended"
        with pytest.raises(UndecodablePictureError, match=reason):
            await bad
        assert (await before).prediction["label"]
        assert (await after).prediction["label"]


async def test_picture_that_no_client_waits_for_is_tried_once(settings: Settings) -> None:
    async with at_work(settings, program=FRAIL) as bench:
        before = bench.pool.has_time
        answered, again = bench.submit(picture()), bench.submit(picture(), is_spare=True)
        assert (before, bench.pool.has_time) == (True, False)
        assert (await again).prediction == (await answered).prediction
        with Image.open(io.BytesIO(again.result().drawing)) as drawing:
            assert (drawing.format, drawing.size) == ("JPEG", (40, 30))
        assert len(again.result().descriptor) == DESCRIPTOR_BYTES
        assert answered.result().descriptor == b""
        with pytest.raises(InferenceFailedError):
            await bench.submit(KILLER, is_spare=True)
        assert (await bench.submit(picture())).prediction["label"]
    assert "whisker_inference_workers_ended_total 1.0" in bench.metrics.render().decode()


async def test_picture_that_the_network_raises_or_hangs_for_fails_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    raiser, hanger = (encode(Image.new("RGB", (40, 30), colour)) for colour in (RAISER, HANGER))
    async with at_work(settings, stall_seconds=0.5, program=FRAIL) as bench:
        before, bad, after = bench.submit(picture()), bench.submit(raiser), bench.submit(picture())
        with pytest.raises(InferenceFailedError):
            await bad
        assert (await before).prediction == (await after).prediction
        with pytest.raises(UndecodablePictureError, match=r"within 0\.5 seconds"):
            await bench.submit(hanger)
        assert (await bench.submit(picture())).prediction == before.result().prediction
    (record,) = [record for record in caplog.records if record.message == "Inference failed"]
    assert "RuntimeError: out of memory" in vars(record)["failure"]


async def test_picture_that_wants_more_memory_than_any_needs_fails_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("openvino")
    async with at_work(settings, engine="openvino", program=FRAIL) as bench:
        (pid,) = bench.pool.pids
        before, bad, after = bench.submit(picture()), bench.submit(GLUTTON), bench.submit(picture())
        with pytest.raises(InferenceFailedError):
            await bad
        assert (await before).prediction == (await after).prediction
        assert bench.pool.pids == [pid]
    assert "MemoryError" in vars(next(it for it in caplog.records if it.message == "Inference failed"))["failure"]


async def test_upload_that_comes_when_all_workers_have_ended_waits_for_the_next(settings: Settings) -> None:
    async with at_work(settings, inference_workers=2) as bench:
        for pid in bench.pool.pids:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: bench.pool.pids == [])
        assert bench.pool.is_running
        assert (await bench.submit(picture())).prediction["label"]
        assert not bench.pool.is_empty(0)


async def test_workers_that_cannot_be_replaced_are_missing_until_they_can(
    settings: Settings, tiny: Path, strict: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = tmp_path / "moved.safetensors"
    shutil.copy(tiny, checkpoint)
    async with at_work(settings, checkpoint=checkpoint, engine="torch") as bench:
        (pid,) = bench.pool.pids
        checkpoint.unlink()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: bench.pool.is_empty(0.1))
        shutil.copy(strict, checkpoint)
        await until(lambda: "is another file than when the service was started" in caplog.text)
        assert bench.pool.pids == []
        waiting = bench.submit(picture())
        shutil.copy(tiny, checkpoint)
        assert (await waiting).prediction["label"]
        assert len(bench.pool.pids) == 1


@pytest.mark.parametrize(
    "fault",
    [
        (socket, "socketpair", system_error(errno.EMFILE), "Too many open files"),
        (subprocess, "Popen", system_error(errno.EAGAIN), "temporarily unavailable"),
        (asyncio.BaseEventLoop, "create_connection", system_error(errno.ENOMEM), "Cannot allocate memory"),
        (asyncio, "to_thread", RuntimeError("can't start new thread"), "can't start new thread"),
        (asyncio, "to_thread", MemoryError(), "MemoryError"),
    ],
    ids=["socket", "process", "connection", "thread", "memory"],
)
async def test_worker_that_the_system_cannot_start_is_tried_again(
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[object, str, Exception, str],
) -> None:
    """The other worker answers meanwhile, and the pool says that one is missing."""
    place, call, error, reason = fault
    others = child_processes()
    monkeypatch.setattr(time_limits, "RETRY_SECONDS", 0.02)
    async with at_work(settings, inference_workers=2) as bench:
        with monkeypatch.context() as patch:
            patch.setattr(place, call, refuse_with(error))
            os.kill(bench.pool.pids[0], signal.SIGKILL)
            await until(lambda: caplog.text.count("An inference worker could not be started") >= 3)
            assert (await bench.submit(picture())).prediction["label"]
            assert bench.pool.lacks_workers(0.01)
            assert not bench.pool.is_empty(0)
            assert "whisker_inference_workers 1.0" in bench.metrics.render().decode()
        await until(lambda: len(bench.pool.pids) == 2)
        assert not bench.pool.lacks_workers(0)
        assert child_processes() - others == {*bench.pool.pids}
    tried = [record for record in caplog.records if record.message == "An inference worker could not be started"]
    assert reason in vars(tried[0])["reason"]
    waits = [vars(record)["retry_in_seconds"] for record in tried]
    assert waits[:3] == [0.02, 0.04, 0.08]
    assert "whisker_inference_workers_wanted 2.0" in bench.metrics.render().decode()


async def test_worker_that_the_system_cannot_start_at_first_is_one_sentence(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socketpair", refuse_with(system_error(errno.EMFILE)))
    with pytest.raises(WorkerError, match=r"cannot be started: .*Too many open files"):
        async with at_work(settings):
            pass


async def test_closing_answers_what_is_queued_and_takes_no_more(settings: Settings) -> None:
    async with at_work(settings) as bench:
        waiting = [bench.submit(picture()) for _ in range(10)]
        closing = asyncio.create_task(bench.pool.close())
        await asyncio.sleep(0)
        assert not bench.pool.is_running
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


@pytest.mark.parametrize(("wanted", "started"), [(2, 2), (4, 4), (7, 4)])
async def test_at_most_four_workers_share_a_gpu(settings: Settings, wanted: int, started: int) -> None:
    async with at_work(settings, inference_workers=wanted, program=ON_A_GPU) as bench:
        assert bench.pool.count == len(bench.pool.pids) == started
        assert f"whisker_inference_workers_wanted {started}.0" in bench.metrics.render().decode()


@pytest.mark.parametrize("workers", [1, 2])
async def test_model_that_ends_the_workers_that_open_it_is_open_nowhere(
    settings: Settings, tiny: Path, workers: int
) -> None:
    async with at_work(settings, inference_workers=workers, program=FATAL) as bench:
        assert bench.card is not None
        with pytest.raises(WorkerError):
            await bench.pool.open(LoadedModel(tiny, bench.card, b"", 4))
        await until(lambda: len(bench.pool.pids) == workers)
        assert (await bench.submit(picture())).prediction["label"]


async def test_batches_stay_below_the_time_wanted(settings: Settings) -> None:
    async with at_work(settings, max_batch_seconds=1e-9) as bench:
        await asyncio.gather(*(bench.submit(picture()) for _ in range(3)))
        assert bench.batch_sizes() == (3, 3)


async def test_worker_with_an_exported_classifier_needs_no_pytorch(settings: Settings) -> None:
    pytest.importorskip("openvino")
    async with at_work(settings, engine="openvino") as bench:
        (pid,) = bench.pool.pids
        libraries = {Path(entry.path).name for entry in psutil.Process(pid).memory_maps()}
    assert any(name.startswith("libopenvino") for name in libraries)
    assert not any(name.startswith("libtorch") for name in libraries)
