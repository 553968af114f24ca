"""From trained weights to a calibrated multi-label checkpoint without photos set aside: by cross-validation."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import Scores, Verdict, sigmoid
from whisker.model.answers.multi_label import MultiLabelRule
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.card.metrics import CrossValidationMetrics, Figures, LearningCurve, TestMetrics
from whisker.model.checkpoint.contents import Thresholds
from whisker.training.calibration.calibrate import CalibratedCheckpoint, Targets, warn_of_novelty
from whisker.training.calibration.cross_validated import TIMED_PHOTOS, CrossValidated, fit_held_out_novelty
from whisker.training.calibration.figures import measure_unknown
from whisker.training.calibration.measurement import count_unknown, score_photos
from whisker.training.calibration.multi_label.calibrate import say_label_targets
from whisker.training.calibration.multi_label.metrics import (
    MultiLabelEvaluation,
    count_confident_labels,
    evaluate_labels,
)
from whisker.training.calibration.multi_label.thresholds import (
    choose_label_thresholds,
    fit_label_temperature,
    thresholds_of,
)
from whisker.training.calibration.novelty import NoveltyFit
from whisker.training.calibration.photos import thin_out
from whisker.training.calibration.thresholds import PrecisionChoice
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers for N held-out photos in R repeats: probabilities, labels `[R * N, classes]`, unknown scores `[N]`.

    `folds` `[R, N]` number the fold that each photo was held out in.
    """

    probabilities: NDArray[np.float32]
    present: NDArray[np.bool_]
    unknown: NDArray[np.float32]
    folds: NDArray[np.int64]

    @property
    def repeats(self) -> int:
        return len(self.folds)

    def choose(self, among: NDArray[np.bool_], targets: Targets) -> tuple[PrecisionChoice, ...]:
        """Choose a threshold for each label by the photos `among` `[N]`, without those that are called unknown.

        Fewer photos are taken for as much evidence as all of them, or the promises would be others.
        """
        kept = np.tile(among & (self.unknown <= UNKNOWN_SCORE), self.repeats)
        return choose_label_thresholds(
            self.probabilities[kept],
            self.present[kept],
            targets.precision,
            lowest=targets.lowest_precision,
            repeats=self.repeats * float(among.mean()),
        )


def calibrate_labels_cross_validated(
    uncalibrated: Checkpoint,
    data: CrossValidated,
    *,
    curve: LearningCurve | None,
    targets: Targets,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Fit temperature, novelty and a threshold a label to answers of held-out photos; measure the result on them, too.

    What is found and called confident is measured fold by fold, each with thresholds chosen on the other folds: by the
    photos that they were chosen by, they would look better than they are.
    """
    held_out, classes = data.held_out, len(uncalibrated.classes)
    present = np.tile(data.photos.require_present(), (held_out.repeats, 1))
    logits = held_out.logits.reshape(-1, classes)
    temperature = fit_label_temperature(logits, present, repeats=held_out.repeats)
    novelty, unknown = fit_held_out_novelty(data, targets)
    answers = _Answers(sigmoid(logits, temperature), present, unknown, held_out.folds)
    choices = answers.choose(np.ones(len(unknown), np.bool_), targets)
    checkpoint = replace(
        uncalibrated,
        temperature=temperature,
        novelty=novelty.novelty,
        thresholds=thresholds_of(choices),
        held_out=held_out,
    )
    say_label_targets(checkpoint.classes, choices, targets, progress)
    warn_of_novelty(novelty, targets, outliers=0 if data.outliers is None else len(data.outliers), progress=progress)
    speed = score_photos(Classifier(checkpoint, device), thin_out(data.photos, TIMED_PHOTOS), progress)[1]
    evaluation, metrics = _measure(checkpoint, answers, novelty, choices, targets)
    metrics = replace(metrics, speed=speed, learning_curve=curve)
    mean = answers.probabilities.reshape(held_out.repeats, len(unknown), classes).mean(0)
    return CalibratedCheckpoint(replace(checkpoint, metrics=metrics.to_json()), evaluation, Scores(mean, unknown))


def _measure(
    checkpoint: Checkpoint,
    answers: _Answers,
    novelty: NoveltyFit,
    choices: tuple[PrecisionChoice, ...],
    targets: Targets,
) -> tuple[MultiLabelEvaluation, TestMetrics]:
    found, verdicts = _cross_fitted(checkpoint, answers, targets)
    evaluation = evaluate_labels(
        answers.probabilities,
        answers.present,
        checkpoint.thresholds,
        found=found,
        target_precisions=[choice.precision for choice in choices],
        repeats=answers.repeats,
    )
    unknown = count_unknown(answers.unknown, novelty.outlier_scores)
    return evaluation, TestMetrics(
        test=evaluation.to_metrics(),
        cross_validation=CrossValidationMetrics(int(answers.folds.max()) + 1, answers.repeats),
        confident=count_confident_labels(verdicts, found, answers.present, repeats=answers.repeats),
        unknown=replace(unknown, target_rate=targets.false_alarms, guaranteed=novelty.guaranteed),
        figures=Figures(unknown=measure_unknown(answers.unknown, novelty.outlier_scores), per_label=evaluation.labels),
        profile=Profile.measure_labels(found, answers.probabilities, checkpoint.classes),
    )


def _cross_fitted(
    checkpoint: Checkpoint, answers: _Answers, targets: Targets
) -> tuple[NDArray[np.bool_], list[Verdict]]:
    """Find labels `[R * N, classes]`, and give verdicts, by thresholds that were chosen without the photo."""
    found = np.zeros_like(answers.present)
    verdicts = np.empty(len(found), dtype=object)
    unknown = np.tile(answers.unknown, answers.repeats)
    for fold in np.unique(answers.folds[0]):
        others = answers.folds[0] != fold
        held = np.tile(~others, answers.repeats)
        thresholds = thresholds_of(answers.choose(others, targets))
        rule = MultiLabelRule(
            checkpoint.classes,
            checkpoint.temperature,
            checkpoint.novelty,
            thresholds.labels,
            _still_guaranteed(checkpoint.thresholds, thresholds),
        )
        found[held] = rule.found(answers.probabilities[held])
        verdicts[held] = rule.verdicts(Scores(answers.probabilities[held], unknown[held]))
    return found, verdicts.tolist()


def _still_guaranteed(final: Thresholds, fold: Thresholds) -> tuple[bool, ...]:
    """Tell which labels a fold's answers may be confident about: none that the final thresholds do not guarantee."""
    return tuple(map(all, zip(final.guaranteed, fold.guaranteed, strict=True)))
