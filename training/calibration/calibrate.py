"""From trained weights to a calibrated checkpoint: fit on the validation split, then test once."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model import Checkpoint, Classifier
from whisker.model.answers.decision_rule import Outputs, Scores, softmax
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.profile import Profile
from whisker.model.card.metrics import TestMetrics
from whisker.model.checkpoint.contents import Quantization, Thresholds
from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.model.engines.base import Engine
from whisker.model.engines.onnx_engine import open_graph_engine
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.networks.base import Network
from whisker.model.networks.build import build_network
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.measurement import count_confident, count_unknown, score_photos
from whisker.training.calibration.metrics import Evaluation, Measured, evaluate_probabilities
from whisker.training.calibration.novelty import MIN_OUTLIERS, KnownPhotos, NoveltyFit, fit_novelty
from whisker.training.calibration.photos import run_engine
from whisker.training.calibration.quantization import quantize
from whisker.training.calibration.thresholds import PrecisionChoice, choose_unsure_threshold, fit_temperature
from whisker.training.data.dataset import Split
from whisker.training.data.outliers import Outliers
from whisker.training.progress import Progress
from whisker.training.replay.statistics import measure_statistics


@dataclass(frozen=True, slots=True)
class Targets:
    """What the verdicts must keep, with 95 % confidence, on photos like those of the validation split."""

    precision: float = 0.99  # of the answers called confident, the share that is right
    false_alarms: float = 0.05  # of photos of known classes, the share called unknown
    lowest_precision: float | None = None  # to promise where the photos cannot show `precision`


@dataclass(frozen=True, slots=True)
class CalibrationData:
    """The photos to calibrate and test with, all decoded as served photos are.

    `train` is a sample of its split, which has `photos` `[C]` of each class.
    """

    train: Split
    validation: Split
    test: Split
    outliers: Outliers | None
    photos: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CalibratedCheckpoint:
    """A checkpoint with all its figures, and the scores of its test photos for a report's galleries."""

    checkpoint: Checkpoint
    evaluation: Measured
    scores: Scores


def calibrate(
    uncalibrated: Checkpoint, data: CalibrationData, *, targets: Targets, device: str, progress: Progress
) -> CalibratedCheckpoint:
    """Fit temperature, novelty and thresholds on the validation split; measure the result on the test split.

    An imported checkpoint whose graph gives no features gets no measure of novelty.
    """
    if uncalibrated.is_imported:
        return _Calibration(uncalibrated, open_graph_engine(uncalibrated), None, data, targets, device, progress).run()
    network = build_network(uncalibrated.network, len(uncalibrated.classes))
    network.load_state_dict(dict(uncalibrated.state))
    engine = TorchEngine(network.eval(), device)
    return _Calibration(uncalibrated, engine, network, data, targets, device, progress).run()


@dataclass(frozen=True, slots=True)
class DataOutputs:
    """What the network gives for each part of the data but the test split."""

    train: Outputs
    validation: Outputs
    outliers: Outputs | None


def run_network(engine: Engine, data: CalibrationData, progress: Progress) -> DataOutputs:
    """Compute the outputs for all parts of the data but the test split."""
    parts = [data.validation, data.train] + ([] if data.outliers is None else [data.outliers])
    with progress.task("Calibrating", sum(len(part.rows) for part in parts)) as task:
        return DataOutputs(
            train=run_engine(engine, data.train, task),
            validation=run_engine(engine, data.validation, task),
            outliers=None if data.outliers is None else run_engine(engine, data.outliers, task),
        )


def fit_data_novelty(outputs: DataOutputs, data: CalibrationData, targets: Targets) -> NoveltyFit:
    """Fit the measure of novelty to the training photos, with its threshold by those of the validation split."""
    known = KnownPhotos(
        torch.from_numpy(outputs.train.features),
        data.train.labels,
        validation=torch.from_numpy(outputs.validation.features),
    )
    return fit_novelty(
        known,
        false_alarms=targets.false_alarms,
        outliers=None if outputs.outliers is None else torch.from_numpy(outputs.outliers.features),
        groups=None if data.outliers is None else data.outliers.groups,
    )


@dataclass(frozen=True, slots=True)
class _Calibration:
    """The phases of a calibration; the test split is untouched until the last one."""

    uncalibrated: Checkpoint
    engine: Engine
    network: Network | None  # that int8 is measured with
    data: CalibrationData
    targets: Targets
    device: str
    progress: Progress

    def run(self) -> CalibratedCheckpoint:
        outputs = run_network(self.engine, self.data, self.progress)
        temperature = self._fit_temperature(outputs)
        novelty = None
        if self.uncalibrated.has_features:
            novelty = fit_data_novelty(outputs, self.data, self.targets)
        validation = softmax(outputs.validation.logits, temperature)
        quantization = self._quantize(validation, temperature)
        checkpoint = replace(
            self.uncalibrated,
            temperature=temperature,
            novelty=None if novelty is None else novelty.novelty,
            quantization=quantization,
            statistics=self._measure_statistics(outputs),
        )
        unsure = self._choose_unsure(checkpoint, validation, outputs.validation)
        outliers = 0 if self.data.outliers is None else len(self.data.outliers.rows)
        warn_of_missed_precision(unsure, self.targets, self.progress)
        if novelty is not None:
            warn_of_novelty(novelty, self.targets, outliers=outliers, progress=self.progress)
        checkpoint = replace(checkpoint, thresholds=Thresholds(unsure.threshold, shown=unsure.guaranteed))
        return self._test(checkpoint, evaluate_probabilities(validation, self.data.validation.labels), novelty, unsure)

    def _fit_temperature(self, outputs: DataOutputs) -> float:
        labels = torch.from_numpy(self.data.validation.labels)
        return fit_temperature(torch.from_numpy(outputs.validation.logits), labels)

    def _measure_statistics(self, outputs: DataOutputs) -> ClassStatistics | None:
        if self.network is None:
            return None  # to add classes with
        train, validation = self.data.train, self.data.validation
        return measure_statistics(
            outputs.train.features,
            train.labels,
            train.groups,
            photos=self.data.photos,
            logits=outputs.validation.logits,
            answered=validation.labels,
        )

    def _quantize(self, validation: NDArray[np.float32], temperature: float) -> Quantization | None:
        """Quantize; compare with the float32 network's probabilities, `[N, classes]`.

        For networks that int8 makes hardly faster, it is left out.
        """
        if self.network is None or not self.uncalibrated.network.is_dense:
            return None
        found = quantize(
            self.network,
            self.device,
            self.data.train,
            self.data.validation,
            float32=validation,
            temperature=temperature,
            progress=self.progress,
        )
        cost, narrow = found.cost, found.narrow or found.cost
        self.progress.say(
            f"int8 loses {cost.points_lost:.2f} percentage points on {len(self.data.validation.rows):,} validation "
            f"photos and changes probabilities by {cost.mean_difference:.4f} on average; on processors without VNNI "
            f"{narrow.points_lost:.2f} and {narrow.mean_difference:.4f}."
        )
        return found

    def _choose_unsure(
        self, checkpoint: Checkpoint, probabilities: NDArray[np.float32], outputs: Outputs
    ) -> PrecisionChoice:
        """Choose the threshold of "unsure" on the validation photos that are not called unknown."""
        labels = self.data.validation.labels
        if checkpoint.novelty is not None:
            familiar = checkpoint.novelty.scores(outputs.features) <= UNKNOWN_SCORE
            probabilities, labels = probabilities[familiar], labels[familiar]
        return choose_unsure_threshold(
            probabilities, labels, self.targets.precision, lowest=self.targets.lowest_precision
        )

    def _test(
        self, checkpoint: Checkpoint, validation: Evaluation, novelty: NoveltyFit | None, unsure: PrecisionChoice
    ) -> CalibratedCheckpoint:
        """Score the test split through the code that serves."""
        classifier, labels = Classifier(checkpoint, self.device), self.data.test.labels
        scores, speed = score_photos(classifier, self.data.test, self.progress)
        evaluation = evaluate_probabilities(scores.probabilities, labels)
        confident = count_confident(classifier.verdicts(scores), scores, labels)
        outliers = None if novelty is None else novelty.outlier_scores
        guaranteed = None if novelty is None else novelty.guaranteed
        unknown = None if scores.unknown is None else count_unknown(scores.unknown, outliers)
        metrics = TestMetrics(
            validation=validation.to_metrics(),
            test=evaluation.to_metrics(),
            confident=replace(confident, target_precision=unsure.precision, guaranteed=unsure.guaranteed),
            unknown=unknown and replace(unknown, target_rate=self.targets.false_alarms, guaranteed=guaranteed),
            figures=measure_figures(scores.probabilities, labels, scores.unknown, outliers),
            profile=Profile.measure(scores.probabilities, checkpoint.classes),
            speed=speed,
        )
        return CalibratedCheckpoint(replace(checkpoint, metrics=metrics.to_json()), evaluation, scores)


def warn_of_missed_targets(
    novelty: NoveltyFit, unsure: PrecisionChoice, targets: Targets, *, outliers: int, progress: Progress
) -> None:
    """Say which targets the photos did not show to be kept, and whether unrelated photos were of use."""
    warn_of_missed_precision(unsure, targets, progress)
    warn_of_novelty(novelty, targets, outliers=outliers, progress=progress)


def warn_of_missed_precision(unsure: PrecisionChoice, targets: Targets, progress: Progress) -> None:
    """Say if the target of "confident" was not shown to be kept, and what was."""
    if not unsure.guaranteed:
        progress.say(
            f"Warning: the photos did not show that {targets.precision:.1%} of confident answers are right, "
            "so no answer will be called confident. More photos would help."
        )
    elif unsure.precision < targets.precision:
        progress.say(
            f"The photos did not show that {targets.precision:.1%} of confident answers are right: what they show, and "
            f"confident answers promise, is {unsure.precision:.1%}."
        )


def warn_of_novelty(novelty: NoveltyFit, targets: Targets, *, outliers: int, progress: Progress) -> None:
    """Say whether the target of "unknown" was not shown to be kept, and whether unrelated photos were of use."""
    if novelty.seen:
        progress.say(
            f"That at most {targets.false_alarms:.1%} of known photos are called unknown is not shown: the network was "
            "fine-tuned on the photos that the threshold was chosen by."
        )
    elif not novelty.guaranteed:
        progress.say(
            f"Warning: there are too few photos to show that at most {targets.false_alarms:.1%} of known photos are "
            "called unknown; the threshold is where about half as many are or, of very few, above all. More photos "
            "would help."
        )
    if 0 < outliers < MIN_OUTLIERS:
        progress.say(
            f"Warning: {outliers} unrelated photos are too few to learn from (at least {MIN_OUTLIERS}); "
            '"unknown" rests on the distance to the training photos alone.'
        )
    if novelty.caught is not None and novelty.refused:
        learned, plain = novelty.caught
        progress.say(
            f"The unrelated photos were not used: learning from some kinds of them caught {learned:,} of {outliers:,} "
            f'of the other kinds, and the distance to the training photos alone {plain:,}. "unknown" rests on that.'
        )
