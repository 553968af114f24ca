"""From a folder of photos to a checkpoint and its report: the steps of a training, in their order."""

import json
import platform
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from whisker.model import Checkpoint, Preprocessing
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.errors import ConfigError
from whisker.training.calibration.calibrate import Targets, finish
from whisker.training.calibration.metrics import Evaluation
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.data.dataset import Dataset, prepare_dataset
from whisker.training.data.outliers import Outliers, read_outliers
from whisker.training.errors import TrainingError, TrainingInterruptedError
from whisker.training.fit.distributed import SINGLE_PROCESS, World
from whisker.training.fit.loop import Fit, Trainer
from whisker.training.fit.pretrained import read_pretrained
from whisker.training.fit.state import saved_run
from whisker.training.progress import Progress
from whisker.training.report.publish import publish

_LIBRARIES = ("torch", "pillow", "numpy", "safetensors")
_NAMED_CLASSES = 10  # on the screen
_NOTICED = 20  # files and groups named in the checkpoint


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
        """Name the file of the unfinished training's state."""
        return state_file_of(self.out)

    @property
    def report_file(self) -> Path:
        """Name the report, beside the checkpoint."""
        return self.out.with_suffix(".html")


def state_file_of(out: Path) -> Path:
    """Name the file in which the state of a checkpoint's unfinished training lies."""
    return out.with_suffix(".run") / "state.safetensors"


def unfinished_state(out: Path) -> Path | None:
    """Find the state of the unfinished training of a checkpoint, if there is one."""
    file = state_file_of(out)
    return file if file.exists() else None


def run_training(training: Training, progress: Progress, world: World = SINGLE_PROCESS) -> Evaluation | None:
    """Train, calibrate, test once, and write the checkpoint and its report; return the test's evaluation.

    Of several processes, only the leader calibrates and writes, and the others return `None`. Raises `DatasetError`,
    `TrainingError` or, when stopped by a signal, `TrainingInterruptedError`.
    """
    device = resolve_device(training.device)
    use_available_cores(world.local_size)
    _check_places(training)
    with world.main_first():
        _require_free(training, world)
        dataset, outliers = _prepare(training, progress)
        run = _run_identity(training, dataset)
        if training.overwrite and world.is_main:
            training.state_file.unlink(missing_ok=True)
        _check_resumable(training, run)
    _say_plan(training, dataset, device, progress)
    fit = Trainer(
        training.config,
        dataset.train,
        dataset.validation,
        classes=dataset.classes,
        device=device,
        progress=progress,
        pretrained=None if training.pretrained is None else read_pretrained(training.pretrained),
        world=world,
    ).fit(training.state_file, run)
    if not world.is_main:
        return None
    draft = _draft(training, dataset, fit)
    use_available_cores()
    calibrated = finish(draft, dataset, outliers=outliers, targets=training.targets, device=device, progress=progress)
    publish(calibrated, dataset, training.out, training.report_file)
    training.state_file.unlink(missing_ok=True)
    return calibrated.evaluation


def run_calibration(training: Training, checkpoint: Checkpoint, progress: Progress) -> Evaluation:
    """Fit the verdicts of `checkpoint` anew, with its own weights and on its own split of the photos.

    `training.config` is `split_config` of the checkpoint. Raises as `run_training`, and `TrainingError` if the photos
    are not those of its training: some of them might have been trained on.
    """
    device = resolve_device(training.device)
    use_available_cores()
    _check_places(training)
    _require_free(training, SINGLE_PROCESS)
    dataset, outliers = _prepare(training, progress)
    if dataset.split != checkpoint.provenance.get("data", {}).get("split"):
        raise TrainingError(
            f"{training.photos} does not hold exactly the photos that {checkpoint.name} was trained with: nobody can "
            "tell which of them are left to calibrate and test with: give the same folder, and the same --labels."
        )
    calibration = {"command": training.command, "date": _today()}
    draft = replace(
        checkpoint, name=training.out.stem, provenance={**checkpoint.provenance, "calibration": calibration}
    )
    calibrated = finish(draft, dataset, outliers=outliers, targets=training.targets, device=device, progress=progress)
    publish(calibrated, dataset, training.out, training.report_file)
    return calibrated.evaluation


def split_config(checkpoint: Checkpoint) -> TrainingConfig:
    """Give the configuration that splits photos as the training of `checkpoint` did."""
    provenance = checkpoint.provenance
    shares = provenance.get("shares", {"validation": 0.1, "test": 0.1})
    return TrainingConfig(
        PRESETS["quick"],
        checkpoint.network,
        seed=provenance.get("split_seed", 0),
        validation=shares["validation"],
        test=shares["test"],
    )


def _prepare(training: Training, progress: Progress) -> tuple[Dataset, Outliers | None]:
    try:
        dataset = prepare_dataset(training.photos, training.config, training.work, progress, training.labels)
        if training.outliers is None:
            return dataset, None
        served = Preprocessing(size=training.config.network.size)
        cache = training.work / "cache-outliers"
        return dataset, read_outliers(training.outliers, served, cache, dataset.digests, progress)
    except KeyboardInterrupt as exc:
        raise TrainingInterruptedError(
            "Stopped while preparing the photos: the same command goes on with what is decoded."
        ) from exc


def _check_places(training: Training) -> None:
    """Refuse names that would make files overwrite each other, or become photos."""
    if training.resume and training.overwrite:
        raise ConfigError("--resume goes on with a training and --overwrite drops it: give one of them.")
    if training.out.suffix != ".safetensors" or training.out.is_dir():
        raise ConfigError(f"The checkpoint is a file whose name ends in .safetensors, not {training.out}: see --out.")
    for folder in (training.photos, training.outliers):
        if folder is not None and folder.resolve() in training.out.resolve().parents:
            raise ConfigError(
                f"{training.out} would lie among the photos: give --out a place outside of {folder.resolve()}."
            )


def _require_free(training: Training, world: World) -> None:
    """Refuse to replace a result, or an unfinished training, that nobody asked to replace."""
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
    loaded: dict[str, Any] = json.loads(json.dumps(identity))  # as it will read back: tuples become lists
    return loaded


def _check_resumable(training: Training, run: dict[str, Any]) -> None:
    if training.state_file.exists() and saved_run(training.state_file) != run:
        raise TrainingError(
            f"The unfinished training in {training.work} had other photos or options: "
            "give the same ones to go on, or start again with --overwrite."
        )


def _say_plan(training: Training, dataset: Dataset, device: str, progress: Progress) -> None:
    named = [f"{name} {count:,}" for name, count in zip(dataset.classes, dataset.counts, strict=True)]
    more = len(named) - _NAMED_CLASSES
    counts = ", ".join(named[:_NAMED_CLASSES]) + (f" and {more:,} other classes" if more > 0 else "")
    sides = [len(side.rows) for side in (dataset.train, dataset.validation, dataset.test)]
    network = training.config.network
    progress.say(f"Photos: {counts}; train {sides[0]:,}, validation {sides[1]:,}, test {sides[2]:,}.")
    progress.say(
        f"Network: {network.family}, {network.activation}, width {network.width}, depth {network.depth}, "
        f"{'colour' if network.channels == 3 else 'grey'}, {network.size} px, on {device} "
        f"with {torch.get_num_threads()} threads."
    )


def _draft(training: Training, dataset: Dataset, fit: Fit) -> Checkpoint:
    """Put the trained weights, and how they came about, into a checkpoint that is not calibrated yet."""
    config = training.config
    return Checkpoint(
        name=training.out.stem,
        network=config.network,
        preprocessing=Preprocessing(size=config.network.size),
        classes=dataset.classes,
        state={name: tensor.cpu() for name, tensor in fit.network.state_dict().items()},
        provenance={
            "data": _data(dataset),
            "noticed": {
                "quarantined": [[item.path, item.reason] for item in dataset.quarantined[:_NOTICED]],
                "conflicts": [list(paths) for paths in dataset.conflicts[:_NOTICED]],
            },
            "split_seed": config.seed,
            "shares": {"validation": config.validation, "test": config.test},
            "preset": config.preset,
            "pretrained": config.pretrained,
            "recipe": asdict(config.recipe),
            "epochs": fit.schedule.epochs,
            "history": [asdict(result) for result in fit.history],
            "weights": "averaged" if fit.averaged else "last",
            "precision": "bfloat16" if fit.bf16 else "float32",
            "training_minutes": round(fit.seconds / 60, 1),
            "command": training.command,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "python": platform.python_version(),
            "date": _today(),
        },
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _data(dataset: Dataset) -> dict[str, Any]:
    return {
        "fingerprint": dataset.fingerprint,
        "split": dataset.split,
        "photos": dict(zip(dataset.classes, dataset.counts, strict=True)),
        "train": len(dataset.train.rows),
        "validation": len(dataset.validation.rows),
        "test": len(dataset.test.rows),
        "quarantined": len(dataset.quarantined),
        "duplicates": dataset.duplicates,
    }
