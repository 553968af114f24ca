"""Where a checkpoint comes from: the `provenance` of its header."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from whisker.model.card.document import JsonValue
from whisker.model.card.record import NULL, Record, read_record


@dataclass(frozen=True, slots=True)
class DataCounts(Record):
    """The photos of a training: readable ones by class, those of each split, and what was found among the files.

    `fingerprint` is a hash of all photos with their classes, `split` one of which photo is in which split.
    """

    fingerprint: str | None = None
    split: str | None = None
    photos: Mapping[str, int] | None = None
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    quarantined: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True, slots=True)
class Noticed(Record):
    """The first unusable files, each with a reason, and the first groups of look-alikes in several classes."""

    quarantined: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Shares(Record):
    """The fractions 0..1 of each class's photos that were held out."""

    validation: float
    test: float


@dataclass(frozen=True, slots=True)
class SplitGroups(Record):
    """The groups that the user named, each of which is in one split: by a column of a CSV file or a level of folders.

    `count` are all groups, where photos without one count for themselves and groups that share look-alikes are one;
    `test` those in the test split. `largest` is the number of photos of the largest.
    """

    column: str | None = None
    folder_level: int | None = None
    count: int | None = None
    largest: int | None = None
    test: int | None = None


@dataclass(frozen=True, slots=True)
class Epoch(Record):
    """One epoch: the photos' side in pixels, the mean loss, and the accuracy after it."""

    epoch: int
    size: int
    loss: float
    validation_accuracy: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class TriedCandidate(Record):
    """What a transfer tried, and how good it was on held-out photos: accuracy, and mean negative log-likelihood."""

    name: str
    accuracy: float
    negative_log_likelihood: float


@dataclass(frozen=True, slots=True)
class CalibrationRun(Record):
    """A later `whisker calibrate`."""

    command: str
    date: str


@dataclass(frozen=True, slots=True)
class Extension(Record):
    """Classes that were added later: to which file, and with which photos.

    `photos` counts the photos that were given by class, `missing` those of old classes that statistics stood for.
    """

    extended_from: str  # SHA-256 of the file
    name: str  # of that checkpoint
    added: tuple[str, ...]
    photos: Mapping[str, int]
    missing: int
    fingerprint: str  # of the photos that were given
    command: str
    date: str


@dataclass(frozen=True, slots=True)
class ImportRun(Record):
    """An ONNX file that `whisker import` has made the checkpoint of: its name, its SHA-256, and what it says of itself.

    `runtime_difference` is the largest difference of a golden picture's probability from ONNX Runtime's; it is `None`
    if that was not compared.
    """

    file: str
    sha256: str
    producer: str
    opset: int
    command: str
    date: str
    runtime_difference: float | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class Provenance(Record):
    """Everything about the training that made a checkpoint; a part that a checkpoint lacks is `None`."""

    data: DataCounts | None = None
    noticed: Noticed | None = None
    split_seed: int | None = None
    shares: Shares | None = None
    groups: SplitGroups | None = None
    sides: tuple[str, ...] | None = None  # the splits that the folder had itself
    preset: str | None = None
    pretrained: str | None = None  # SHA-256 of the file that the weights started from; empty if they were random
    pretrained_source: str | None = None  # what these weights were, in a few words
    method: str | None = None  # of a transfer, a distillation or a shrinkage
    candidates: tuple[TriedCandidate, ...] | None = None  # of a transfer
    recipe: Mapping[str, JsonValue] | None = None  # hyper-parameters
    epochs: int | None = None
    history: tuple[Epoch, ...] | None = None
    weights: str | None = None  # averaged or last
    precision: str | None = None  # of the numbers in training
    training_minutes: float | None = None
    command: str | None = None
    libraries: Mapping[str, str] | None = None  # versions
    python: str | None = None
    date: str | None = None
    calibration: CalibrationRun | None = None
    extensions: tuple[Extension, ...] | None = None  # the first one first
    imported: ImportRun | None = None  # of a classifier that another program has trained

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read a checkpoint's `provenance`, whatever it holds."""
        return read_record(cls, document) or cls()
