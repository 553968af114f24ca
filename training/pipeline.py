"""From a folder of photos to a checkpoint and its report: the steps of a training, in order."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from whisker.model import Checkpoint
from whisker.model.card.provenance import CalibrationRun, Provenance, Shares
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.engines.onnx_engine import require_cpu
from whisker.model.errors import ConfigError
from whisker.model.networks.build import require_trainable
from whisker.training.calibration.calibrate import CalibratedCheckpoint, CalibrationData, calibrate
from whisker.training.calibration.metrics import Measured
from whisker.training.calibration.photos import read_training_sample, sample_training_photos
from whisker.training.config import PRESETS, Grouping, TrainingConfig, TransferRecipe
from whisker.training.data.dataset import Dataset
from whisker.training.data.outliers import read_outliers
from whisker.training.data.preparation import prepare_dataset
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.evaluation.verdict_changes import describe_verdict_changes
from whisker.training.events.event import Stage
from whisker.training.fit.distributed import SINGLE_PROCESS, World
from whisker.training.fit.loop import Trainer
from whisker.training.importing.calibration import imported_config, require_all_classes
from whisker.training.job import Training, check_paths, check_resumable, plan_of, require_free, result_of, run_identity
from whisker.training.pretrained.sources import open_pretrained
from whisker.training.progress import Progress
from whisker.training.provenance import provenance_of, provenance_of_imported, today, uncalibrated
from whisker.training.report.publish import publish
from whisker.training.transferring import calibrate_on_split, recalibrate, transfer

_MAX_CLASSES = 10  # named on the screen


def run_training(training: Training, progress: Progress, world: World = SINGLE_PROCESS) -> Measured | None:
    """Train, calibrate, test once, and write the checkpoint and its report; return the test's evaluation.

    Of several processes, only the main one calibrates and writes; the others return `None`. Raises `DatasetError`,
    `TrainingError` or, when stopped by a signal, `TrainingInterruptedError`.
    """
    device = resolve_device(training.device)
    use_available_cores(world.local_size)
    check_paths(training)
    with world.main_first():
        require_free(training, world)
        with stoppable("preparing the photos"):
            dataset = prepare_dataset(
                training.photos,
                training.config,
                training.work,
                progress,
                training.labels,
                skip_small=training.skip_small,
            )
            data = _calibration_data(training, dataset, progress)  # now: after the training, photos may be gone
        run = run_identity(training, dataset)
        if training.overwrite and world.is_main:
            training.state_file.unlink(missing_ok=True)
        check_resumable(training, run)
    _say_plan(training, dataset, device, progress)
    progress.tell(plan_of(training, dataset))
    progress.tell(Stage("Preparing the network"))
    if training.config.transfer is not None:
        with stoppable("learning the classes"):
            calibrated = (
                transfer(training, dataset, data, run=run, device=device, progress=progress) if world.is_main else None
            )
    else:
        calibrated = _train(training, dataset, data, run=run, device=device, progress=progress, world=world)
    if calibrated is None:
        return None
    return finish(training, dataset, calibrated, progress)


def finish(training: Training, dataset: Dataset, calibrated: CalibratedCheckpoint, progress: Progress) -> Measured:
    """Write the result of a training, forget its state, and return the test's evaluation."""
    progress.tell(Stage("Writing the checkpoint and the report"))
    publish(calibrated, dataset, training.out, training.report_file)
    training.state_file.unlink(missing_ok=True)
    progress.tell(result_of(training, calibrated.evaluation))
    return calibrated.evaluation


def _train(
    training: Training,
    dataset: Dataset,
    data: CalibrationData,
    *,
    run: dict[str, Any],
    device: str,
    progress: Progress,
    world: World,
) -> CalibratedCheckpoint | None:
    """Train the whole network, and calibrate it on the photos that are set aside."""
    start = None if training.pretrained is None else open_pretrained(training.pretrained)
    fit = Trainer(
        training.config,
        dataset.train,
        dataset.validation,
        classes=dataset.classes,
        device=device,
        progress=progress,
        pretrained=start,
        world=world,
    ).fit(training.state_file, run)
    if not world.is_main:
        return None
    provenance = provenance_of(training, dataset, fit, "" if start is None else start.source)
    checkpoint = uncalibrated(training, dataset, fit.network.state_dict(), provenance)
    use_available_cores()
    return calibrate(checkpoint, data, targets=training.targets, device=device, progress=progress)


def run_calibration(training: Training, checkpoint: Checkpoint, progress: Progress) -> Measured:
    """Fit the verdicts of `checkpoint` anew, with its own weights and on its own split of the photos.

    `training.config` is `split_config` of the checkpoint. Raises as `run_training` does, and `TrainingError` if the
    photos are not those of its training: it might have been trained on some of those to test with. Of an imported
    checkpoint, that is not known.
    """
    device = require_cpu(training.device) if checkpoint.is_imported else resolve_device(training.device)
    use_available_cores()
    check_paths(training)
    require_free(training, SINGLE_PROCESS)
    with stoppable("preparing the photos"):
        dataset = prepare_own_photos(training, training.config, checkpoint, progress)
        data = _calibration_data(training, dataset, progress)
    provenance = Provenance.from_json(checkpoint.provenance)
    if checkpoint.is_imported:
        provenance = provenance_of_imported(training, dataset, provenance)
    provenance = replace(provenance, calibration=CalibrationRun(training.command, today()))
    fresh = replace(checkpoint, name=training.title, provenance=provenance.to_json())
    if checkpoint.held_out is None:
        calibrated = calibrate_on_split(fresh, data, targets=training.targets, device=device, progress=progress)
    else:
        calibrated = recalibrate(training, fresh, dataset, data, device=device, progress=progress)
    publish(calibrated, dataset, training.out, training.report_file)
    for line in describe_verdict_changes(checkpoint, calibrated.checkpoint, data.outliers, device):
        progress.say(line)
    return calibrated.evaluation


def prepare_own_photos(
    training: Training, config: TrainingConfig, checkpoint: Checkpoint, progress: Progress
) -> Dataset:
    """Prepare the photos that `checkpoint` was trained with, split as they were then: `config` is its `split_config`.

    Raises `DatasetError`, `ConfigError` if the file with the groups is missing, and `TrainingError` if the photos are
    others; of an imported checkpoint, that is not known.
    """
    if config.groups is not None and config.groups.column is not None and training.labels is None:
        raise ConfigError(
            f"{checkpoint.name} was trained with groups by the {config.groups} of a CSV file: give that file with "
            "--labels."
        )
    provenance = Provenance.from_json(checkpoint.provenance)
    if provenance.extensions:
        raise TrainingError(
            f"{checkpoint.name} has classes that were added with --extend, without the photos of the others, so "
            "nothing can be fitted to its photos again: train on the photos of all classes."
        )
    # A training that skipped no class had none that is too small, so that these are the classes of either.
    dataset = prepare_dataset(training.photos, config, training.work, progress, training.labels, skip_small=True)
    if checkpoint.is_imported:
        require_all_classes(checkpoint, dataset)
    elif provenance.data is None or dataset.split != provenance.data.split:
        raise TrainingError(
            f"{training.photos} does not hold exactly the photos that {checkpoint.name} was trained with, so it is "
            "unknown which of them are left for calibration and testing: give the same folder, and the same --labels."
        )
    return dataset


def split_config(checkpoint: Checkpoint) -> TrainingConfig:
    """Give the configuration that splits photos as the training of `checkpoint` did."""
    if checkpoint.is_imported:
        return imported_config(checkpoint)
    provenance = Provenance.from_json(checkpoint.provenance)
    shares, groups = provenance.shares or Shares(validation=0.1, test=0.1), provenance.groups
    transferred = checkpoint.preprocessing.resample == "bicubic"  # the photos are decoded as they were
    return TrainingConfig(
        PRESETS["quick"],
        require_trainable(checkpoint.network),
        seed=provenance.split_seed or 0,
        validation=shares.validation,
        test=shares.test,
        groups=None if groups is None else Grouping(groups.column, groups.folder_level),
        transfer=TransferRecipe(cross_validated=checkpoint.held_out is not None) if transferred else None,
        multi_label=checkpoint.task == "multi-label",
    )


@contextmanager
def stoppable(what: str) -> Iterator[None]:
    """Translate a signal that comes during work whose results are in caches."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise TrainingInterruptedError(
            f"Stopped while {what}. The same command goes on with what is done already."
        ) from exc


def _calibration_data(training: Training, dataset: Dataset, progress: Progress) -> CalibrationData:
    """Decode what calibration needs besides the splits: training photos as they are served, and outliers."""
    served, work = training.config.preprocessing, training.work
    if dataset.served is None:
        sample = read_training_sample(training.photos, dataset.train, served, work / "cache-calibration", progress)
    else:
        sample = sample_training_photos(dataset.served)
    outliers = None
    if training.outliers is not None:
        outliers = read_outliers(training.outliers, served, work / "cache-outliers", dataset.digests, progress)
    counts = dataset.train.count_classes(len(dataset.classes))
    return CalibrationData(sample, dataset.validation, dataset.test, outliers, counts)


def _say_plan(training: Training, dataset: Dataset, device: str, progress: Progress) -> None:
    named = [f"{name} {count:,}" for name, count in zip(dataset.classes, dataset.counts, strict=True)]
    more = len(named) - _MAX_CLASSES
    counts = ", ".join(named[:_MAX_CLASSES]) + (f" and {more:,} other classes" if more > 0 else "")
    train, validation, test = (len(split.rows) for split in (dataset.train, dataset.validation, dataset.test))
    network = training.config.network
    sides = f"train {train:,}, validation {validation:,}, test {test:,}"
    progress.say(f"Photos: {counts}; {'all are tested on in turn' if training.config.cross_validated else sides}.")
    shape = f"{network.activation}, width {network.width}, depth {network.depth}, "
    progress.say(
        f"Network: {network.family}, {shape if training.config.transfer is None else f'{network.variant}, '}"
        f"{'colour' if network.channels == 3 else 'grayscale'}, {network.size} px, on {device} "
        f"with {torch.get_num_threads()} threads."
    )
