"""What was measured with a checkpoint: the `metrics` of its header."""

from dataclasses import dataclass, field
from typing import ClassVar, Self, TypeAlias

from whisker.model.answers.profile import Profile
from whisker.model.card.confusion import Cell, Confusion, filled_cells
from whisker.model.card.record import NULL, Record, read_record

Interval: TypeAlias = tuple[float, float]  # lower and upper bound, with 95 % confidence


@dataclass(frozen=True, slots=True)
class SplitMetrics(Record):
    """How good the answers are for the photos of a split; rates are 0..1.

    Single-label answers have an accuracy, a calibration error and a confusion matrix, multi-label answers a mean
    average precision and F1 scores. Of very many classes, `confusion_cells` takes the matrix's place.
    """

    photos: int | None = None
    accuracy: float | None = None
    accuracy_95_interval: Interval | None = None
    negative_log_likelihood: float | None = None
    expected_calibration_error: float | None = None
    confusion: Confusion | None = None
    confusion_cells: tuple[Cell, ...] | None = None
    mean_average_precision: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None

    @property
    def cells(self) -> tuple[Cell, ...] | None:
        """List the cells of the confusion matrix that hold photos, however it is written."""
        return self.confusion_cells if self.confusion is None else filled_cells(self.confusion)


@dataclass(frozen=True, slots=True)
class ConfidentMetrics(Record):
    """How many of the answers `of` test photos were confident, and how many of those were wrong.

    A multi-label answer is wrong if it names a label that the photo does not have; its targets are those of the labels.
    `guaranteed` tells whether the validation photos showed `target_precision` with 95 % confidence.
    """

    answers: int
    of: int
    wrong: int
    error_95_interval: Interval | None = None
    target_precision: float | None = field(default=None, metadata={"key": "promised_precision"})
    guaranteed: bool | None = field(default=None, metadata={"key": "promised"})


@dataclass(frozen=True, slots=True)
class OutlierMetrics(Record):
    """How many `of` the unrelated photos got the verdict "unknown"."""

    caught: int
    of: int
    share_95_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class UnknownMetrics(Record):
    """How many `of` the test photos, all of known classes, got the verdict "unknown".

    `guaranteed` tells whether the validation photos showed `target_rate` with 95 % confidence.
    """

    false_alarms: int
    of: int
    rate_95_interval: Interval | None = None
    outliers: OutlierMetrics | None = field(default=None, metadata=NULL)
    target_rate: float | None = field(default=None, metadata={"key": "promised_rate"})
    guaranteed: bool | None = field(default=None, metadata={"key": "promised"})


@dataclass(frozen=True, slots=True)
class SpeedMetrics(Record):
    """How long a photo took in batches, without decoding, and on what."""

    milliseconds_per_photo: float
    multiply_adds: float  # a photo
    threads: int
    processor: str


@dataclass(frozen=True, slots=True)
class ReliabilityBin(Record):
    """Mean score and accuracy of the answers with scores from `low` to `high`; both null without any photo."""

    low: float
    high: float
    photos: int
    score: float | None = field(default=None, metadata=NULL)
    accuracy: float | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class CoveragePoint(Record):
    """The share of answers whose score reaches `threshold`, and their accuracy."""

    coverage: float
    accuracy: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ScoreHistograms(Record):
    """Counts of right and wrong answers, in bins of equal width over the scores 0..1."""

    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnknownHistograms(Record):
    """Counts of test photos and unrelated photos, in bins of equal width over the unknown scores 0..1."""

    known: tuple[int, ...]
    outliers: tuple[int, ...] | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class ClassMetrics(Record):
    """One class: its test photos, how often it was the answer, and how often rightly.

    Recall is null for a class without photos, and precision for one that was never the answer.
    """

    photos: int
    answered: int
    right: int
    recall: float | None = field(default=None, metadata=NULL)
    recall_95_interval: Interval | None = field(default=None, metadata=NULL)
    precision: float | None = field(default=None, metadata=NULL)
    precision_95_interval: Interval | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class LabelMetrics(ClassMetrics):
    """One label of a multi-label checkpoint, at its threshold: `answered` counts the photos that it was found in.

    `guaranteed` tells whether the validation photos showed `target_precision` with 95 % confidence. The average
    precision is null for a label that no photo has.
    """

    threshold: float | None = None
    target_precision: float | None = None
    guaranteed: bool | None = None
    f1: float | None = field(default=None, metadata=NULL)
    average_precision: float | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class Figures(Record):
    """What the plots of a report show, all measured on the test split.

    `per_class` has a row for each class of a single-label checkpoint, `per_label` one for each of a multi-label one.
    """

    reliability: tuple[ReliabilityBin, ...] | None = None
    coverage: tuple[CoveragePoint, ...] | None = None
    scores: ScoreHistograms | None = None
    unknown: UnknownHistograms | None = field(default=None, metadata=NULL)
    per_class: tuple[ClassMetrics, ...] | None = None
    per_label: tuple[LabelMetrics, ...] | None = None


@dataclass(frozen=True, slots=True)
class CrossValidationMetrics(Record):
    """How photos were held out in turn: what else is called the test split is then all photos, each held out."""

    folds: int
    repeats: int


@dataclass(frozen=True, slots=True)
class CurvePoint(Record):
    """The expected accuracy 0..1 with so many training photos."""

    photos: int
    accuracy: float
    accuracy_95_interval: Interval


@dataclass(frozen=True, slots=True)
class LearningCurve(Record):
    """How accuracy grows with photos: measured on parts of the training photos, and expected with twice as many.

    `gains` are each class's expected gains in recall with twice as many photos, 0..1, in the order of the classes.
    """

    measured: tuple[CurvePoint, ...]
    doubled: CurvePoint
    gains: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class LostRecall(Record):
    """An old class, its recall 0..1 before and after, and the new class that is now answered for most of its photos."""

    label: str
    before: float
    after: float
    to: str | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class ExtensionMetrics(Record):
    """How good a checkpoint is that classes were added to; accuracies are 0..1.

    That of the `new_photos` is measured by cross-validation. Those of old classes are estimates, by `drawn` stand-ins
    for held-out photos; null without any. `lost` is the old class that loses most, null if none does.
    """

    new_classes: tuple[str, ...]
    new_photos: int
    new_accuracy: float
    drawn: int
    old_accuracy_before: float | None = field(default=None, metadata=NULL)
    old_accuracy: float | None = field(default=None, metadata=NULL)
    lost: LostRecall | None = field(default=None, metadata=NULL)


@dataclass(frozen=True, slots=True)
class TestMetrics(Record):
    """Everything that was measured; a part that a checkpoint lacks is `None`."""

    __test__: ClassVar[bool] = False  # to pytest, the name looks like a test's

    validation: SplitMetrics | None = None
    test: SplitMetrics | None = None
    cross_validation: CrossValidationMetrics | None = None
    learning_curve: LearningCurve | None = None
    extension: ExtensionMetrics | None = None
    confident: ConfidentMetrics | None = None
    unknown: UnknownMetrics | None = None
    figures: Figures | None = None
    profile: Profile | None = None
    speed: SpeedMetrics | None = None

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Read a checkpoint's `metrics`, whatever they hold."""
        return read_record(cls, document) or cls()
