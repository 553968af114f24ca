"""Transfers as steps of a training: from pretrained weights to a calibrated checkpoint."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model import Checkpoint, build_network
from whisker.model.card.metrics import LearningCurve, TestMetrics
from whisker.model.card.provenance import Provenance
from whisker.model.engines.base import Engine
from whisker.model.errors import ConfigError
from whisker.training.calibration.calibrate import CalibratedCheckpoint, CalibrationData, Targets, calibrate
from whisker.training.calibration.cross_validated import CrossValidated, calibrate_cross_validated
from whisker.training.calibration.multi_label.calibrate import calibrate_labels
from whisker.training.calibration.multi_label.cross_validated import calibrate_labels_cross_validated
from whisker.training.calibration.photos import run_engine
from whisker.training.data.dataset import Dataset
from whisker.training.data.outliers import Outliers
from whisker.training.distilling import distil
from whisker.training.events.event import Stage
from whisker.training.job import Training
from whisker.training.pretrained.sources import NONE, open_pretrained
from whisker.training.pretrained.weights import apply_pretrained
from whisker.training.progress import Progress, silent
from whisker.training.provenance import provenance_of_transfer, uncalibrated
from whisker.training.transfer.features import open_engine
from whisker.training.transfer.fit import TransferData, TransferJob, transfer_classes
from whisker.training.transfer.multi_label.fit import transfer_labels


def transfer(
    training: Training,
    dataset: Dataset,
    data: CalibrationData,
    *,
    run: dict[str, Any],
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Teach a pretrained network the classes, and calibrate it by cross-validation or on photos that are set aside."""
    config, recipe = training.config, training.config.transfer
    start = open_pretrained(training.pretrained or NONE)
    if recipe is None or start is None or dataset.served is None:
        raise ConfigError("A transfer needs pretrained weights: give --pretrained.")
    network = build_network(config.network, len(dataset.classes))
    apply_pretrained(network, start, dataset.classes, silent())
    validation = None if recipe.cross_validated else dataset.validation
    learn = transfer_labels if config.multi_label else transfer_classes
    result = learn(
        TransferJob(
            network,
            TransferData(dataset.served, dataset.train, validation, dataset.classes),
            recipe,
            size=config.network.size,
            seed=config.seed,
            work=training.work,
            key={
                "weights": start.sha256,
                "photos": dataset.fingerprint,
                "split": dataset.split,
                "size": config.network.size,
            },
            device=device,
            progress=progress,
        )
    )
    checkpoint = uncalibrated(
        training, dataset, result.network.state_dict(), provenance_of_transfer(training, dataset, result, start)
    )
    if config.student is not None:
        return distil(training, dataset, data, checkpoint, config.student, run=run, device=device, progress=progress)
    if result.held_out is None or result.features is None:
        return calibrate_on_split(checkpoint, data, targets=training.targets, device=device, progress=progress)
    engine = open_engine(result.network, config.network.size, device)
    cross_validated = CrossValidated(
        dataset.served,
        result.held_out,
        result.features,
        result.plan is not None,
        *_outlier_features(engine, data.outliers, progress),
    )
    return _calibrate_cross_validated(
        checkpoint, cross_validated, curve=result.curve, targets=training.targets, device=device, progress=progress
    )


def recalibrate(
    training: Training,
    checkpoint: Checkpoint,
    dataset: Dataset,
    data: CalibrationData,
    *,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    """Fit the verdicts of a cross-validated checkpoint anew, by the answers for held-out photos that it has kept."""
    if checkpoint.held_out is None or dataset.served is None:
        raise ConfigError("The checkpoint was not cross-validated.")
    network = build_network(checkpoint.network, len(checkpoint.classes))
    network.load_state_dict(dict(checkpoint.state))
    engine = open_engine(network.eval(), checkpoint.network.size, device)
    with progress.task("Computing features", len(dataset.served.rows)) as task:
        features = run_engine(engine, dataset.served, task).features
    tuned = bool(Provenance.from_json(checkpoint.provenance).epochs)  # a probe has none
    cross_validated = CrossValidated(
        dataset.served, checkpoint.held_out, features, tuned, *_outlier_features(engine, data.outliers, progress)
    )
    curve = TestMetrics.from_json(checkpoint.metrics).learning_curve
    return _calibrate_cross_validated(
        checkpoint, cross_validated, curve=curve, targets=training.targets, device=device, progress=progress
    )


def calibrate_on_split(
    checkpoint: Checkpoint, data: CalibrationData, *, targets: Targets, device: str, progress: Progress
) -> CalibratedCheckpoint:
    """Calibrate a checkpoint of any task on the photos that are set aside."""
    fit = calibrate_labels if checkpoint.task == "multi-label" else calibrate
    return fit(checkpoint, data, targets=targets, device=device, progress=progress)


def _calibrate_cross_validated(
    checkpoint: Checkpoint,
    data: CrossValidated,
    *,
    curve: LearningCurve | None,
    targets: Targets,
    device: str,
    progress: Progress,
) -> CalibratedCheckpoint:
    progress.tell(Stage("Calibrating"))
    fit = calibrate_labels_cross_validated if checkpoint.task == "multi-label" else calibrate_cross_validated
    return fit(checkpoint, data, curve=curve, targets=targets, device=device, progress=progress)


def _outlier_features(
    engine: Engine, outliers: Outliers | None, progress: Progress
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64] | None]:
    """Compute features of unrelated photos, with the numbers of their groups."""
    if outliers is None:
        return None, None
    with progress.task("Computing features of unrelated photos", len(outliers.rows)) as task:
        return run_engine(engine, outliers, task).features, outliers.groups
