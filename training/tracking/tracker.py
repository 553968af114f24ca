"""What records trainings: a library behind a small interface, and the run that an interrupted training goes on with."""

import hashlib
import json
from abc import ABC, abstractmethod

from whisker.model.atomic_write import atomic_write
from whisker.model.plain_text import printable
from whisker.training.events.event import Epoch, Finished, Plan


class Tracker(ABC):
    """Records one training; its methods may be slow, and may raise what its library raises."""

    name: str  # as people know the library
    place: str  # where it records

    @abstractmethod
    def begin(self, plan: Plan, earlier: str | None) -> str:
        """Start a run, or go on with an `earlier` one if it is still there; return what names it."""

    @abstractmethod
    def log_epoch(self, epoch: Epoch) -> None:
        """Record the figures of an epoch, once even if it is told again."""

    @abstractmethod
    def finish(self, finished: Finished) -> None:
        """Record the figures of the test."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """End the run."""

    def explain(self, error: Exception) -> str:
        """Say in a line what the library has raised."""
        return printable(str(error).strip().split("\n", maxsplit=1)[0] or type(error).__name__)


class Bookmark:
    """A file among an unfinished training's that names its run."""

    def __init__(self, plan: Plan, tracker: Tracker) -> None:
        self._file = plan.work / f"{tracker.name.lower()}.json"
        self._is_new = plan.is_new
        settings = json.dumps({**plan.settings, "place": tracker.place}, sort_keys=True, default=str)
        self._settings = hashlib.sha256(settings.encode()).hexdigest()

    def read(self) -> str | None:
        """Give the run of the same training that was interrupted, if there is one."""
        if self._is_new:
            return None
        try:
            noted = json.loads(self._file.read_text())
            return str(noted["run"]) if noted["settings"] == self._settings else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # a run more, rather than no training

    def write(self, run: str) -> None:
        """Note the run; raise `OSError` if that fails."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self._file) as temporary:
            temporary.write_text(json.dumps({"run": run, "settings": self._settings}))

    def remove(self) -> None:
        """Forget the run: the training is finished."""
        self._file.unlink(missing_ok=True)


def figures_of(epoch: Epoch) -> dict[str, float]:
    """Name the figures of an epoch as both libraries show them, grouped by series."""
    figures = {
        "loss": epoch.loss,
        "learning_rate": epoch.learning_rate,
        "validation_accuracy": epoch.accuracy,
        "size": epoch.size,
        "seconds": epoch.seconds,
    }
    series = epoch.series.lower()
    return {f"{series}/{name}": float(value) for name, value in figures.items() if value is not None}
