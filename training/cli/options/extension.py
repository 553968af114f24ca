"""The option `--extend` of `whisker train`, which keeps a network and leaves the other options little to decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import distributed

from whisker.model import load_checkpoint
from whisker.model.errors import ConfigError
from whisker.model.networks.build import require_trainable
from whisker.training.calibration.calibrate import Targets
from whisker.training.cli.options.observing import Observing
from whisker.training.cli.result import print_result
from whisker.training.config import PRESETS, TrainingConfig
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.extending import run_extension
from whisker.training.job import Training


def refuse_options(given: Mapping[str, object]) -> None:
    """Refuse options that are given, by their names: `None`, `False` and "auto" are none."""
    names = [name for name, value in given.items() if value is not None and value is not False and value != "auto"]
    if names:
        raise ConfigError(f"--extend keeps the network of its checkpoint as it is: omit {', '.join(names)}.")


@dataclass(frozen=True, slots=True)
class Extending:
    """What `whisker train --extend` is to do."""

    checkpoint: Path
    photos: Path
    out: Path
    targets: Targets
    device: str
    labels: Path | LabelFile | None
    seed: int
    name: str
    command: str
    observing: Observing
    overwrite: bool = field(kw_only=True)

    def run(self, *, as_json: bool) -> None:
        """Extend the checkpoint, and print the result; raise `ConfigError` in one of several processes."""
        if distributed.is_torchelastic_launched():
            raise ConfigError("--extend runs in a single process: start it without torchrun.")
        source = load_checkpoint(self.checkpoint)
        training = Training(
            photos=self.photos,
            out=self.out,
            config=TrainingConfig(PRESETS["quick"], require_trainable(source.network), seed=self.seed),
            targets=self.targets,
            device=self.device,
            labels=self.labels,
            overwrite=self.overwrite,
            name=self.name,
            command=self.command,
        )
        with self.observing.open(training.title, as_json=as_json) as progress:
            print_result(training, run_extension(training, source, progress), progress, as_json=as_json)
