import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisker.model.errors import ConfigError
from whisker.model.networks.config import NetworkConfig
from whisker.training.config import PRESETS, cache_size, recipe_for, training_size
from whisker.training.fit.schedule import plan

QUICK = PRESETS["quick"]


@given(photos=st.integers(1, 5000), preset=st.sampled_from(sorted(PRESETS)))
def test_any_number_of_photos_gives_a_plan(photos: int, preset: str) -> None:
    schedule = plan(PRESETS[preset], photos, 128)
    assert 1 <= schedule.batch_size <= min(photos, 128)
    assert schedule.pass_steps * schedule.batch_size <= photos
    assert schedule.steps >= PRESETS[preset].minimum_steps
    rates = [schedule.learning_rate(step) for step in range(0, schedule.steps, max(1, schedule.steps // 50))]
    assert all(0 < rate <= schedule.peak_learning_rate for rate in rates)


@pytest.mark.parametrize("photos", [3, 6, 100])
def test_few_photos_are_passed_over_several_times_an_epoch(photos: int) -> None:
    few = plan(QUICK, photos, 128)
    assert few.steps >= QUICK.minimum_steps
    assert few.passes > plan(QUICK, 20_000, 128).passes == 1
    assert few.epochs == plan(QUICK, 20_000, 128).epochs == 13


def test_learning_rate_rises_then_falls_to_zero() -> None:
    schedule = plan(QUICK, 10_000, 128)
    rates = [schedule.learning_rate(step) for step in range(schedule.steps)]
    peak = rates.index(max(rates))
    assert peak == pytest.approx(schedule.steps * QUICK.warmup, abs=2)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < schedule.peak_learning_rate / 100


def test_sizes_grow_and_cost_follows_the_area() -> None:
    schedule = plan(QUICK, 10_000, 128)
    assert list(schedule.sizes) == [64] * 5 + [96] * 6 + [112] * 2
    assert schedule.cost(0) / schedule.cost(schedule.steps - 1) == pytest.approx((64 / 112) ** 2)


def test_smaller_batches_have_a_smaller_learning_rate() -> None:
    small, large = plan(QUICK, 200, 128), plan(QUICK, 20_000, 128)
    assert small.peak_learning_rate / large.peak_learning_rate == pytest.approx(small.batch_size / large.batch_size)


@pytest.mark.parametrize(
    ("epochs", "sizes"), [(1, [0.875]), (2, [0.75, 0.875]), (16, [0.5] * 5 + [0.75] * 8 + [0.875] * 3)]
)
def test_epochs_are_shared_among_the_stages(epochs: int, sizes: list[float]) -> None:
    recipe = recipe_for("quick", NetworkConfig(), epochs)
    assert [stage.scale for stage in recipe.stages for _ in range(stage.epochs)] == sizes


def test_fully_connected_networks_learn_more_slowly() -> None:
    rates = [recipe_for("quick", NetworkConfig(family=f)).peak_learning_rate for f in ("mlp", "resnet")]
    assert rates[0] < rates[1]


def test_unknown_preset_or_epochs_are_refused() -> None:
    with pytest.raises(ConfigError, match="quick, standard"):
        recipe_for("slow", NetworkConfig())
    with pytest.raises(ConfigError, match="at least 1"):
        recipe_for("quick", NetworkConfig(), 0)
    with pytest.raises(ConfigError, match="learning rate is above 0"):
        recipe_for("quick", NetworkConfig(), learning_rate=0)


def test_training_sizes_stay_within_what_networks_accept() -> None:
    for stage in PRESETS["standard"].stages:
        assert training_size(stage, 32) == 32
        assert training_size(stage, 512) <= 512
    assert (cache_size(128), cache_size(512)) == (160, 512)
