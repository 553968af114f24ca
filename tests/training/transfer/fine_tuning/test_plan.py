"""The plan of fine-tuning fits the time that is left and the memory."""

from dataclasses import replace

import pytest

from tests.training.transfer.small import BRIEF, SIZE
from whisker.model.networks.base import Network
from whisker.training.transfer.fine_tuning import plan as tuning_plan
from whisker.training.transfer.fine_tuning.plan import TuningPlan, plan_tuning

FULL = replace(BRIEF, epochs=10)


def plan(network: Network, seconds: float, photos: int = 100, trainings: float = 5.0) -> TuningPlan | None:
    return plan_tuning(network, FULL, photos=photos, size=SIZE, trainings=(trainings,), seconds=seconds, device="cpu")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the measurement say that the long tail takes 2 ms a photo and a pass, and the short one 1 ms."""

    def measure(network: Network, cut: int, *_: object) -> tuple[float, int]:
        return (0.002, 5_000) if len(network.parts()) - cut == 7 else (0.001, 4_000)

    monkeypatch.setattr(tuning_plan, "_measure", measure)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("seconds", "tail", "epochs"),
    [(10.0, 7, 10), (9.9, 5, 10), (5.0, 5, 10), (4.9, 5, 5), (2.5, 5, 5)],  # 5 trainings on 100 photos, 10 epochs
)
def test_longest_tail_that_fits_the_time_is_trained(seconds: float, tail: int, epochs: int, network: Network) -> None:
    assert plan(network, seconds) == TuningPlan(len(network.parts()) - tail, views=3, epochs=epochs, trainings=5.0)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("seconds", [2.4, 0.0, -3.0])
def test_fine_tuning_is_dropped_where_there_is_no_time(seconds: float, network: Network) -> None:
    assert plan(network, seconds) is None


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("photos", "epochs"), [(10, 10), (300, 10), (1000, 7), (1_000_000, 3)])
def test_more_photos_get_fewer_epochs(photos: int, epochs: int, network: Network) -> None:
    chosen = plan(network, 1e9, photos, trainings=2.0)
    assert chosen is not None
    assert chosen.epochs == epochs


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("photos", "views"), [(100_000, 3), (150_000, 2), (160_000, 0)])
def test_views_are_as_many_as_fit_the_memory_or_none(photos: int, views: int, network: Network) -> None:
    assert plan(network, 1e9, photos) == TuningPlan(len(network.parts()) - 7, views=views, epochs=3, trainings=5.0)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("seconds", "epochs"), [(10.0, 10), (25.0, 25), (1e9, 40)])
def test_time_is_filled_on_demand(seconds: float, epochs: int, network: Network) -> None:
    recipe = replace(FULL, fill_time=True)
    chosen = plan_tuning(network, recipe, photos=100, size=SIZE, trainings=(5.0,), seconds=seconds, device="cpu")
    assert chosen is not None
    assert chosen.epochs == epochs


def test_real_measurement_plans_within_an_hour_and_not_within_a_millisecond(network: Network) -> None:
    chosen = plan(network, 3600.0)
    assert chosen == TuningPlan(len(network.parts()) - 7, views=3, epochs=10, trainings=5.0)
    assert plan(network, 0.001) is None


@pytest.mark.usefixtures("measured")
def test_fewer_folds_are_the_second_choice(network: Network) -> None:
    chosen = plan_tuning(network, FULL, photos=100, size=SIZE, trainings=(5.0, 3.0), seconds=3.5, device="cpu")
    assert chosen is not None
    assert chosen.trainings == 3.0
