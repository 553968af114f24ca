"""From trained weights to a calibrated multi-label checkpoint: fit on the validation split, then test once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import sigmoid
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.card.metrics import Figures, TestMetrics
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.networks.build import build_network
from whisker.training.calibration.calibrate import (
    CalibratedCheckpoint,
    CalibrationData,
    Targets,
    fit_data_novelty,
    run_network,
    warn_of_novelty,
)
from whisker.training.calibration.figures import measure_unknown
from whisker.training.calibration.measurement import count_unknown, score_photos
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
from whisker.training.calibration.thresholds import PrecisionChoice
from whisker.training.progress import Progress

_MAX_NAMED = 5  # labels in a sentence


def calibrate_labels(
    uncalibrated: Checkpoint, data: CalibrationData, *, targets: Targets, device: str, progress: Progress
) -> CalibratedCheckpoint:
    """Fit temperature, novelty and a threshold a label on the validation split; measure the result on the test split.

    There is no int8: what it costs is not measured for several labels.
    """
    network = build_network(uncalibrated.network, len(uncalibrated.classes))
    network.load_state_dict(dict(uncalibrated.state))
    outputs = run_network(TorchEngine(network.eval(), device), data, progress)
    present = data.validation.require_present()
    temperature = fit_label_temperature(outputs.validation.logits, present)
    probabilities = sigmoid(outputs.validation.logits, temperature)
    novelty = fit_data_novelty(outputs, data, targets)
    familiar = novelty.novelty.scores(outputs.validation.features) <= UNKNOWN_SCORE
    choices = choose_label_thresholds(
        probabilities[familiar], present[familiar], targets.precision, lowest=targets.lowest_precision
    )
    checkpoint = replace(
        uncalibrated, temperature=temperature, novelty=novelty.novelty, thresholds=thresholds_of(choices)
    )
    say_label_targets(checkpoint.classes, choices, targets, progress)
    warn_of_novelty(
        novelty, targets, outliers=0 if data.outliers is None else len(data.outliers.rows), progress=progress
    )
    validation = evaluate_labels(probabilities, present, checkpoint.thresholds)
    return _test(checkpoint, data, validation, novelty, choices, targets=targets, device=device, progress=progress)


def say_label_targets(
    classes: Sequence[str], choices: Sequence[PrecisionChoice], targets: Targets, progress: Progress
) -> None:
    """Say for how many labels photos have shown a precision, and warn of the others."""
    shown = [choice.precision for choice in choices if choice.guaranteed]
    if shown:
        precision = f"at least {min(shown):.1%}" if min(shown) < targets.precision else f"{targets.precision:.1%}"
        progress.say(f"{len(shown):,} of {len(choices):,} labels have a threshold that is shown to keep {precision}.")
    missed = [name for name, choice in zip(classes, choices, strict=True) if not choice.guaranteed]
    if missed:
        more = f" and {len(missed) - _MAX_NAMED:,} more" if len(missed) > _MAX_NAMED else ""
        progress.say(
            "Warning: the photos are too few or too hard to show a precision of "
            f"{', '.join(missed[:_MAX_NAMED])}{more}: answers with such "
            "a label will be called unsure. More photos of it would help."
        )


def _test(
    checkpoint: Checkpoint,
    data: CalibrationData,
    validation: MultiLabelEvaluation,
    novelty: NoveltyFit,
    choices: Sequence[PrecisionChoice],
    *,
    targets: Targets,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Score the test split through the code that serves."""
    classifier, present = Classifier(checkpoint, device), data.test.require_present()
    scores, speed = score_photos(classifier, data.test, progress)
    found: NDArray[np.bool_] = scores.probabilities >= np.array(checkpoint.thresholds.labels)
    evaluation = evaluate_labels(
        scores.probabilities,
        present,
        checkpoint.thresholds,
        target_precisions=[choice.precision for choice in choices],
    )
    unknown = None if scores.unknown is None else count_unknown(scores.unknown, novelty.outlier_scores)
    metrics = TestMetrics(
        validation=validation.to_metrics(),
        test=evaluation.to_metrics(),
        confident=count_confident_labels(classifier.verdicts(scores), found, present),
        unknown=unknown and replace(unknown, target_rate=targets.false_alarms, guaranteed=novelty.guaranteed),
        figures=Figures(
            unknown=None if scores.unknown is None else measure_unknown(scores.unknown, novelty.outlier_scores),
            per_label=evaluation.labels,
        ),
        profile=Profile.measure_labels(found, scores.probabilities, checkpoint.classes),
        speed=speed,
    )
    return CalibratedCheckpoint(replace(checkpoint, metrics=metrics.to_json()), evaluation, scores)
