"""A training to run: its photos, its options, and where its files go."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable
from whisker.training.calibration.calibrate import Targets
from whisker.training.calibration.metrics import Measured
from whisker.training.config import TrainingConfig
from whisker.training.data.dataset import Dataset
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.errors import TrainingError
from whisker.training.events.event import Finished, Plan
from whisker.training.fit.distributed import World
from whisker.training.fit.state import saved_run


@dataclass(frozen=True, slots=True)
class Training:
    """What to train, and where its files go."""

    photos: Path
    out: Path
    config: TrainingConfig
    targets: Targets = field(default_factory=Targets)
    device: str = "auto"
    labels: Path | LabelFile | None = None
    outliers: Path | None = None
    pretrained: str | None = None
    student: str | None = None  # the weights that a student starts from; without, random ones
    resume: bool = False
    overwrite: bool = False
    skip_small: bool = False  # classes with too few photos
    name: str = ""  # of the checkpoint; without, that of its file
    command: str = ""

    @property
    def title(self) -> str:
        """Name the checkpoint, on its page and in its report."""
        return self.name or printable(self.out.stem)

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


def check_paths(training: Training) -> None:
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


def require_free(training: Training, world: World) -> None:
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


def run_identity(training: Training, dataset: Dataset) -> dict[str, Any]:
    identity = {"config": asdict(training.config), "data": dataset.fingerprint, "split": dataset.split}
    loaded: dict[str, Any] = json.loads(json.dumps(identity))  # as it is read back: tuples become lists
    return loaded


def check_resumable(training: Training, run: dict[str, Any]) -> None:
    if training.state_file.exists() and saved_run(training.state_file) != run:
        raise TrainingError(
            f"The unfinished training in {training.work} had other photos or options: "
            "give the same ones to continue, or start again with --overwrite."
        )


def plan_of(training: Training, dataset: Dataset) -> Plan:
    """Tell observers what will be trained."""
    config, splits = training.config, (dataset.train, dataset.validation, dataset.test)
    names = () if dataset.test is dataset.served else ("train", "validation", "test")
    network = config.network
    return Plan(
        name=printable(training.title),
        photos=dict(zip(dataset.classes, dataset.counts, strict=True)),
        split={name: len(split.rows) for name, split in zip(names, splits, strict=False)},
        network=f"{network.family}{'' if config.transfer is None else f' {network.variant}'}, {network.size} px",
        command=training.command,
        settings={"data": dataset.fingerprint, **dict(_flat("", asdict(config)))},
        work=training.work,
        is_new=training.overwrite,
    )


def result_of(training: Training, test: Measured) -> Finished:
    """Tell observers what came of it: the figures of the test that are single numbers."""
    figures = {
        name: float(value)
        for name, value in test.to_json().items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return Finished(training.out, training.report_file, figures, str(test))


def _flat(prefix: str, values: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Give nested settings dotted names; those that are not set are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}.", value)
        elif value is not None and value != "":
            yield prefix + name, value
