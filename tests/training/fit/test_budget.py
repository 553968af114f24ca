import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from whisker.model import NetworkConfig
from whisker.model.errors import ConfigError
from whisker.training.cli.options.training import NetworkOptions, TrainingOptions
from whisker.training.config import PRESETS, Grouping, TrainingConfig
from whisker.training.data.folders.survey import Survey
from whisker.training.errors import TrainingInterruptedError
from whisker.training.fit.budget import FixedChoices, plan_within
from whisker.training.fit.loop import Trainer
from whisker.training.fit.teachers import Lesson
from whisker.training.job import Training, unfinished_state
from whisker.training.pipeline import run_training
from whisker.training.progress import Progress

BASE = TrainingConfig(PRESETS["quick"], NetworkConfig(), dtype="float32")
MANY = Survey(photos=20_000, short_side=400, decode_seconds=0.001)


def steady(network: NetworkConfig, sizes: Sequence[int], _photos: int, _dtype: str, _device: str) -> list[float]:
    """Let a photo of 128 px take 4 ms at width 32, and in proportion otherwise: a machine of known speed."""
    return [0.004 * (network.width / 32) ** 2 * (size / 128) ** 2 for size in sizes]


def plan(minutes: float, survey: Survey, quiet: Progress, fixed: FixedChoices | None = None) -> TrainingConfig:
    """Plan for the machine of known speed."""
    fixed = fixed or FixedChoices()
    return plan_within(60 * minutes, BASE, survey, fixed=fixed, device="cpu", progress=quiet, time_photos=steady)


def work(config: TrainingConfig, survey: Survey) -> float:
    """Estimate the seconds of a plan's training steps on that machine."""
    train = survey.photos * 0.8
    return sum(
        train * stage.epochs * 0.004 * (config.network.width / 32) ** 2 * (stage.scale * config.network.size / 128) ** 2
        for stage in config.recipe.stages
    )


@pytest.mark.parametrize("minutes", [5, 12, 20, 60, 240])
def test_plan_fills_the_time_and_not_more(minutes: float, quiet: Progress) -> None:
    config = plan(minutes, MANY, quiet)
    assert 0.6 * 60 * minutes < work(config, MANY) < 60 * minutes


def test_more_time_buys_a_better_preset(quiet: Progress) -> None:
    plans = [plan(minutes, MANY, quiet) for minutes in (2, 9, 20, 90, 1_000)]
    assert [config.preset for config in plans] == ["quick", "quick", "standard", "best", "best"]
    assert [config.network.width for config in plans] == [16, 32, 32, 32, 48]


def test_small_photos_are_not_magnified_more_than_twice(quiet: Progress) -> None:
    assert plan(20, replace(MANY, short_side=32), quiet).network.size == 64


@pytest.mark.parametrize(("size", "probed"), [(128, {64, 128}), (64, {32, 64}), (32, {32, 64}), (152, {80, 152})])
def test_probe_measures_the_sizes_that_will_be_trained(quiet: Progress, size: int, probed: set[int]) -> None:
    seen: set[int] = set()

    def noting(network: NetworkConfig, sizes: Sequence[int], photos: int, dtype: str, device: str) -> list[float]:
        seen.update(sizes)
        return steady(network, sizes, photos, dtype, device)

    base, fixed = replace(BASE, network=NetworkConfig(size=size)), FixedChoices(size=size)
    plan_within(1_200, base, MANY, fixed=fixed, device="cpu", progress=quiet, time_photos=noting)
    assert seen == probed


def test_what_the_user_fixed_stays(quiet: Progress) -> None:
    config = plan(30, MANY, quiet, FixedChoices(width=24, size=96, learning_rate=0.03))
    assert (config.network.width, config.network.size, config.recipe.peak_learning_rate) == (24, 96, 0.03)


def test_few_photos_do_not_train_for_ever(quiet: Progress) -> None:
    config = plan(600, Survey(photos=200, short_side=400, decode_seconds=0.001), quiet)
    assert sum(stage.epochs for stage in config.recipe.stages) <= 3_840


def test_time_too_short_for_an_epoch_is_one_sentence(quiet: Progress) -> None:
    with pytest.raises(ConfigError, match="too short for 20,000 photos"):
        plan(0.5, MANY, quiet)


def test_real_probe_makes_a_plan_that_trains_and_resumes(training: Training, quiet: Progress) -> None:
    """The plan depends on this machine's speed, so a resumed training keeps its first plan."""
    options = TrainingOptions(training.photos, NetworkOptions(width=4, depth=1, size=32), minutes=5, device="cpu")
    config = options.choose_config(None, quiet)
    assert (config.network.width, config.network.size) == (4, 32)
    last = replace(config.recipe.stages[-1], epochs=2)
    short = replace(config, recipe=replace(config.recipe, stages=(last,)))
    planned = replace(training, config=short)
    state = _interrupt(planned, quiet)
    assert options.choose_config(state, quiet) == short
    regrouped = replace(options, groups="folder").choose_config(state, quiet)
    assert regrouped == replace(short, groups=Grouping(folder_level=1))  # not what was saved, so it cannot be resumed
    assert run_training(replace(planned, resume=True, config=options.choose_config(state, quiet)), quiet) is not None


def _interrupt(training: Training, quiet: Progress) -> Path:
    original = Trainer.step
    with pytest.MonkeyPatch.context() as patched:

        def stepping(trainer: Trainer, x: Tensor, lesson: Lesson) -> float:
            signal.raise_signal(signal.SIGTERM)
            return original(trainer, x, lesson)

        patched.setattr(Trainer, "step", stepping)
        with pytest.raises(TrainingInterruptedError):
            run_training(training, quiet)
    state = unfinished_state(training.out)
    assert state is not None
    return state
