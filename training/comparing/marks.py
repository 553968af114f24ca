"""A checkpoint's answers as marks in a table of photos and of the classes that both know, and its figures."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import VERDICTS, Verdict
from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import Interval
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.networks.build import count_multiply_adds
from whisker.model.plain_text import printable
from whisker.training.calibration.metrics import evaluate_probabilities, wilson_interval
from whisker.training.calibration.multi_label.metrics import evaluate_labels
from whisker.training.comparing.answers import Answers

DIGITS = 4  # of a figure in JSON


@dataclass(frozen=True, slots=True)
class CheckpointFigures:
    """How one checkpoint did, over all photos that are compared.

    Of a single-label checkpoint there is a calibration error, of a multi-label one mAP and F1. `wrong` counts answers
    of each verdict: with the wrong class, or with a label that the photo does not have.
    """

    file: str
    sha256: str
    classes: int
    bytes: int
    multiply_adds: int
    milliseconds: float
    engine: str
    right: int
    photos: int
    verdicts: Mapping[Verdict, int]
    wrong: Mapping[Verdict, int]
    calibration_error: float | None = None
    mean_average_precision: float | None = None
    micro_f1: float | None = None

    @property
    def accuracy(self) -> float:
        """Return the share of right answers; of a multi-label checkpoint, of those with exactly the right labels."""
        return self.right / self.photos

    @property
    def interval(self) -> Interval:
        """Bound the accuracy at 95 %."""
        return wilson_interval(self.right, self.photos)

    def to_json(self) -> dict[str, JsonValue]:
        """Give the figures as a JSON object."""
        document: dict[str, JsonValue] = {
            "file": self.file,
            "sha256": self.sha256,
            "classes": self.classes,
            "bytes": self.bytes,
            "multiply_adds": self.multiply_adds,
            "milliseconds_per_photo": round(self.milliseconds, 3),
            "engine": self.engine,
            "right": self.right,
            "accuracy": round(self.accuracy, DIGITS),
            "accuracy_95_interval": round_interval(self.interval),
            "verdicts": {
                verdict: {"answers": self.verdicts.get(verdict, 0), "wrong": self.wrong.get(verdict, 0)}
                for verdict in VERDICTS
            },
        }
        optional = {
            "expected_calibration_error": self.calibration_error,
            "mean_average_precision": self.mean_average_precision,
            "micro_f1": self.micro_f1,
        }
        return document | {name: round(value, DIGITS) for name, value in optional.items() if value is not None}


@dataclass(frozen=True, slots=True)
class MarkedAnswers:
    """A checkpoint's answers for N photos, with the classes that are `present` in these, bool `[N, classes]`.

    `columns` `[classes]` are the numbers of these classes among its own.
    """

    answers: Answers
    columns: NDArray[np.int64]
    present: NDArray[np.bool_]

    @property
    def found(self) -> NDArray[np.bool_]:
        """Mark the classes that are answered, `[N, classes]`; an answer with another class has no mark."""
        found: NDArray[np.bool_] = self.answers.found[:, self.columns]
        return found

    @property
    def right(self) -> NDArray[np.bool_]:
        """Tell which photos `[N]` are answered with exactly their labels."""
        right: NDArray[np.bool_] = (self.found == self.present).all(1)
        return right

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Tell which answers `[N]` are wrong: of several labels, those that name one which the photo does not have."""
        named: NDArray[np.bool_] = (self.found & ~self.present).sum(1) > 0
        missed: NDArray[np.bool_] = ~self.right
        return named if self.answers.is_multi_label else missed

    def figures(self) -> CheckpointFigures:
        """Count, and measure what else is to be compared."""
        contender, verdicts = self.answers.contender, self.answers.verdicts
        error, precision, f1 = self._quality()
        return CheckpointFigures(
            file=printable(str(contender.file)),
            sha256=contender.checkpoint.sha256,
            classes=len(contender.classes),
            bytes=contender.file.stat().st_size,
            multiply_adds=count_multiply_adds(contender.checkpoint.network, len(contender.classes)),
            milliseconds=self.answers.milliseconds,
            engine=contender.classifier.engine,
            right=int(self.right.sum()),
            photos=len(self.present),
            verdicts=Counter(verdicts),
            wrong=Counter(verdict for verdict, wrong in zip(verdicts, self.wrong, strict=True) if wrong),
            calibration_error=error,
            mean_average_precision=precision,
            micro_f1=f1,
        )

    def _quality(self) -> tuple[float | None, float | None, float | None]:
        """Measure calibration error, mean average precision and micro F1, as far as the task has them."""
        probabilities = self.answers.scores.probabilities
        if not self.answers.is_multi_label:
            labels = self.columns[self.present.argmax(1)]
            return evaluate_probabilities(probabilities, labels).calibration_error, None, None
        own = self.answers.contender.checkpoint.thresholds
        thresholds = Thresholds(
            labels=tuple(own.labels[column] for column in self.columns),
            guaranteed=tuple(own.guaranteed[column] for column in self.columns),
        )
        evaluation = evaluate_labels(probabilities[:, self.columns], self.present, thresholds)
        return None, evaluation.mean_average_precision, evaluation.micro_f1


def round_interval(interval: Interval) -> list[JsonValue]:
    """Round the bounds for a JSON document."""
    return [round(bound, DIGITS) for bound in interval]
