"""What the observers of a training are told, as it happens: frozen figures, which cost microseconds to make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """A line for people, as it is printed."""

    text: str

    @property
    def is_warning(self) -> bool:
        """Tell whether the line warns."""
        return self.text.startswith("Warning: ")


@dataclass(frozen=True, slots=True)
class Stage:
    """Work has begun that is called `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class StageEnd:
    """The work of the latest stage is done."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimisation step has been taken, in an epoch that is counted from 1."""

    epoch: int
    epochs: int
    loss: float | None
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Advance:
    """The work of the latest stage has advanced to `done` of `total`."""

    done: float
    total: float
    photos_per_second: float
    seconds_left: float
    step: Step | None = None


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch has ended; the `series` is "Training" or "Fine-tuning". Epochs before a resume are told again."""

    series: str
    number: int
    epochs: int
    loss: float
    learning_rate: float
    accuracy: float | None = None  # on validation photos
    size: int | None = None  # of the pictures, in pixels
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be trained: `photos` by class, the split's sizes unless all are tested in turn, and all settings."""

    name: str
    photos: Mapping[str, int]
    split: Mapping[str, int]
    network: str
    command: str
    settings: Mapping[str, object]
    work: Path  # the folder for what an interrupted training leaves
    is_new: bool  # rather than perhaps the continuation of one


@dataclass(frozen=True, slots=True)
class Finished:
    """Both files are written; `metrics` are those of the test, and the `summary` is them in a line."""

    checkpoint: Path
    report: Path
    metrics: Mapping[str, float]
    summary: str


Event = Line | Stage | StageEnd | Advance | Epoch | Plan | Finished
Observer = Callable[[Event], None]
