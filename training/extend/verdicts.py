"""The verdicts of an extended checkpoint, and what the extension cost the old classes.

Scores for stand-ins are estimates, and drawn features show nothing about photos. Old photos that are given show little,
too: the checkpoint may have been trained on them. So no precision is promised, and no answer is called confident.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import Scores, softmax
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.card.metrics import (
    ConfidentMetrics,
    CrossValidationMetrics,
    TestMetrics,
    UnknownMetrics,
)
from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.calibrate import CalibratedCheckpoint, Targets
from whisker.training.calibration.cross_validated import TIMED_PHOTOS
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.measurement import score_photos
from whisker.training.calibration.metrics import evaluate_probabilities, wilson_interval
from whisker.training.calibration.photos import thin_out
from whisker.training.calibration.thresholds import choose_unsure_threshold, fit_temperature
from whisker.training.data.dataset import Split
from whisker.training.extend.cost import measure_cost
from whisker.training.extend.last_layer import HeldOutAnswers, Replayed
from whisker.training.extend.novelty import extend_novelty
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Extended:
    """An extended checkpoint without verdicts, the one it was made from, and all answers for held-out photos.

    `photos` are the real ones, with `features` `[N, F]`.
    """

    source: Checkpoint
    checkpoint: Checkpoint
    photos: Split
    features: NDArray[np.float32]
    replayed: Replayed
    answers: HeldOutAnswers


def calibrate_extended(
    extended: Extended, *, targets: Targets, device: str, progress: Progress
) -> CalibratedCheckpoint:
    """Fit temperature, thresholds and novelty, and measure the result."""
    return _Calibration(extended, targets, device, progress).run()


@dataclass(frozen=True, slots=True)
class _Calibration:
    extended: Extended
    targets: Targets
    device: str
    progress: Progress

    def run(self) -> CalibratedCheckpoint:
        answers, classes = self.extended.answers, len(self.extended.checkpoint.classes)
        repeats, logits = len(answers.logits), answers.logits.reshape(-1, classes)
        labels = np.tile(answers.labels, repeats)
        temperature = fit_temperature(torch.from_numpy(logits), torch.from_numpy(labels), repeats=repeats)
        probabilities = softmax(logits, temperature)
        checkpoint, unknown_metrics = self._extend_novelty(replace(self.extended.checkpoint, temperature=temperature))
        unsure = choose_unsure_threshold(probabilities, labels, self.targets.precision, repeats=repeats)
        checkpoint = replace(checkpoint, thresholds=Thresholds(unsure.threshold, shown=False))
        self.progress.say(
            "No answer will be called confident: without photos of all classes, it cannot be shown that such answers "
            "would be right. Train on all photos to have confident answers again."
        )
        evaluation = evaluate_probabilities(probabilities, labels, repeats=repeats)
        classifier = Classifier(checkpoint, self.device)
        speed = score_photos(classifier, thin_out(self.extended.photos, TIMED_PHOTOS), self.progress)[1]
        metrics = TestMetrics(
            test=evaluation.to_metrics(),
            cross_validation=CrossValidationMetrics(int(answers.folds.max()) + 1, repeats),
            confident=ConfidentMetrics(
                0, len(answers.labels), 0, (0.0, 1.0), target_precision=self.targets.precision, guaranteed=False
            ),
            unknown=unknown_metrics,
            figures=measure_figures(probabilities, labels, None, None, repeats=repeats),
            profile=Profile.measure(probabilities, checkpoint.classes),
            speed=speed,
            extension=measure_cost(checkpoint.classes, self.extended.replayed, answers),
        )
        real = answers.logits.mean(0)[answers.drawn :]
        scores = Scores(softmax(real, temperature), self._unknown(checkpoint))
        return CalibratedCheckpoint(replace(checkpoint, metrics=metrics.to_json()), evaluation, scores)

    def _extend_novelty(self, checkpoint: Checkpoint) -> tuple[Checkpoint, UnknownMetrics | None]:
        """Add the new classes to the novelty measure; count false alarms, of the old classes those from before."""
        source, answers = self.extended.source, self.extended.answers
        if source.novelty is None:
            return checkpoint, None
        new = np.flatnonzero(~np.isin(self.extended.photos.labels, self.extended.replayed.old))
        novelty, choice, ood_scores = extend_novelty(
            source.novelty,
            self.extended.features[new],
            self.extended.photos.labels[new],
            answers.folds[0, answers.drawn :][new],
            false_alarms=self.targets.false_alarms,
            classes=len(checkpoint.classes),
        )
        alarms, photos = int((novelty.rate(ood_scores) > UNKNOWN_SCORE).sum()), len(new)
        before = TestMetrics.from_json(source.metrics).unknown
        kept = choice.guaranteed and source.novelty.distance_weight >= 0
        if before is None:
            kept = False
        else:
            alarms, photos = alarms + before.false_alarms, photos + before.of
            kept = kept and bool(before.guaranteed) and (before.target_rate or 1) <= self.targets.false_alarms
        low, high = wilson_interval(alarms, photos)
        interval = round(low, 4), round(high, 4)
        metrics = UnknownMetrics(alarms, photos, interval, target_rate=self.targets.false_alarms, guaranteed=kept)
        return replace(checkpoint, novelty=novelty), metrics

    def _unknown(self, checkpoint: Checkpoint) -> NDArray[np.float32] | None:
        """Give the unknown scores of the real photos, for the galleries of the report."""
        return None if checkpoint.novelty is None else checkpoint.novelty.scores(self.extended.features)
