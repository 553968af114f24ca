"""What a run of the benchmark has found, and what it is held against."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from benchmarks.load import Load

COMPARED = 16  # connections, of the main comparison
LARGE = 8  # connections, for photos of 12 megapixels


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of a server under one load; milliseconds are NaN where nothing was answered.

    `offered` is the rate of an open loop's arrivals, `connections` are those of a closed loop.
    """

    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: dict[str, int]
    seconds: float
    server_cpu_seconds: float
    generator_cpu_seconds: float
    rss_mb: float
    connections: int | None = None
    offered: float | None = None

    @classmethod
    def of(cls, load: Load, *, rss_mb: float, connections: int | None = None, offered: float | None = None) -> "Point":
        """Sum up a load."""
        p50, p95, p99 = (1000 * load.percentile(percent) for percent in (50, 95, 99))
        return cls(
            requests_per_second=load.rate,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            errors=load.errors,
            seconds=load.seconds,
            server_cpu_seconds=load.server_cpu,
            generator_cpu_seconds=load.generator_cpu,
            rss_mb=rss_mb,
            connections=connections,
            offered=offered,
        )

    def __str__(self) -> str:
        load = f"{self.connections} connections" if self.offered is None else f"{self.offered:.0f} arrivals/s"
        errors = "".join(f", {count} x {status}" for status, count in sorted(self.errors.items()))
        return (
            f"{load}: {self.requests_per_second:.1f} requests/s, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"
            f"{errors}, {self.rss_mb:.0f} MB"
        )

    @property
    def cpu_ms(self) -> float:
        """Give the server's CPU milliseconds for each answer."""
        answers = self.requests_per_second * self.seconds
        return 1000 * self.server_cpu_seconds / answers if answers else math.nan


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory after so many requests."""

    requests: int
    rss_mb: float


@dataclass(slots=True)
class ServerResult:
    """What was measured of one server, or why not; `notes` are sentences on what went wrong."""

    name: str
    title: str
    setting: str
    state: Literal["measured", "not installed"] = "measured"
    notes: list[str] = field(default_factory=list)
    start_up_seconds: list[float] = field(default_factory=list)
    closed: list[Point] = field(default_factory=list)
    open: list[Point] = field(default_factory=list)
    large: Point | None = None
    raw: Point | None = None
    memory: list[Memory] = field(default_factory=list)

    def at(self, connections: int) -> Point | None:
        """Find the closed loop of so many connections, if anything was answered there."""
        found = [point for point in self.closed if point.connections == connections and point.requests_per_second]
        return found[0] if found else None

    @property
    def peak(self) -> float:
        """Give the most requests a second of all closed loops; 0 if there are none."""
        return max((point.requests_per_second for point in self.closed), default=0.0)

    @property
    def start_up(self) -> float | None:
        """Give the median of the start-up times."""
        ordered = sorted(self.start_up_seconds)
        return ordered[len(ordered) // 2] if ordered else None


@dataclass(slots=True)
class Results:
    """A whole run; `limit` is the in-process limit in photos a second."""

    date: str
    machine: dict[str, str]
    checkpoint: dict[str, str]
    photos: dict[str, float]
    measurement: dict[str, float]
    limit: float
    servers: list[ServerResult] = field(default_factory=list)

    def to_json(self) -> str:
        """Write everything, with the summary; what is not a number becomes null."""
        rows = [asdict(row) | {"met": row.met} for row in summarise(self)]
        return json.dumps(finite(asdict(self) | {"summary": rows}), indent=1, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the summary: a value, the least (or most) that it shall be, and what we hope for."""

    what: str
    value: float
    unit: str
    target: float
    goal: float
    better: Literal["more", "less"]
    detail: str = ""

    @property
    def met(self) -> Literal["goal", "target", "missed"]:
        """Say how far the value comes."""
        sign = 1 if self.better == "more" else -1
        if sign * self.value >= sign * self.goal:
            return "goal"
        return "target" if sign * self.value >= sign * self.target else "missed"


def summarise(results: Results) -> list[Row]:
    """Hold Whisker against its targets and the best peer in each respect, as far as both were measured."""
    ours = next((server for server in results.servers if server.name == "whisker"), None)
    if ours is None:
        return []
    peers = [server for server in results.servers if server is not ours]
    return [*_against_peers(ours, peers), *_alone(ours, results.limit)]


def _against_peers(ours: ServerResult, peers: list[ServerResult]) -> Iterable[Row]:
    comparisons: list[
        tuple[str, Callable[[ServerResult], Point | None], str, float, float, Literal["more", "less"]]
    ] = [
        (f"Requests/s at {COMPARED} connections", lambda s: s.at(COMPARED), "requests_per_second", 3.5, 5.0, "more"),
        ("p50 latency at 1 connection", lambda s: s.at(1), "p50_ms", 0.4, 0.25, "less"),
        (f"p99 latency at {COMPARED} connections", lambda s: s.at(COMPARED), "p99_ms", 0.5, 0.3, "less"),
        (f"12-megapixel photos/s at {LARGE} connections", lambda s: s.large, "requests_per_second", 5.0, 8.0, "more"),
    ]
    for what, find, measure, target, goal, better in comparisons:
        mine = find(ours)
        theirs = {peer.title: getattr(point, measure) for peer in peers if (point := find(peer)) is not None}
        theirs = {title: value for title, value in theirs.items() if value > 0}  # false for NaN, too
        if mine is None or not theirs:
            continue
        best = (max if better == "more" else min)(theirs, key=lambda title: theirs[title])
        value, unit = getattr(mine, measure), "ms" if measure.endswith("_ms") else "/s"
        detail = f"{value:.3g} {unit}; {best}: {theirs[best]:.3g} {unit}"
        yield Row(what, value / theirs[best], "times the best peer's", target, goal, better, detail)


def _alone(ours: ServerResult, limit: float) -> Iterable[Row]:
    point = ours.at(COMPARED)
    if point is not None:
        share, detail = 100 * point.requests_per_second / limit, f"{point.requests_per_second:.0f}/s of {limit:.0f}/s"
        yield Row(f"In-process limit reached at {COMPARED} connections", share, "%", 70, 85, "more", detail)
    if point is not None and ours.raw is not None:
        ratio, detail = (
            ours.raw.requests_per_second / point.requests_per_second,
            f"{ours.raw.requests_per_second:.0f}/s",
        )
        yield Row("Raw image/jpeg body", ratio, "times the rate of a form", 1.0, 1.15, "more", detail)
    if ours.start_up is not None:
        detail = f"median of {len(ours.start_up_seconds)} starts, to the first answer"
        yield Row("Start-up", ours.start_up, "s", 4.0, 2.5, "less", detail)
    if ours.memory:
        first, last = ours.memory[0], ours.memory[-1]
        most = max(memory.rss_mb for memory in ours.memory)
        yield Row(f"Resident memory over {last.requests:,} requests", most, "MB", 600, 450, "less")
        growth = 100 * (last.rss_mb / first.rss_mb - 1)
        detail = (
            f"{first.rss_mb:.0f} MB after {first.requests:,} requests, {last.rss_mb:.0f} MB after {last.requests:,}"
        )
        yield Row("Growth of resident memory", growth, "%", 5, 1, "less", detail)


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by `None`."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
