"""From a command's options to the configuration of a training; options left open are chosen here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whisker.model import NetworkConfig
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.errors import ConfigError
from whisker.model.networks.config import Activation, Family
from whisker.training.config import Dtype, Grouping, Recipe, Stage, TrainingConfig, recipe_for
from whisker.training.data.folder import find_photos
from whisker.training.data.survey import Survey, survey_photos
from whisker.training.fit.budget import FixedChoices, plan_within
from whisker.training.fit.pretrained import Pretrained, file_digest, read_pretrained
from whisker.training.fit.state import saved_run
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The user's choices for the network; `None` leaves one open."""

    family: Family | None = None
    activation: Activation | None = None
    width: int | None = None
    depth: int | None = None
    grey: bool = False
    size: int | None = None

    def complete(self, start: Pretrained | None, survey: Survey) -> NetworkConfig:
        """Fill in open choices: from the pretrained weights `start` or, without them, from the defaults and the photos.

        Raises `ConfigError` if an option contradicts those weights.
        """
        given = {
            name: value
            for name in ("family", "activation", "width", "depth")
            if (value := getattr(self, name)) is not None
        }
        if self.grey:
            given["channels"] = 1
        base = NetworkConfig(size=survey.serving_size) if start is None else start.network
        if start is not None:
            _require_same(given, start.network)
        if self.size is not None:
            given["size"] = self.size
        return replace(base, **given)


def _require_same(given: Mapping[str, Any], network: NetworkConfig) -> None:
    for name, value in given.items():
        if value != getattr(network, name):
            raise ConfigError(
                f"The weights of --pretrained are for a network with {name} {getattr(network, name)}, not {value}: "
                f"omit that option."
            )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """All options that decide a training's configuration; `None` leaves one open."""

    photos: Path
    network: NetworkOptions
    labels: Path | None = None
    groups: str | None = None
    pretrained: Path | None = None
    preset: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    learning_rate: float | None = None
    dtype: Dtype = "auto"
    seed: int = 0
    validation: float = 0.1
    test: float = 0.1
    device: str = "auto"

    def choose_config(self, unfinished: Path | None, progress: Progress) -> TrainingConfig:
        """Complete the configuration; `minutes` count from now.

        `unfinished` is the state of a training to resume, which keeps its plan. Raises `ConfigError` for options that
        contradict each other, and the errors of `find_photos`, `Grouping.parse` and `read_pretrained`.
        """
        started = time.monotonic()
        if self.minutes is not None and (self.preset or self.epochs):
            raise ConfigError("--minutes chooses preset and epochs by itself: give either it or them.")
        grouping = None if self.groups is None else Grouping.parse(self.groups)
        if self.minutes is not None and unfinished is not None:  # other groups are no part of a plan, but refused later
            return replace(saved_config(saved_run(unfinished)["config"]), groups=grouping)
        start = None if self.pretrained is None else read_pretrained(self.pretrained)
        survey = survey_photos(find_photos(self.photos, labels_file=self.labels, grouping=grouping))
        network, preset = self.network.complete(start, survey), self.preset or "quick"
        recipe = recipe_for(preset, network, self.epochs, self.learning_rate)
        pretrained = file_digest(self.pretrained)
        config = TrainingConfig(
            recipe, network, preset, self.dtype, pretrained, self.seed, self.validation, self.test, grouping
        )
        if self.minutes is None:
            return config
        use_available_cores()
        fixed = FixedChoices(
            width=self.network.width if start is None else network.width,
            size=self.network.size if start is None else network.size,
            learning_rate=self.learning_rate,
        )
        left = 60 * self.minutes - (time.monotonic() - started)
        return plan_within(left, config, survey, fixed=fixed, device=resolve_device(self.device), progress=progress)


def saved_config(saved: Mapping[str, Any]) -> TrainingConfig:
    """Rebuild a configuration from the JSON object in a training's state."""
    values = dict(saved)
    recipe = dict(values.pop("recipe"))
    recipe["stages"] = tuple(Stage(**stage) for stage in recipe["stages"])
    network = NetworkConfig.from_json(values.pop("network"))
    groups = values.pop("groups", None)
    return TrainingConfig(Recipe(**recipe), network, groups=groups and Grouping(**groups), **values)
