"""A real service, measured and simulated at the same moments; and what is printed of it."""

import sys

import pytest

from benchmarks.load import Load
from benchmarks.process import running
from benchmarks.results import Point
from benchmarks.scale import http_workers
from benchmarks.scale.comparison import Comparison, Row, describe
from benchmarks.scale.pictures import PictureCosts
from benchmarks.scale.service import Setting, costs_of, measure_service
from benchmarks.scale.simulation import Service, Simulated
from benchmarks.servers import WHISKER
from tests.pictures import draw, encode
from whisker.training.job import Training

PHOTO = encode(draw("rings", 0, (200, 150)), "JPEG")


@pytest.mark.alone
def test_service_is_measured_and_simulated_at_the_same_moments(trained: Training) -> None:
    said: list[str] = []
    setting = Setting(sys.executable, trained.out, [PHOTO], warm_up=0.2, seconds=0.5, say=said.append)
    pictures = PictureCosts((0.0005,), dict.fromkeys(range(1, 5), (0.0005,)))
    with running(WHISKER, sys.executable, trained.out, PHOTO) as server:
        service = measure_service(server, setting)
        costs = costs_of(service, 0.0001, pictures, pictures)
        row = Comparison(server, setting, Service.on(2), costs).row(0.2, service.rate)
    assert 1 <= service.mean_batch <= 4
    assert min(costs.http, costs.generator, service.worker) > 0
    assert service.worker - 0.001 <= costs.worker_overhead <= service.worker
    sent = len(row.measured.latencies) + sum(row.measured.errors.values())
    assert sent == len(row.simulated.load.latencies) > 0
    assert len(said) == 1


def row(share: float, *, measured: float, simulated: float, others: float = 0.0) -> Row:
    loads = [Load(1.0, (seconds,), {}, 0.0, 0.0) for seconds in (measured, simulated)]
    return Row(100.0, share, loads[0], Simulated(loads[1], 0.5, 0.5, 1.0), others)


def test_error_is_the_mean_of_loads_below_the_peak() -> None:
    rows = [row(0.5, measured=0.02, simulated=0.01), row(0.9, measured=0.02, simulated=0.022)]
    rows.append(row(1.3, measured=0.02, simulated=0.2))
    assert describe(rows)[-1] == "Mean error below the peak: p50 30 %, p95 30 %, p99 30 %."


def test_busy_machine_is_named() -> None:
    assert "quiet machine" in describe([row(0.5, measured=0.02, simulated=0.02, others=0.5)])[-1]


def test_pairs_are_compared_one_by_one() -> None:
    one = [Point(rate, 1, 1, 10, {}, 1, 1, 1, 100) for rate in (100, 200, 400)]
    two = [Point(rate, 1, 1, 5, {}, 1, 1, 1, 150) for rate in (110, 180, 400)]
    rate, p99, memory = http_workers.describe(one, two, 2).splitlines()
    assert rate == "requests/s: --workers 2 gives 1.00 times that of 1 (pairs 0.90 to 1.10)"
    assert "0.50 times" in p99
    assert "1.50 times" in memory
