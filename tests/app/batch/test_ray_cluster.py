"""The same results from Ray Data, on a real local cluster."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.app.conftest import full_disk, picture
from tests.starting_ray import start_ray
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.errors import ResultsError
from whisker.app.settings import Settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.usefixtures("cluster"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Run a cluster of two workers, which find Whisker where this process does."""
    ray = pytest.importorskip("ray", reason="an optional extra")  # here, as it takes seconds of all who collect tests
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        previous = signal.getsignal(signal.SIGTERM)  # Ray leaves a handler of its own
        start_ray(ray, num_cpus=2)
        yield
        ray.shutdown()
        signal.signal(signal.SIGTERM, previous)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 1,100 photos, more than two blocks, with a damaged one among them and a name that is not UTF-8."""
    root = tmp_path / "photos"
    root.mkdir()
    for number in range(1100):
        (root / f"{number:04}.png").write_bytes(picture(colour=f"#{number % 256:02x}80{number % 7:02x}"))
    (root / "0500.png").write_bytes(picture()[:60])
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.png")).write_bytes(picture())
    return root


def test_worker_killed_in_the_middle_loses_nothing(
    settings: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photo that is a pipe holds a worker in the middle of a block until the worker is killed."""
    from tests.app.batch.holding_worker import HoldingWorker  # noqa: PLC0415 - it needs Ray

    monkeypatch.setattr("whisker.app.batch.ray_cluster.RayWorker", HoldingWorker)
    pipe = tmp_path / "pipe.png"
    photos = [folder, pipe, folder / "0001.png"]
    pipe.write_bytes(picture())
    assert predict_to_file(Job(photos, tmp_path / "here.jsonl", settings)) == (1103, 1)
    pipe.unlink()
    os.mkfifo(pipe)
    killer = Thread(target=_kill_reader_then_feed, args=(pipe, picture()), daemon=True)
    killer.start()
    assert predict_to_file(Job(photos, tmp_path / "ray.jsonl", settings, on_ray=True)) == (1103, 1)
    killer.join()
    for row, other in zip(_rows(tmp_path / "ray.jsonl"), _rows(tmp_path / "here.jsonl"), strict=True):
        assert row == other


def test_run_on_ray_goes_on_where_one_here_was_stopped(settings: Settings, folder: Path, tmp_path: Path) -> None:
    job = Job([folder], tmp_path / "results.jsonl", settings, on_ray=True)
    with full_disk(), pytest.raises(ResultsError, match="cannot be written"):
        predict_to_file(Job([folder], job.out, settings))
    journal = job.journal.read_bytes().splitlines(keepends=True)
    job.journal.write_bytes(b"".join(journal[:1000]))
    assert predict_to_file(job) == (1101, 1)
    assert _rows(job.out) == [json.loads(line) for line in journal[1:]]


def test_other_checkpoint_on_a_worker_is_refused(settings: Settings, folder: Path) -> None:
    from whisker.app.batch.photos import find_photos  # noqa: PLC0415
    from whisker.app.batch.ray_cluster import classify_on_ray  # noqa: PLC0415 - it needs Ray
    from whisker.app.batch.results import JsonLinesFile  # noqa: PLC0415

    with pytest.raises(ResultsError, match="is another file on a worker"):
        list(classify_on_ray(settings, "0" * 64, find_photos([folder]), JsonLinesFile(1)))


def _kill_reader_then_feed(pipe: Path, data: bytes) -> None:
    with pipe.open("wb") as file:  # opens when a worker opens its end, which then waits
        os.kill(_reader_of(pipe), signal.SIGKILL)
        gone = select.poll()
        gone.register(file, 0)  # an error, always reported, is that nobody reads any more
        gone.poll()
    pipe.write_bytes(data)  # as above, for the next worker


def _reader_of(pipe: Path) -> int:
    """Find the process, other than this one, that has a file open."""
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) != os.getpid():
            try:
                if any(os.readlink(link) == str(pipe) for link in (process / "fd").iterdir()):  # noqa: PTH115 - as text
                    return int(process.name)
            except OSError:
                continue  # it has ended meanwhile
    raise AssertionError(f"nobody reads {pipe}")


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
