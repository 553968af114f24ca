"""How many HTTP workers so many cores need, computed from given costs; CPU sets; and what connections cost."""

import os
import sys
from dataclasses import replace

import pytest

from benchmarks.scale.accepting import measure_accepting
from benchmarks.scale.capacity import Capacity
from benchmarks.scale.costs import Costs
from benchmarks.scale.cpu_sets import Row, allowed_rate, bound_to, describe_sets, measure_sets, sets_of
from benchmarks.scale.http_limits import describe_limits, limits
from benchmarks.scale.service import Setting
from tests.pictures import draw, encode
from whisker.training.job import Training

# A request costs 10 ms of a core: 2 of them in the HTTP worker, which is then full at 5 cores, and 80 % busy at 4.
COSTS = Costs(
    http=0.002,
    refusal=0.0,
    generator=0.001,
    worker_overhead=0.0,
    decode=(0.004,),
    inference={1: (0.004,)},
    slowdown=1.25,
)
PHOTO = encode(draw("rings", 0, (200, 150)), "JPEG")


@pytest.mark.parametrize(
    ("cores", "all_busy", "with_one", "bottleneck", "http_workers"),
    [
        (1, 100, 100, "cores", 1),
        (4, 400, 400, "cores", 1),
        (5, 500, 400, "HTTP worker", 2),
        (8, 800, 400, "HTTP worker", 2),
        (16, 1600, 400, "HTTP worker", 4),
        (64, 6400, 400, "HTTP worker", 16),
    ],
)
def test_http_worker_is_the_bottleneck_of_more_cores_than_fill_it(
    cores: int, all_busy: float, with_one: float, bottleneck: str, http_workers: int
) -> None:
    found = limits(COSTS, cores)
    assert (found.all_busy, found.with_one) == pytest.approx((all_busy, with_one))
    assert (found.bottleneck, found.http_workers) == (bottleneck, http_workers)


def test_cheaper_http_needs_fewer_workers() -> None:
    assert limits(replace(COSTS, http=0.0004), 16).http_workers == 1
    assert limits(replace(COSTS, http=0.1, decode=(0.0,), inference={1: (0.0,)}), 2).http_workers == 2


def test_table_takes_what_is_in_time_from_the_simulation_of_one_worker() -> None:
    lines = list(describe_limits(COSTS, {4: Capacity(4, 300.0, 0.05, 0.6, 0.8)}))
    rows = {line.split()[0]: line.split() for line in lines[1:8]}
    assert rows["4"] == ["4", "400", "400", "cores", "1", "4", "300", "0.8"]
    assert rows["16"] == ["16", "1600", "400", "HTTP", "worker", "4", "4", "1200", "3.2"]
    assert rows["2"][-2] == "-"
    assert lines[8] == "One HTTP worker is 80 % busy at 4.0 cores; beyond, more cores need more HTTP workers."
    assert lines[9] == "What connections and the supervisor cost was not measured."


def test_connections_and_supervisor_are_told_where_they_were_measured() -> None:
    text = "\n".join(describe_limits(replace(COSTS, connection=0.0005, supervisor=0.01), {}))
    assert (
        "costs an HTTP worker 0.50 ms: with one a request it is full at 400 requests/s, with kept ones at 500" in text
    )
    assert "The supervisor took 1.0 % of a core" in text


def test_costs_allow_more_on_cores_that_share_nothing_with_busy_ones() -> None:
    assert allowed_rate(COSTS, 1, of=2) == pytest.approx(125)
    assert allowed_rate(COSTS, 2, of=2) == pytest.approx(2 / 0.011)  # with the load generator on them
    assert allowed_rate(COSTS, 1, of=1) == pytest.approx(1.25 / 0.011)  # one busy core is never slowed down


@pytest.mark.parametrize(
    ("cores", "sizes"), [([3], [1]), ([0, 1], [1, 2]), ([4, 5, 6], [1, 2, 3]), (list(range(16)), [1, 2, 4, 8, 16])]
)
def test_sets_double_up_to_all_cores(cores: list[int], sizes: list[int]) -> None:
    found = sets_of(cores)
    assert [len(it) for it in found] == sizes
    assert all(it == cores[: len(it)] for it in found)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind processes to cores")
def test_cores_are_given_back() -> None:
    before = os.sched_getaffinity(0)
    with bound_to([min(before)]):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_table_of_sets_says_where_the_load_generator_was_and_who_else_computed() -> None:
    quiet = [Row(1, 90.0, 125.0, 0.2, is_alone=True), Row(2, 150.0, 180.0, 0.4, is_alone=False, others=0.05)]
    first, last = describe_sets(quiet)[1:]
    assert first.split() == ["1", "90", "125", "20", "%", "0.00", "elsewhere"]
    assert last.split() == ["2", "150", "180", "40", "%", "0.05", "on", "the", "same", "cores"]
    assert "quiet machine" in describe_sets([replace(quiet[0], others=0.2)])[-1]


@pytest.fixture
def setting(trained: Training) -> Setting:
    return Setting(sys.executable, trained.out, [PHOTO], warm_up=0.2, seconds=2.0, say=lambda _: None)


@pytest.mark.alone
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind processes to cores")
def test_service_is_measured_on_one_core_and_on_all(setting: Setting) -> None:
    rows = measure_sets(setting, COSTS)
    assert [it.cores for it in rows] == [len(it) for it in sets_of(sorted(os.sched_getaffinity(0)))]
    assert all(it.rate > 0 and 0 < it.http_utilisation <= 1.1 for it in rows)
    assert not rows[-1].is_alone


@pytest.mark.alone
def test_new_connections_cost_an_http_worker_time_and_the_supervisor_next_to_none(setting: Setting) -> None:
    found = measure_accepting(setting)
    assert found.rate > 0
    assert found.connection >= 0
    assert 0 <= found.supervisor < 0.5
