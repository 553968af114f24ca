"""What a run has found on a GPU, as JSON and as short tables."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from benchmarks.results import Point, finite


@dataclass(frozen=True, slots=True)
class Pass:
    """The median of so many timings of a batch."""

    batch: int
    ms: float
    timings: int


@dataclass(slots=True)
class EngineResult:
    """One precision, with CUDA graphs or without; `failure` says why there is nothing else.

    `cosine` and `probability` compare golden features and answers with PyTorch in float32 on the CPU.
    """

    precision: str
    has_graphs: bool
    build_seconds: float = math.nan
    memory_mb: float = math.nan
    passes: list[Pass] = field(default_factory=list)
    cosine: float = math.nan
    probability: float = math.nan
    photos: int = 0
    other_labels: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """The service under one load; `memory_mb` is what all its processes take of the GPU's memory."""

    http_workers: int
    point: Point
    start_up_seconds: float
    memory_mb: float


@dataclass(slots=True)
class Results:
    """A whole run; `limit` is the in-process limit in photos a second, of so many processes."""

    date: str
    machine: dict[str, str]
    checkpoint: dict[str, str]
    engine: str
    limit: float
    limit_processes: int
    engines: list[EngineResult] = field(default_factory=list)
    services: list[ServiceResult] = field(default_factory=list)

    def to_json(self) -> str:
        """Write everything; what is not a number becomes null."""
        return json.dumps(finite(asdict(self)), indent=1, allow_nan=False)


def describe(results: Results) -> str:
    """Write machine and tables."""
    parts = [f"{term}: {value}" for term, value in (results.machine | results.checkpoint).items()]
    tables = (_passes(results.engines), _answers(results.engines), _services(results))
    return "\n".join([*parts, *("\n".join(("", *table)) for table in tables)])


def _passes(engines: list[EngineResult]) -> Iterator[str]:
    sizes = sorted({it.batch for engine in engines for it in engine.passes})
    yield "Forward pass, ms a batch: from pixels in the host's memory to features there"
    yield _head("batch of") + "".join(f"{size:9}" for size in sizes) + "   photos/s"
    for engine in engines:
        taken = {it.batch: it.ms for it in engine.passes}
        if not taken:
            yield f"{_name(engine)}   failed: {engine.failure}"
            continue
        best = max(1000 * size / ms for size, ms in taken.items())
        yield _name(engine) + "".join(f"{taken[size]:9.2f}" for size in sizes) + f"{best:11,.0f}"
    yield "Graphs: times as fast as without"
    by_name = {(it.precision, it.has_graphs): {one.batch: one.ms for one in it.passes} for it in engines}
    for (precision, has_graphs), taken in by_name.items():
        eager = by_name.get((precision, False), {})
        if has_graphs and taken and eager:
            yield f"{precision:14}" + "".join(f"{eager[size] / taken[size]:9.2f}" for size in sizes)


def _answers(engines: list[EngineResult]) -> Iterator[str]:
    yield "Beside PyTorch in float32 on the CPU: golden answers, and labels of the photos"
    yield _head("") + "   least cosine   largest difference   other labels   build, s   GPU memory, MB"
    for it in engines:
        if not it.failure:
            labels = f"{it.other_labels} of {it.photos}"
            yield (
                f"{_name(it)}{it.cosine:15.6f}{it.probability:21.4f}{labels:>15}"
                f"{it.build_seconds:11.2f}{it.memory_mb:18,.0f}"
            )


def _services(results: Results) -> Iterator[str]:
    yield (
        f"Service with the engine {results.engine}; in-process limit: {results.limit:,.0f} photos/s "
        f"by {results.limit_processes} processes"
    )
    yield "HTTP workers   connections   requests/s   of the limit   p50, ms   p99, ms   start, s   GPU memory, MB"
    for it in results.services:
        point = it.point
        share = 100 * point.requests_per_second / results.limit
        errors = "".join(f"   {count} x {status}" for status, count in sorted(point.errors.items()))
        yield (
            f"{it.http_workers:12}{point.connections:14}{point.requests_per_second:13,.0f}{share:13.0f} %"
            f"{point.p50_ms:10.1f}{point.p99_ms:10.1f}{it.start_up_seconds:11.1f}{it.memory_mb:18,.0f}{errors}"
        )


def _head(last: str) -> str:
    return f"{'precision':<11}{'graphs':<8}{last}".ljust(22)


def _name(engine: EngineResult) -> str:
    return f"{engine.precision:<11}{'yes' if engine.has_graphs else 'no':<8}".ljust(22)
