from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.scale.capacity import Capacity, capacity, cores_that_fill_http, describe_machines
from benchmarks.scale.costs import Costs

COSTS = Costs(
    http=0.001,
    refusal=0.0001,
    generator=0.002,
    worker_overhead=0.001,
    decode=(0.002, 0.004),
    inference={1: (0.004,), 4: (0.008,)} | {size: (0.002 * size,) for size in (2, 3)},
)


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    COSTS.write(tmp_path / "costs.json")
    assert Costs.read(tmp_path / "costs.json") == COSTS


def test_file_without_costs_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text("[]")
    with pytest.raises(BenchmarkError, match="holds no measured costs"):
        Costs.read(tmp_path / "costs.json")


def test_rate_meets_the_target_and_grows_until_the_http_process_is_full() -> None:
    small, large = (capacity(COSTS, cores, p99=0.1, requests=1_200) for cores in (2, 16))
    assert 0.6 * 2 / 0.007 < small.rate < 2 / 0.007  # a request costs 7 ms of a core, 1 of them in the HTTP process
    assert 0.8 / 0.001 < large.rate <= 1 / 0.001
    assert large.http_utilisation > 0.8
    assert max(small.p99, large.p99) <= 0.1
    assert cores_that_fill_http(COSTS) == pytest.approx(7)


def test_target_that_no_rate_meets_gives_none() -> None:
    assert capacity(replace(COSTS, decode=(1.0,)), 2, p99=0.1, requests=300).rate == 0


def test_machines_are_whole_ones() -> None:
    table = describe_machines([Capacity(4, 400.0, 0.05, 0.4, 0.8), Capacity(1, 0.0, 0.0, 0.0, 0.0)], [1_000.0])
    assert [line.split() for line in table[:-1]] == [["cores", "1,000/s"], ["4", "3"]]
    assert table[-1] == "Services of 4 cores get most of a core, 100/s: 12 for 1,000/s."
