"""From a folder of photos to a checkpoint and its report: the steps of a training, in order."""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from whisker.model import Checkpoint, Preprocessing
from whisker.model.card.provenance import CalibrationRun, DataCounts, Epoch, Noticed, Provenance, Shares
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.errors import ConfigError
from whisker.training.calibration.calibrate import CalibrationData, Targets, calibrate
from whisker.training.calibration.metrics import Evaluation
from whisker.training.calibration.photos import read_training_sample
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.data.dataset import Dataset, prepare_dataset
from whisker.training.data.outliers import read_outliers
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.fit.distributed import SINGLE_PROCESS, World
from whisker.training.fit.loop import Trainer, TrainingResult
from whisker.training.fit.state import saved_run
from whisker.training.pretrained.weights import read_pretrained
from whisker.training.progress import Progress
from whisker.training.report.publish import publish

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
    pretrained: Path | None = None
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
    start = None if training.pretrained is None else read_pretrained(training.pretrained)
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
    calibrated = calibrate(uncalibrated, data, targets=training.targets, device=device, progress=progress)
    publish(calibrated, dataset, training.out, training.report_file)
    training.state_file.unlink(missing_ok=True)
    return calibrated.evaluation


def run_calibration(training: Training, checkpoint: Checkpoint, progress: Progress) -> Evaluation:
    """Fit the verdicts of `checkpoint` anew, with its own weights and on its own split of the photos.

    `training.config` is `split_config` of the checkpoint. Raises as `run_training` does, and `TrainingError` if the
    photos are not those of its training: it might have been trained on some of those to test with.
    """
    device = resolve_device(training.device)
    use_available_cores()
    _check_paths(training)
    _require_free(training, SINGLE_PROCESS)
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
    calibrated = calibrate(uncalibrated, data, targets=training.targets, device=device, progress=progress)
    publish(calibrated, dataset, training.out, training.report_file)
    return calibrated.evaluation


def split_config(checkpoint: Checkpoint) -> TrainingConfig:
    """Give the configuration that splits photos as the training of `checkpoint` did."""
    provenance = Provenance.from_json(checkpoint.provenance)
    shares = provenance.shares or Shares(validation=0.1, test=0.1)
    return TrainingConfig(
        PRESETS["quick"],
        checkpoint.network,
        seed=provenance.split_seed or 0,
        validation=shares.validation,
        test=shares.test,
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
    served, work = Preprocessing(size=training.config.network.size), training.work
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
    progress.say(f"Photos: {counts}; train {train:,}, validation {validation:,}, test {test:,}.")
    progress.say(
        f"Network: {network.family}, {network.activation}, width {network.width}, depth {network.depth}, "
        f"{'colour' if network.channels == 3 else 'grayscale'}, {network.size} px, on {device} "
        f"with {torch.get_num_threads()} threads."
    )


def _uncalibrated(training: Training, dataset: Dataset, fit: TrainingResult, start: str) -> Checkpoint:
    """Put the trained weights and their provenance into a checkpoint; `start` says which weights they started from."""
    network = training.config.network
    return Checkpoint(
        name=training.out.stem,
        network=network,
        preprocessing=Preprocessing(size=network.size),
        classes=dataset.classes,
        state={name: tensor.cpu() for name, tensor in fit.network.state_dict().items()},
        provenance=_provenance(training, dataset, fit, start).to_json(),
    )


def _provenance(training: Training, dataset: Dataset, fit: TrainingResult, start: str) -> Provenance:
    config = training.config
    return Provenance(
        data=_data_counts(dataset),
        noticed=Noticed(
            quarantined=tuple((item.path, item.reason) for item in dataset.quarantined[:_MAX_NOTICED]),
            conflicts=dataset.conflicts[:_MAX_NOTICED],
        ),
        split_seed=config.seed,
        shares=Shares(config.validation, config.test),
        preset=config.preset,
        pretrained=config.pretrained,
        pretrained_source=start,
        recipe=asdict(config.recipe),
        epochs=fit.schedule.epochs,
        history=tuple(Epoch(**asdict(result)) for result in fit.history),
        weights="averaged" if fit.averaged else "last",
        precision="bfloat16" if fit.bf16 else "float32",
        training_minutes=round(fit.seconds / 60, 1),
        command=training.command,
        libraries={name: version(name) for name in _LIBRARIES},
        python=platform.python_version(),
        date=_today(),
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _data_counts(dataset: Dataset) -> DataCounts:
    return DataCounts(
        fingerprint=dataset.fingerprint,
        split=dataset.split,
        photos=dict(zip(dataset.classes, dataset.counts, strict=True)),
        train=len(dataset.train.rows),
        validation=len(dataset.validation.rows),
        test=len(dataset.test.rows),
        quarantined=len(dataset.quarantined),
        duplicates=dataset.duplicates,
    )
