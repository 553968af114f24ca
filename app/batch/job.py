"""`whisker predict --out`: any number of photos into one file of results, resuming where a run was stopped."""

import importlib.util
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from whisker.app.batch.journal import Journal
from whisker.app.batch.photos import Photo, count_photos, find_photos
from whisker.app.batch.results import Lines, ResultsFile, check_format, results_file
from whisker.app.errors import ResultsError
from whisker.app.settings import Settings
from whisker.model.answers.kinds import Task
from whisker.model.atomic_write import atomic_write
from whisker.model.plain_text import printable

if TYPE_CHECKING:
    from whisker.app.schemas import ModelCard
    from whisker.model.checkpoint.contents import Checkpoint

_JOURNAL_VERSION = 2  # of what a line of the journal holds; others are refused

_Classify = Callable[[Iterator[Photo], ResultsFile], Generator[Lines]]


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """What a job has to know of its checkpoint."""

    sha256: str
    task: Task
    classes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Job:
    """Which photos to classify, and where to write results. Only .jsonl files are limited to `top_k` classes."""

    photos: Sequence[Path]
    out: Path
    settings: Settings
    top_k: int = 5
    overwrite: bool = False
    on_ray: bool = False
    server: str | None = None  # the address of a service that classifies instead

    @property
    def journal(self) -> Path:
        """Return the path of the file that keeps the results until they are complete."""
        return self.out.with_name(f"{self.out.name}.partial")

    def find_photos(self) -> Iterator[Photo]:
        """List the photos; if one folder is given, names are relative to it."""
        return find_photos(self.photos, relative=len(self.photos) == 1, leave_out=(self.out, self.journal))

    def heading(self, checkpoint: "Checkpoint | KnownCheckpoint | ModelCard") -> dict[str, object]:
        """Return what must be equal for a run to resume another one's results."""
        return {
            "journal": _JOURNAL_VERSION,
            "checkpoint": checkpoint.sha256,
            "list of photos": [printable(str(path)) for path in self.photos],
            "max_pixels": self.settings.max_pixels,
            "top_k": self.top_k if self.out.suffix == ".jsonl" else None,
        }


def predict_to_file(job: Job) -> tuple[int, int]:
    """Classify the photos, write the file, and return how many photos are in it and how many could not be used.

    Raises `ResultsError`, before any work where that is possible, if the file cannot be written or the journal that is
    there is another job's.
    """
    _check(job)
    count = _Count(job.photos)  # beside the import of PyTorch
    count.start()
    checkpoint, classify = _on_server(job, job.server) if job.server else _on_ray(job) if job.on_ray else _here(job)
    from whisker.app.batch.progress import Progress  # noqa: PLC0415 - as slow things are: when needed

    is_multi_label = checkpoint.task == "multi-label"
    results = results_file(job.out, checkpoint.classes, job.top_k, multi_label=is_multi_label)
    with Journal(job.journal, job.heading(checkpoint), overwrite=job.overwrite) as journal:
        photos = job.find_photos()
        journal.pass_over(photos)
        with (
            Progress(journal.done, lambda: count.total) as progress,
            closing(classify(photos, results)) as batches,
        ):
            for lines in batches:
                journal.append(lines)
                progress.show(journal.done)
        _publish(journal, results, job.out)
        journal.remove()
        return journal.done, journal.failed


def _check(job: Job) -> None:
    """Raise `ResultsError`, before anything slow, if writing would fail in the end."""
    check_format(job.out)
    for path in job.photos:
        if not os.path.lexists(path):  # links to nothing have a row
            raise ResultsError(f"There is no file or folder {path}.")
    if not job.out.parent.is_dir():
        raise ResultsError(f"There is no folder {job.out.parent} to write {job.out.name} in: create it first.")
    if job.out.exists() and not job.overwrite and not job.journal.exists():
        raise ResultsError(f"{job.out} exists: choose another name with --out, or replace it with --overwrite.")
    if job.on_ray and importlib.util.find_spec("ray") is None:
        raise ResultsError("--ray needs Ray Data, which is not installed: run `pip install 'whisker-vision[ray]'`.")


def _here(job: Job) -> tuple[KnownCheckpoint, _Classify]:
    """Open the classifier on this machine."""
    from whisker.app.batch.local import LocalClassifier  # noqa: PLC0415 - NumPy and decoders take a while to import

    classifier = LocalClassifier(job.settings)
    card = classifier.card
    return KnownCheckpoint(card["sha256"], card["task"], card["classes"]), classifier.classify


def _on_server(job: Job, server: str) -> tuple["ModelCard", _Classify]:
    """Connect to a service and get its checkpoint's card."""
    from whisker.app.batch.remote import classify_on_server, connect  # noqa: PLC0415 - an HTTP client takes a while to import

    client = connect(server, job.settings.api_key)
    card = client.model()

    def classify_there(photos: Iterator[Photo], results: ResultsFile) -> Generator[Lines]:
        with client:
            for result in classify_on_server(client, photos, top_k=len(card.classes), version=card.version):
                yield results.lines([result])

    return card, classify_there


def _on_ray(job: Job) -> tuple["Checkpoint", _Classify]:
    """Load the checkpoint only: workers load their own classifiers."""
    from whisker.app.batch.ray_cluster import classify_on_ray  # noqa: PLC0415 - Ray takes seconds to import
    from whisker.model.checkpoint.file import load_checkpoint  # noqa: PLC0415

    checkpoint = load_checkpoint(job.settings.checkpoint, signed_by=job.settings.signed_by)
    return checkpoint, partial(classify_on_ray, job.settings, checkpoint.sha256)


def _publish(journal: Journal, results: ResultsFile, out: Path) -> None:
    """Write the file from the journal, which stays until the file is on the disk."""
    try:
        with atomic_write(out) as temporary, temporary.open("wb") as file:
            results.write(journal.lines(), file)
    except OSError as exc:
        raise ResultsError(
            f"{out} cannot be written: {exc.strerror}; fix the cause and run the same command again."
        ) from exc


class _Count(Thread):
    """Count the photos; `total` is `None` until that is done."""

    def __init__(self, photos: Sequence[Path]) -> None:
        super().__init__(name="count", daemon=True)
        self._photos = photos
        self.total: int | None = None

    def run(self) -> None:
        self.total = count_photos(self._photos)
