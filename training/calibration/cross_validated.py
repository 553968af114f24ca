"""From trained weights to a calibrated checkpoint without photos set aside: by cross-validation.

A split of a few dozen photos shows next to nothing. Here every photo is answered by networks that were trained without
it, and the checkpoint's own network is trained on all of them.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import Scores, Verdict, softmax
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.card.metrics import CrossValidationMetrics, LearningCurve, SpeedMetrics, TestMetrics
from whisker.model.checkpoint.contents import HeldOut, Thresholds
from whisker.training.calibration.calibrate import CalibratedCheckpoint, Targets, warn_of_missed_targets
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.measurement import count_confident, count_unknown, score_photos
from whisker.training.calibration.metrics import Evaluation, evaluate_probabilities
from whisker.training.calibration.novelty import KnownPhotos, NoveltyFit, fit_novelty
from whisker.training.calibration.photos import thin_out
from whisker.training.calibration.thresholds import PrecisionChoice, choose_unsure_threshold, fit_temperature
from whisker.training.data.dataset import Split
from whisker.training.progress import Progress
from whisker.training.replay.statistics import measure_statistics

TIMED_PHOTOS = 64


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """Photos at the serving size, their answers when held out, and their features `[N, F]` from the final network.

    `tuned` tells whether the network before the last layer was trained on these photos. `outliers` `[M, F]` are
    features of unrelated photos, `groups` `[M]` the numbers of those that must stay together.
    """

    photos: Split
    held_out: HeldOut
    features: NDArray[np.float32]
    tuned: bool
    outliers: NDArray[np.float32] | None = None
    groups: NDArray[np.int64] | None = None


def calibrate_cross_validated(
    uncalibrated: Checkpoint,
    data: CrossValidated,
    *,
    curve: LearningCurve | None,
    targets: Targets,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Fit temperature, novelty and thresholds to answers of held-out photos; measure the result on them, too.

    A threshold that was chosen by the photos which it is measured on looks better than it is: the figures of the
    verdict "confident" are measured fold by fold, each with a threshold chosen on the other folds.
    """
    repeats, labels = data.held_out.repeats, data.photos.labels
    logits, tiled = data.held_out.logits.reshape(-1, len(uncalibrated.classes)), np.tile(labels, repeats)
    temperature = fit_temperature(torch.from_numpy(logits), torch.from_numpy(tiled), repeats=repeats)
    probabilities = softmax(logits, temperature)
    novelty, unknown = fit_held_out_novelty(data, targets)
    familiar = np.tile(unknown <= UNKNOWN_SCORE, repeats)
    unsure = choose_unsure_threshold(
        probabilities[familiar], tiled[familiar], targets.precision, lowest=targets.lowest_precision, repeats=repeats
    )
    warn_of_missed_targets(
        novelty, unsure, targets, outliers=0 if data.outliers is None else len(data.outliers), progress=progress
    )
    checkpoint = replace(
        uncalibrated,
        temperature=temperature,
        novelty=novelty.novelty,
        thresholds=Thresholds(unsure.threshold, shown=unsure.guaranteed),
        held_out=data.held_out,
        statistics=measure_statistics(
            data.features,
            labels,
            data.photos.groups,
            photos=np.bincount(labels, minlength=len(uncalibrated.classes)),
            logits=data.held_out.logits[0],
            answered=labels,
        ),
    )
    evaluation = evaluate_probabilities(probabilities, tiled, repeats=repeats)
    speed = score_photos(Classifier(checkpoint, device), thin_out(data.photos, TIMED_PHOTOS), progress)[1]
    metrics = _measure(data, targets, evaluation, _Answers(probabilities, tiled, unknown, novelty, unsure), speed)
    mean = probabilities.reshape(repeats, len(labels), -1).mean(0)
    profile = Profile.measure(probabilities, checkpoint.classes)
    calibrated = replace(checkpoint, metrics=replace(metrics, profile=profile, learning_curve=curve).to_json())
    return CalibratedCheckpoint(calibrated, evaluation, Scores(mean, unknown))


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers for held-out photos: probabilities and labels of all repeats, unknown scores, and what was chosen."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    unknown: NDArray[np.float32]
    novelty: NoveltyFit
    unsure: PrecisionChoice


def fit_held_out_novelty(data: CrossValidated, targets: Targets) -> tuple[NoveltyFit, NDArray[np.float32]]:
    """Fit the measure of novelty; return it with the unknown scores `[N]` of the photos, each held out.

    The threshold is an order statistic of these scores: how many photos exceed it is set, not found. An interval for
    that share holds all the same, for new photos like them (Wilks 1941). It does not for features that were trained on
    the photos: where the score rests on these, nothing is guaranteed.
    """
    known = KnownPhotos(
        torch.from_numpy(data.features),
        data.photos.labels,
        folds=data.held_out.folds[0],
        distances=data.held_out.distances,
    )
    outliers = None if data.outliers is None else torch.from_numpy(data.outliers)
    fit = fit_novelty(known, false_alarms=targets.false_alarms, outliers=outliers, groups=data.groups)
    used = None if outliers is None or not fit.novelty.direction.any() else outliers
    unknown = fit.novelty.rate(known.held_out_scores(used))
    seen = data.tuned and (known.distances is None or used is not None)
    return replace(fit, guaranteed=fit.guaranteed and not seen, seen=seen), unknown


def _measure(
    data: CrossValidated, targets: Targets, evaluation: Evaluation, answers: _Answers, speed: SpeedMetrics
) -> TestMetrics:
    held_out, novelty, unsure = data.held_out, answers.novelty, answers.unsure
    confident = count_confident(
        _cross_fitted_verdicts(data, targets, answers),
        Scores(answers.probabilities, None),
        answers.labels,
        repeats=held_out.repeats,
    )
    unknown = count_unknown(answers.unknown, novelty.outlier_scores)
    return TestMetrics(
        test=evaluation.to_metrics(),
        cross_validation=CrossValidationMetrics(int(held_out.folds.max()) + 1, held_out.repeats),
        confident=replace(confident, target_precision=unsure.precision, guaranteed=unsure.guaranteed),
        unknown=replace(unknown, target_rate=targets.false_alarms, guaranteed=novelty.guaranteed),
        figures=measure_figures(
            answers.probabilities, answers.labels, answers.unknown, novelty.outlier_scores, repeats=held_out.repeats
        ),
        speed=speed,
    )


def _cross_fitted_verdicts(data: CrossValidated, targets: Targets, answers: _Answers) -> list[Verdict]:
    """Give each answer the verdict of a threshold that was chosen without its photo."""
    repeats, photos = data.held_out.folds.shape
    folds = data.held_out.folds[0]
    familiar, sure = np.tile(answers.unknown <= UNKNOWN_SCORE, repeats), np.zeros(repeats * photos, np.bool_)
    if answers.unsure.guaranteed:
        for fold in np.unique(folds):
            held = np.tile(folds == fold, repeats)
            others = familiar & ~held
            choice = choose_unsure_threshold(
                answers.probabilities[others],
                answers.labels[others],
                targets.precision,
                lowest=targets.lowest_precision,
                # As much evidence as there is with this fold, or the promise would be another one.
                repeats=repeats * (photos - (folds == fold).sum()) / photos,
            )
            sure[held] = choice.guaranteed & (answers.probabilities[held].max(1) >= choice.threshold)
    return [
        "unknown" if not known else "confident" if good else "unsure"
        for known, good in zip(familiar, sure, strict=True)
    ]
