"""A checkpoint's answers as marks in a table of photos and of the classes that both checkpoints know."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.checkpoint.contents import Thresholds
from whisker.model.networks.build import count_multiply_adds
from whisker.model.plain_text import printable
from whisker.training.calibration.metrics import evaluate_probabilities
from whisker.training.calibration.multi_label.metrics import evaluate_labels
from whisker.training.comparing.answers import Answers
from whisker.training.comparing.figures import CheckpointFigures


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
