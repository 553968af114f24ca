"""Folders in one process a core: the same results, and an end when a process, or whoever started them, ends."""

import errno
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.app.conftest import ROOT, rows
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.batch.photos import Photo
from whisker.app.errors import ResultsError
from whisker.app.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("measured")]


def test_processes_answer_as_threads_do(
    job: Job, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predict_to_file(job) == (82, 2)
    monkeypatch.setattr("whisker.app.batch.local.MIN_PHOTOS_FOR_PROCESSES", 82)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))  # as where no folder can be written to
    both = settings.model_copy(update={"inference_workers": 2, "engine": "openvino"})
    other = Job(job.photos, tmp_path / "processes.jsonl", both)
    assert predict_to_file(other) == (82, 2)
    for row, expected in zip(rows(other.out), rows(job.out), strict=True):
        assert [row["photo"], row.get("error"), row.get("label")] == [
            expected["photo"],
            expected.get("error"),
            expected.get("label"),
        ]
        assert row.get("score") == pytest.approx(expected.get("score"), abs=0.01)


def test_process_that_ends_stops_the_run_with_a_sentence(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisker.app.batch.local.MIN_PHOTOS_FOR_PROCESSES", 82)
    monkeypatch.setattr("whisker.app.batch.processes.classify_batch", _crash)
    settings = job.settings.model_copy(update={"inference_workers": 2, "engine": "openvino"})
    with pytest.raises(ResultsError, match="resumes from here"):
        predict_to_file(Job(job.photos, job.out, settings))


def test_processes_without_shared_memory_are_a_sentence(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("whisker.app.batch.local.MIN_PHOTOS_FOR_PROCESSES", 82)
    monkeypatch.setattr("whisker.app.batch.processes.ProcessPoolExecutor", refuse)
    settings = job.settings.model_copy(update={"inference_workers": 2, "engine": "openvino"})
    with pytest.raises(ResultsError, match=r"locks in .*Read-only file system.*WHISKER_INFERENCE_WORKERS=1"):
        predict_to_file(Job(job.photos, job.out, settings))


def test_processes_of_a_killed_run_end(job: Job, folder: Path) -> None:
    """A photo that is a pipe holds a process up; the pipe tells when that has ended."""
    pipe = folder.parent / "pipe.png"
    os.mkfifo(pipe)
    words = ["predict", folder, pipe, "--out", job.out, "--checkpoint", job.settings.checkpoint]
    start = (
        "from tests.app.batch import holding; from whisker.app.batch import local, processes; "
        "from whisker.cli import main; local.MIN_PHOTOS_FOR_PROCESSES = 83; "
        "processes.classify_batch = holding.classify_batch; main()"
    )
    with (
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", start, *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "WHISKER_INFERENCE_WORKERS": "2", "WHISKER_ENGINE": "openvino"},
        ) as run,
        pipe.open("wb") as file,  # opens when a process opens its end, which then waits for a picture
    ):
        run.send_signal(signal.SIGKILL)
        gone = select.poll()
        gone.register(file, 0)  # an error, always reported, is that nobody reads any more
        gone.poll()


def _crash(_order: Path, _photos: list[Photo]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
