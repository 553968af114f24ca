"""What of the benchmark of a GPU needs none: arguments, what is said without one, measuring as such, and the tables."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch

from benchmarks.gpu.__main__ import Plan, loads, measure_service, require_gpu
from benchmarks.gpu.passes import Subject, Variant, measure_variant, variants
from benchmarks.gpu.results import EngineResult, Pass, Results, ServiceResult, describe
from benchmarks.limit import measure_limit
from benchmarks.results import Point
from tests.model.recorder import Recorder
from tests.pictures import draw, encode
from whisker.model import Classifier
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.errors import ConfigError
from whisker.training.job import Training

ROOT = Path(__file__).parents[3]
PHOTO = encode(draw("rings", 0, (200, 150)), "JPEG")


def run(*arguments: str | Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "benchmarks.gpu", *map(str, arguments)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)  # noqa: S603
    return done.returncode, done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_machine_without_a_gpu_is_named_with_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    code, said = run(tmp_path, "--out", tmp_path / "results")
    assert code == 1
    assert said.startswith("benchmark: The device cuda is not available: ")
    assert not (tmp_path / "results").exists()


def test_folder_without_photos_is_named_before_a_gpu_is_looked_for(tmp_path: Path) -> None:
    assert run(tmp_path) == (1, f"benchmark: {tmp_path} holds no .jpg or .jpeg file: give a folder of JPEG photos.\n")


def test_device_that_is_no_gpu_is_refused() -> None:
    with pytest.raises(ConfigError, match="--device is cuda or cuda:N, a GPU, not 'cpu'"):
        require_gpu("cpu")


def test_several_http_workers_are_measured_where_there_are_cores_for_them() -> None:
    one = [(1, 1), (1, 16), (1, 64)]
    assert [loads(cores) for cores in (1, 4, 5, 16)] == [one, one, [*one, (2, 64)], [*one, (4, 64)]]


@pytest.fixture
def subject(classifier: Classifier) -> Subject:
    size = classifier.preprocessing.size
    pixels = list(np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8))
    expected = TorchEngine(classifier.network, "cpu")
    readings = iter((10_000_000, 12_500_000))
    return Subject(pixels, pixels[:2], classifier.checkpoint.decision_rule, expected, lambda: next(readings))


@pytest.mark.parametrize(("half", "name"), [(torch.bfloat16, "bf16"), (torch.float16, "fp16")])
def test_every_precision_is_measured_with_graphs_and_without(
    classifier: Classifier, half: torch.dtype, name: str
) -> None:
    recorder, size = Recorder(), classifier.preprocessing.size
    found = variants(classifier.network, "cpu", half, size, record=recorder)
    expected = [(precision, graphs) for precision in ("fp32", "tf32", name) for graphs in (False, True)]
    assert [(it.precision, it.has_graphs) for it in found] == expected
    assert [type(it.build()).__name__ for it in found] == ["FoldedEngine", "CudaGraphEngine"] * 3
    assert recorder.recorded == [1, 2, 4, 8, 16, 32] * 3


@pytest.mark.parametrize("number", [0, 1, 4], ids=["fp32", "fp32, graphs", "bf16"])
def test_passes_are_timed_and_answers_compared(classifier: Classifier, subject: Subject, number: int) -> None:
    size = classifier.preprocessing.size
    variant = variants(classifier.network, "cpu", torch.bfloat16, size, record=Recorder())[number]
    result = measure_variant(variant, subject, seconds=0)
    assert result.failure == ""
    assert [it.batch for it in result.passes] == [1, 2, 4, 8, 16, 32]
    assert all(it.ms > 0 and it.timings == 5 for it in result.passes)
    assert result.memory_mb == 2.5
    assert result.build_seconds > 0
    assert result.photos == 5
    if variant.precision == "fp32":
        assert result.cosine == pytest.approx(1, abs=1e-5)
        assert result.probability < 1e-4
        assert result.other_labels == 0
    else:
        assert 0.9 < result.cosine < 1
        assert result.probability > 0


def test_what_a_gpu_cannot_do_is_noted(subject: Subject) -> None:
    def build() -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory.\nSee the documentation.")

    assert (
        measure_variant(Variant("fp32", has_graphs=True, build=build), subject, seconds=0).failure
        == "CUDA out of memory."
    )


def test_service_is_measured_on_the_device_named(trained: Training) -> None:
    result = measure_service(trained.out, [PHOTO], "cpu", Plan(0.0, 0.2, 0.5), workers=1, connections=4)
    assert result.point.requests_per_second > 0
    assert result.point.connections == 4
    assert result.start_up_seconds > 0
    assert result.memory_mb == 0


def test_limit_is_of_the_processes_asked_for(trained: Training) -> None:
    assert measure_limit(trained.out, [PHOTO], warm_up=0.1, seconds=0.2, device="cpu", processes=1) > 0


@pytest.fixture
def results() -> Results:
    def engine(graphs: bool, first: float, last: float, build: float, memory: float) -> EngineResult:  # noqa: FBT001 - a row
        passes = [Pass(1, first, 9), Pass(8, last, 9)]
        return EngineResult("bf16", graphs, build, memory, passes, 0.999, 0.004, photos=64, other_labels=1)

    eager, graphs = engine(False, 2.0, 4.0, 0.5, 100.0), engine(True, 0.5, 2.0, 0.7, 120.0)  # noqa: FBT003 - a row
    failed = EngineResult("tf32", has_graphs=True, failure="CUDA out of memory.")
    point = Point(500.0, 30.0, 40.0, 50.0, {"503": 7}, 3.0, 1.0, 1.0, 900.0, connections=16)
    return Results(
        date="2026-01-01T12:00",
        machine={"GPU": "Voodoo 2"},
        checkpoint={"Checkpoint": "shapes"},
        engine="cuda-graphs",
        limit=1000.0,
        limit_processes=4,
        engines=[eager, graphs, failed],
        services=[ServiceResult(1, point, 7.5, 3600.0)],
    )


def test_tables_hold_every_figure(results: Results) -> None:
    lines = [line.split() for line in describe(results).splitlines()]
    assert ["GPU:", "Voodoo", "2"] in lines
    assert ["bf16", "no", "2.00", "4.00", "2,000"] in lines
    assert ["bf16", "yes", "0.50", "2.00", "4,000"] in lines
    assert ["tf32", "yes", "failed:", "CUDA", "out", "of", "memory."] in lines
    assert ["bf16", "4.00", "2.00"] in lines  # times as fast
    assert ["bf16", "yes", "0.999000", "0.0040", "1", "of", "64", "0.70", "120"] in lines
    assert ["1", "16", "500", "50", "%", "30.0", "50.0", "7.5", "3,600", "7", "x", "503"] in lines
    assert "engine cuda-graphs; in-process limit: 1,000 photos/s by 4 processes" in describe(results)


def test_json_holds_null_where_nothing_was_measured(results: Results) -> None:
    found = json.loads(results.to_json())
    assert found["engines"][2]["cosine"] is None
    assert found["engines"][0]["passes"][1] == {"batch": 8, "ms": 4.0, "timings": 9}
    assert found["services"][0]["point"]["requests_per_second"] == 500.0
