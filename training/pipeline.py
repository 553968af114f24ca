"""From a folder of photos to a checkpoint and its report: the steps of a training, in order."""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model import Checkpoint, build_network
from whisker.model.card.metrics import TestMetrics
from whisker.model.card.provenance import (
    CalibrationRun,
    DataCounts,
    Epoch,
    Noticed,
    Provenance,
    Shares,
    SplitGroups,
    TriedCandidate,
)
from whisker.model.engines.base import Engine
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.errors import ConfigError
from whisker.training.calibration.calibrate import CalibratedCheckpoint, CalibrationData, Targets, calibrate
from whisker.training.calibration.cross_validated import CrossValidated, calibrate_cross_validated
from whisker.training.calibration.metrics import Evaluation
from whisker.training.calibration.photos import read_training_sample, run_engine
from whisker.training.config import PRESETS, Grouping, TrainingConfig, TransferRecipe
from whisker.training.data.dataset import Dataset, prepare_dataset
from whisker.training.data.outliers import Outliers, read_outliers
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.fit.distributed import SINGLE_PROCESS, World
from whisker.training.fit.loop import Trainer, TrainingResult
from whisker.training.fit.state import saved_run
from whisker.training.pretrained.sources import NONE, open_pretrained
from whisker.training.pretrained.weights import Pretrained, apply_pretrained
from whisker.training.progress import Progress, silent
from whisker.training.report.publish import publish
from whisker.training.transfer.features import open_engine
from whisker.training.transfer.fit import Transfer, TransferData, TransferResult

_LIBRARIES = ("torch", "pillow", "numpy", "safetensors")
_MAX_CLASSES = 10  # named on the screen
_MAX_NOTICED = 20  # files, and groups of files, named in the checkpoint


@dataclass(frozen=True, slots=True)
class Training:
    """What to train, and where its files go."""

    photos: Path
    out: Path
    config: TrainingConfig
    targets: Targets = field(default_factory=Targets)
    device: str = "auto"
    labels: Path | None = None
    outliers: Path | None = None
    pretrained: str | None = None
    resume: bool = False
    overwrite: bool = False
    command: str = ""

    @property
    def work(self) -> Path:
        """Name the folder of caches and saved state, beside the checkpoint."""
        return self.state_file.parent

    @property
    def state_file(self) -> Path:
        """Name the file that holds the state of the unfinished training."""
        return state_file_of(self.out)

    @property
    def report_file(self) -> Path:
        """Name the report, beside the checkpoint."""
        return self.out.with_suffix(".html")


def state_file_of(out: Path) -> Path:
    """Name the file that holds the state of a checkpoint's unfinished training."""
    return out.with_suffix(".run") / "state.safetensors"


def unfinished_state(out: Path) -> Path | None:
    """Find the state of the unfinished training of a checkpoint, if there is one."""
    file = state_file_of(out)
    return file if file.exists() else None


def run_training(training: Training, progress: Progress, world: World = SINGLE_PROCESS) -> Evaluation | None:
    """Train, calibrate, test once, and write the checkpoint and its report; return the test's evaluation.

    Of several processes, only the main one calibrates and writes; the others return `None`. Raises `DatasetError`,
    `TrainingError` or, when stopped by a signal, `TrainingInterruptedError`.
    """
    device = resolve_device(training.device)
    use_available_cores(world.local_size)
    _check_paths(training)
    with world.main_first():
        _require_free(training, world)
        with _stoppable():
            dataset = prepare_dataset(training.photos, training.config, training.work, progress, training.labels)
            data = _calibration_data(training, dataset, progress)  # now: after the training, photos may be gone
        run = _run_identity(training, dataset)
        if training.overwrite and world.is_main:
            training.state_file.unlink(missing_ok=True)
        _check_resumable(training, run)
    _say_plan(training, dataset, device, progress)
    if training.config.transfer is not None:
        calibrated = _transfer(training, dataset, data, device, progress) if world.is_main else None
    else:
        calibrated = _train(training, dataset, data, run=run, device=device, progress=progress, world=world)
    if calibrated is None:
        return None
    publish(calibrated, dataset, training.out, training.report_file)
    training.state_file.unlink(missing_ok=True)
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
    uncalibrated = _uncalibrated(training, dataset, fit, "" if start is None else start.source)
    use_available_cores()
    return calibrate(uncalibrated, data, targets=training.targets, device=device, progress=progress)


def _transfer(
    training: Training, dataset: Dataset, data: CalibrationData, device: str, progress: Progress
) -> CalibratedCheckpoint:
    """Teach a pretrained network the classes, and calibrate it by cross-validation or on photos that are set aside."""
    config, recipe = training.config, training.config.transfer
    start = open_pretrained(training.pretrained or NONE)
    if recipe is None or start is None or dataset.served is None:
        raise ConfigError("A transfer needs pretrained weights: give --pretrained.")
    network = build_network(config.network, len(dataset.classes))
    apply_pretrained(network, start, dataset.classes, silent())
    validation = None if recipe.cross_validated else dataset.validation
    result = Transfer(
        network,
        TransferData(dataset.served, dataset.train, validation, dataset.classes),
        recipe,
        size=config.network.size,
        seed=config.seed,
        work=training.work,
        key={"weights": start.sha256, "photos": dataset.fingerprint, "size": config.network.size},
        device=device,
        progress=progress,
    ).run()
    uncalibrated = replace(
        _checkpoint(training, dataset, result.network.state_dict()),
        provenance=_transfer_provenance(training, dataset, result, start).to_json(),
    )
    if result.held_out is None:
        return calibrate(uncalibrated, data, targets=training.targets, device=device, progress=progress)
    engine = open_engine(result.network, config.network.size, device)
    cross_validated = CrossValidated(
        dataset.served, result.held_out, result.features, *_outlier_features(engine, data.outliers, progress)
    )
    return calibrate_cross_validated(
        uncalibrated, cross_validated, curve=result.curve, targets=training.targets, device=device, progress=progress
    )


def _outlier_features(
    engine: Engine, outliers: Outliers | None, progress: Progress
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64] | None]:
    """Compute features of unrelated photos, with the numbers of their groups."""
    if outliers is None:
        return None, None
    with progress.task("Computing features of unrelated photos", len(outliers.rows)) as task:
        return run_engine(engine, outliers, task).features, outliers.groups


def run_calibration(training: Training, checkpoint: Checkpoint, progress: Progress) -> Evaluation:
    """Fit the verdicts of `checkpoint` anew, with its own weights and on its own split of the photos.

    `training.config` is `split_config` of the checkpoint. Raises as `run_training` does, and `TrainingError` if the
    photos are not those of its training: it might have been trained on some of those to test with.
    """
    device = resolve_device(training.device)
    use_available_cores()
    _check_paths(training)
    _require_free(training, SINGLE_PROCESS)
    if training.config.groups is not None and training.config.groups.column is not None and training.labels is None:
        raise ConfigError(
            f"{checkpoint.name} was trained with groups by the {training.config.groups} of a CSV file: give that file "
            "with --labels."
        )
    provenance = Provenance.from_json(checkpoint.provenance)
    with _stoppable():
        dataset = prepare_dataset(training.photos, training.config, training.work, progress, training.labels)
        if provenance.data is None or dataset.split != provenance.data.split:
            raise TrainingError(
                f"{training.photos} does not hold exactly the photos that {checkpoint.name} was trained with, so it is "
                "unknown which of them are left for calibration and testing: give the same folder, and the same "
                "--labels."
            )
        data = _calibration_data(training, dataset, progress)
    provenance = replace(provenance, calibration=CalibrationRun(training.command, _today()))
    uncalibrated = replace(checkpoint, name=training.out.stem, provenance=provenance.to_json())
    if checkpoint.held_out is None or dataset.served is None:
        calibrated = calibrate(uncalibrated, data, targets=training.targets, device=device, progress=progress)
    else:
        network = build_network(checkpoint.network, len(checkpoint.classes))
        network.load_state_dict(dict(checkpoint.state))
        engine = open_engine(network.eval(), checkpoint.network.size, device)
        with progress.task("Computing features", len(dataset.served.rows)) as task:
            features = run_engine(engine, dataset.served, task).features
        cross_validated = CrossValidated(
            dataset.served, checkpoint.held_out, features, *_outlier_features(engine, data.outliers, progress)
        )
        curve = TestMetrics.from_json(checkpoint.metrics).learning_curve
        calibrated = calibrate_cross_validated(
            uncalibrated, cross_validated, curve=curve, targets=training.targets, device=device, progress=progress
        )
    publish(calibrated, dataset, training.out, training.report_file)
    return calibrated.evaluation


def split_config(checkpoint: Checkpoint) -> TrainingConfig:
    """Give the configuration that splits photos as the training of `checkpoint` did."""
    provenance = Provenance.from_json(checkpoint.provenance)
    shares, groups = provenance.shares or Shares(validation=0.1, test=0.1), provenance.groups
    transferred = checkpoint.preprocessing.resample == "bicubic"  # the photos are decoded as they were
    return TrainingConfig(
        PRESETS["quick"],
        checkpoint.network,
        seed=provenance.split_seed or 0,
        validation=shares.validation,
        test=shares.test,
        groups=None if groups is None else Grouping(groups.column, groups.folder_level),
        transfer=TransferRecipe(cross_validated=checkpoint.held_out is not None) if transferred else None,
    )


@contextmanager
def _stoppable() -> Iterator[None]:
    """Translate a signal that comes while photos are decoded."""
    try:
        yield
    except KeyboardInterrupt as exc:
        raise TrainingInterruptedError(
            "Stopped while preparing the photos. The same command goes on with the photos that are decoded."
        ) from exc


def _calibration_data(training: Training, dataset: Dataset, progress: Progress) -> CalibrationData:
    """Decode what calibration needs besides the splits: training photos as they are served, and outliers."""
    served, work = training.config.preprocessing, training.work
    sample = read_training_sample(training.photos, dataset.train, served, work / "cache-calibration", progress)
    outliers = None
    if training.outliers is not None:
        outliers = read_outliers(training.outliers, served, work / "cache-outliers", dataset.digests, progress)
    return CalibrationData(sample, dataset.validation, dataset.test, outliers)


def _check_paths(training: Training) -> None:
    """Refuse options that contradict each other, and a checkpoint without its suffix or among the photos."""
    if training.resume and training.overwrite:
        raise ConfigError("--resume continues a training and --overwrite discards it: give one of them.")
    if training.out.suffix != ".safetensors" or training.out.is_dir():
        raise ConfigError(f"The checkpoint is a file whose name ends in .safetensors, not {training.out}: see --out.")
    for folder in (training.photos, training.outliers):
        if folder is not None and folder.resolve() in training.out.resolve().parents:
            raise ConfigError(
                f"{training.out} would lie among the photos: give --out a path outside {folder.resolve()}."
            )


def _require_free(training: Training, world: World) -> None:
    """Refuse to replace a result or an unfinished training, unless asked to."""
    if training.overwrite or not world.is_main:
        return
    unfinished = training.state_file.exists()
    if unfinished and not training.resume:
        raise TrainingError(
            f"{training.work} holds an unfinished training: go on with --resume, or start again with --overwrite."
        )
    for file in (training.out, training.report_file):
        if file.exists() and not unfinished:
            raise TrainingError(f"{file} exists: choose another name with --out, or replace it with --overwrite.")


def _run_identity(training: Training, dataset: Dataset) -> dict[str, Any]:
    identity = {"config": asdict(training.config), "data": dataset.fingerprint, "split": dataset.split}
    loaded: dict[str, Any] = json.loads(json.dumps(identity))  # as it is read back: tuples become lists
    return loaded


def _check_resumable(training: Training, run: dict[str, Any]) -> None:
    if training.state_file.exists() and saved_run(training.state_file) != run:
        raise TrainingError(
            f"The unfinished training in {training.work} had other photos or options: "
            "give the same ones to continue, or start again with --overwrite."
        )


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


def _uncalibrated(training: Training, dataset: Dataset, fit: TrainingResult, start: str) -> Checkpoint:
    """Put the trained weights and their provenance into a checkpoint; `start` says which weights they started from."""
    checkpoint = _checkpoint(training, dataset, fit.network.state_dict())
    return replace(checkpoint, provenance=_provenance(training, dataset, fit, start).to_json())


def _checkpoint(training: Training, dataset: Dataset, state: Mapping[str, Tensor]) -> Checkpoint:
    return Checkpoint(
        name=training.out.stem,
        network=training.config.network,
        preprocessing=training.config.preprocessing,
        classes=dataset.classes,
        state={name: tensor.detach().cpu() for name, tensor in state.items()},
    )


def _provenance(training: Training, dataset: Dataset, fit: TrainingResult, start: str) -> Provenance:
    config = training.config
    return replace(
        _common_provenance(training, dataset),
        preset=config.preset,
        pretrained=config.pretrained,
        pretrained_source=start,
        recipe=asdict(config.recipe),
        epochs=fit.schedule.epochs,
        history=tuple(Epoch(**asdict(result)) for result in fit.history),
        weights="averaged" if fit.averaged else "last",
        precision="bfloat16" if fit.bf16 else "float32",
        training_minutes=round(fit.seconds / 60, 1),
    )


def _transfer_provenance(training: Training, dataset: Dataset, result: TransferResult, start: Pretrained) -> Provenance:
    recipe = training.config.transfer
    return replace(
        _common_provenance(training, dataset),
        pretrained=start.sha256,
        pretrained_source=start.source,
        recipe=None if recipe is None else asdict(recipe),
        method=result.chosen.name,
        candidates=tuple(
            TriedCandidate(tried.name, round(tried.accuracy, 4), round(tried.likelihood, 4))
            for tried in result.candidates
        ),
        epochs=None if result.plan is None else result.plan.epochs,
        training_minutes=round(result.seconds / 60, 1),
    )


def _common_provenance(training: Training, dataset: Dataset) -> Provenance:
    config = training.config
    return Provenance(
        data=_data_counts(dataset),
        noticed=Noticed(
            quarantined=tuple((item.path, item.reason) for item in dataset.quarantined[:_MAX_NOTICED]),
            conflicts=dataset.conflicts[:_MAX_NOTICED],
        ),
        split_seed=config.seed,
        shares=None if config.cross_validated else Shares(config.validation, config.test),
        groups=_split_groups(config.groups, dataset),
        command=training.command,
        libraries={name: version(name) for name in _LIBRARIES},
        python=platform.python_version(),
        date=_today(),
    )


def _split_groups(grouping: Grouping | None, dataset: Dataset) -> SplitGroups | None:
    if grouping is None or dataset.groups is None:
        return None
    return SplitGroups(
        column=grouping.column,
        folder_level=grouping.folder_level,
        count=dataset.groups.count,
        largest=dataset.groups.largest,
        test=len(np.unique(dataset.test.groups)),
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _data_counts(dataset: Dataset) -> DataCounts:
    cross_validated = dataset.test is dataset.served
    return DataCounts(
        fingerprint=dataset.fingerprint,
        split=dataset.split,
        photos=dict(zip(dataset.classes, dataset.counts, strict=True)),
        train=len(dataset.train.rows),
        validation=None if cross_validated else len(dataset.validation.rows),
        test=None if cross_validated else len(dataset.test.rows),
        quarantined=len(dataset.quarantined),
        duplicates=dataset.duplicates,
    )
