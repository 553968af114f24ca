"""The simulation against closed formulas of queueing theory (Erlang, 1917; Pollaczek, 1930): seeds are fixed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev

import pytest

from benchmarks.load import arrival_times
from benchmarks.scale.costs import Costs
from benchmarks.scale.simulation import Service, Simulated, simulate

REQUESTS, RUNS = 3_000, 10
EXPONENTIAL = tuple(-math.log(1 - (k + 0.5) / 20_000) for k in range(20_000))  # quantiles: their mean is 1
FREE = Costs(http=0, refusal=0, generator=0, worker_overhead=0, decode=(0.0,), inference={1: EXPONENTIAL})


def queue(servers: int, load: float, costs: Costs = FREE, *, places: float = math.inf, seed: int = 0) -> Simulated:
    """Simulate one queue before so many inference workers, each at `load`, whose work takes a second on average."""
    service = Service(servers, servers, max_in_flight=places, max_batch=1, batches_held=1)
    rate = load * servers
    seconds = REQUESTS / rate
    arrivals = arrival_times(rate, seconds, seed)
    return simulate(service, costs, arrivals, start=seconds / 6, end=seconds, seed=1_000 + seed)


def confidence(values: Sequence[float]) -> tuple[float, float]:
    """Give the mean of independent runs, and half of its 99 % confidence interval."""
    return fmean(values), 3.25 * stdev(values) / math.sqrt(len(values))  # Student's t of 10 runs


def mean_latencies(servers: int, load: float, costs: Costs = FREE) -> list[float]:
    return [fmean(queue(servers, load, costs, seed=seed).load.latencies) for seed in range(RUNS)]


def erlang_c(servers: int, load: float) -> float:
    offered = servers * load
    all_busy = offered**servers / math.factorial(servers) / (1 - load)
    return all_busy / (sum(offered**k / math.factorial(k) for k in range(servers)) + all_busy)


def erlang_b(servers: int, load: float) -> float:
    terms = [(servers * load) ** k / math.factorial(k) for k in range(servers + 1)]
    return terms[-1] / sum(terms)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.6), (4, 0.8)])
def test_exponential_service_takes_as_long_as_erlang_says(servers: int, load: float) -> None:
    mean, half = confidence(mean_latencies(servers, load))
    expected = 1 + erlang_c(servers, load) / (servers * (1 - load))
    assert half < 0.25 * expected
    assert abs(mean - expected) < half


def test_constant_service_waits_half_as_long() -> None:
    mean, half = confidence(mean_latencies(1, 0.6, replace(FREE, inference={1: (1.0,)})))
    expected = 1 + 0.6 / (2 * (1 - 0.6))
    assert half < 0.1 * expected
    assert abs(mean - expected) < half


def test_without_a_waiting_place_as_many_are_refused_as_erlang_says() -> None:
    mean, half = confidence([queue(4, 0.8, places=4, seed=seed).refused for seed in range(RUNS)])
    expected = erlang_b(4, 0.8)
    assert half < 0.1 * expected
    assert abs(mean - expected) < half


def test_http_process_is_the_limit_of_many_cores() -> None:
    costs = replace(FREE, http=0.1, decode=(0.5,), inference={1: (0.5,)})
    simulated = simulate(
        Service(64, 64, max_in_flight=256, max_batch=1), costs, arrival_times(20, 200, 1), start=50, end=200
    )
    assert simulated.load.rate == pytest.approx(10, rel=0.03)
    assert simulated.http_utilisation == pytest.approx(1, rel=0.03)
    assert simulated.refused == pytest.approx(0.5, abs=0.03)


def test_batch_is_an_equal_share_of_what_waits() -> None:
    costs = replace(FREE, decode=(1.0,), inference=dict.fromkeys(range(1, 5), (1.0,)))
    simulated = simulate(Service(2, 2), costs, [0.0] * 10, start=0, end=1)
    assert simulated.mean_batch == 10 / 6


def test_second_batch_of_a_worker_is_full_where_many_are_under_way() -> None:
    """The batches are of 1, 1, 4 and 4: the seventh picture waits for the last three."""
    costs = replace(FREE, inference=dict.fromkeys(range(1, 5), (2.0,)))
    simulated = simulate(Service(1, 1), costs, [0.0] * 7 + [5.0] * 3, start=0, end=6)
    assert simulated.mean_batch == 10 / 4
