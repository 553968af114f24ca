"""The figures of a comparison: of each class, and of both checkpoints together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from whisker.model.answers.decision_rule import Task, Verdict
from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import Interval
from whisker.training.comparing.marks import DIGITS, CheckpointFigures, round_interval
from whisker.training.comparing.paired import (
    SIGNIFICANCE,
    adjust_p_values,
    difference_interval,
    least_difference,
    mcnemar_exact,
    mcnemar_mid_p,
)

Outcome = Literal["better", "worse", "no difference shown"]  # what the photos show of B
Kind = Literal["now wrong", "now right", "other answer", "other verdict"]  # of a change


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class before and after: its photos, those found by A and by B and by one alone, and how often each answered it.

    `p_value` is McNemar's mid-p, adjusted for the number of classes.
    """

    label: str
    photos: int
    right: tuple[int, int]
    only: tuple[int, int]
    answered: tuple[int, int]
    p_value: float = 1.0

    @property
    def outcome(self) -> Outcome:
        """Tell whether B finds the class more or less often than A, if the photos show it."""
        return _outcome(*self.only, self.p_value)


@dataclass(frozen=True, slots=True)
class ForeignClass:
    """A class that only one checkpoint knows; `right` of its photos are found."""

    label: str
    known_to: Literal["A", "B"]
    photos: int
    right: int


@dataclass(frozen=True, slots=True)
class Change:
    """A photo that is answered differently, or with another verdict; scores are those of the answers."""

    photo: str
    label: str
    change: Kind
    answers: tuple[str, str]
    scores: tuple[str, str]
    verdicts: tuple[Verdict, Verdict]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two checkpoints on the same photos: figures of both, of each shared class, and of the pairs.

    `only_a` and `only_b` count the photos that only that checkpoint answers rightly. `notes` are what was noticed.
    """

    task: Task
    a: CheckpointFigures
    b: CheckpointFigures
    only_a: int
    only_b: int
    classes: tuple[ClassChange, ...]
    foreign: tuple[ForeignClass, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    trained_on: tuple[str, ...]
    quarantined: tuple[tuple[str, str], ...]

    @property
    def photos(self) -> int:
        """Count the photos that are compared."""
        return self.a.photos

    @property
    def difference(self) -> float:
        """Return the accuracy of B minus that of A."""
        return (self.only_b - self.only_a) / self.photos

    @property
    def interval(self) -> Interval:
        """Bound the difference at 95 %."""
        return difference_interval(self.only_a, self.only_b, self.photos)

    @property
    def p_value(self) -> float:
        """Return McNemar's mid-p-value, which decides."""
        return mcnemar_mid_p(self.only_a, self.only_b)

    @property
    def least_difference(self) -> float | None:
        """Return the least difference that photos with as many changed answers can show, if any."""
        return least_difference(self.only_a + self.only_b, self.photos)

    @property
    def outcome(self) -> Outcome:
        """Tell whether B is better or worse than A, if the photos show it."""
        return _outcome(self.only_a, self.only_b, self.p_value)

    @property
    def worse_classes(self) -> tuple[ClassChange, ...]:
        """List the classes that B is shown to find less often."""
        return tuple(change for change in self.classes if change.outcome == "worse")

    @property
    def is_worse(self) -> bool:
        """Tell whether B is shown to be worse than A, in all or in a class."""
        return self.outcome == "worse" or bool(self.worse_classes)

    def to_json(self) -> dict[str, JsonValue]:
        """Give everything but the photos that changed as a JSON object."""
        return {
            "task": self.task,
            "photos": self.photos,
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "only_a_right": self.only_a,
            "only_b_right": self.only_b,
            "difference": round(self.difference, DIGITS),
            "difference_95_interval": round_interval(self.interval),
            "mcnemar_mid_p": round(self.p_value, 6),
            "mcnemar_exact_p": round(mcnemar_exact(self.only_a, self.only_b), 6),
            "least_difference_shown": None if self.least_difference is None else round(self.least_difference, DIGITS),
            "outcome": self.outcome,
            "is_worse": self.is_worse,
            "classes": [_class_json(change) for change in self.classes],
            "foreign_classes": [asdict(foreign) for foreign in self.foreign],
            "changed_photos": len(self.changes),
            "trained_on": list(self.trained_on),
            "notes": list(self.notes),
            "quarantined": [{"path": path, "reason": reason} for path, reason in self.quarantined],
        }


def with_p_values(classes: Sequence[ClassChange]) -> tuple[ClassChange, ...]:
    """Test each class, and adjust the p-values for their number."""
    adjusted = adjust_p_values([mcnemar_mid_p(*change.only) for change in classes])
    return tuple(replace(change, p_value=value) for change, value in zip(classes, adjusted, strict=True))


def _outcome(only_a: int, only_b: int, p_value: float) -> Outcome:
    if p_value > SIGNIFICANCE:
        return "no difference shown"
    return "better" if only_b > only_a else "worse"


def _class_json(change: ClassChange) -> dict[str, JsonValue]:
    return {
        "label": change.label,
        "photos": change.photos,
        **{f"right_{side}": count for side, count in zip("ab", change.right, strict=True)},
        **{f"only_{side}_right": count for side, count in zip("ab", change.only, strict=True)},
        **{f"answered_{side}": count for side, count in zip("ab", change.answered, strict=True)},
        "adjusted_p": round(change.p_value, 6),
        "outcome": change.outcome,
    }
