import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.load import Load
from benchmarks.measure import open_rates
from benchmarks.page import write_page
from benchmarks.results import Memory, Point, Results, Row, ServerResult, summarise


def point(rate: float, p50: float, p99: float, connections: int | None = 16) -> Point:
    return Point(rate, p50, (p50 + p99) / 2, p99, {}, 2.0, 3.0, 0.1, 500.0, connections)


def server(name: str, title: str, factor: float) -> ServerResult:
    """Make a result so many times as good as one of 100 requests a second."""
    closed = [point(100 * factor, 100 / factor, 200 / factor, connections) for connections in (1, 4, 16, 64)]
    return ServerResult(
        name,
        title,
        "default settings",
        start_up_seconds=[3.0, 9.0, 2.0],
        closed=closed,
        open=[replace(point(50, 10, 20, None), offered=50.0, errors={"503": 2})],
        large=point(10 * factor, 100, 200, 8),
    )


@pytest.fixture
def results() -> Results:
    ours = server("whisker", "Whisker", 4.0)
    ours.raw = point(480, 30, 60)
    ours.memory = [Memory(1000, 500.0), Memory(2000, 510.0)]
    absent = ServerResult("ray-serve", "Ray <Serve>", "", "not installed", ["It needs: pip install 'ray[serve]'."])
    return Results(
        date="2026-01-01T12:00",
        machine={"Processor": "Model T"},
        checkpoint={"name": "shapes", "sha256": "0", "network": "resnet"},
        photos={"count": 2, "mean_bytes": 40_000, "large_mean_bytes": 2e6},
        measurement={"warm_up_seconds": 1, "seconds": 2, "tries": 1},
        limit=500.0,
        servers=[ours, server("a", "Slow", 0.5), server("b", "Fast", 1.0), absent],
    )


def test_summary_compares_with_the_best_peer_in_each_respect(results: Results) -> None:
    rows = {row.what: row for row in summarise(results)}
    assert rows["Requests/s at 16 connections"].value == pytest.approx(4.0)
    assert "Fast: 100 /s" in rows["Requests/s at 16 connections"].detail
    assert rows["p50 latency at 1 connection"].value == pytest.approx(0.25)
    assert rows["p99 latency at 16 connections"].value == pytest.approx(0.25)
    assert rows["In-process limit reached at 16 connections"].value == pytest.approx(80)
    assert rows["Raw image/jpeg body"].value == pytest.approx(1.2)
    assert rows["Start-up"].value == 3.0
    assert rows["Growth of resident memory"].value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("value", "better", "met"),
    [
        (5.0, "more", "goal"),
        (4.0, "more", "target"),
        (3.0, "more", "missed"),
        (3.0, "less", "goal"),
        (4.5, "less", "target"),
        (5.0, "less", "missed"),
        (math.nan, "more", "missed"),
    ],
)
def test_value_reaches_goal_or_target_or_neither(value: float, better: str, met: str) -> None:
    target, goal = (3.5, 5.0) if better == "more" else (4.5, 3.5)
    assert Row("what", value, "", target, goal, better).met == met  # type: ignore[arg-type]


def test_peer_that_answered_nothing_is_no_rival(results: Results) -> None:
    nothing = Point.of(Load(2.0, (), {"connection": 9}, 0.0, 0.0), rss_mb=1.0, connections=16)
    results.servers[2].closed = [nothing]
    rows = {row.what: row for row in summarise(results)}
    assert "Slow: 50 /s" in rows["Requests/s at 16 connections"].detail


def test_json_has_no_nan(results: Results) -> None:
    nothing = Point.of(Load(2.0, (), {"connection": 9}, 0.0, 0.0), rss_mb=1.0, connections=16)
    results.servers[1].large = nothing
    written = json.loads(results.to_json())
    assert written["servers"][1]["large"]["p50_ms"] is None
    assert written["summary"][0]["met"] == "target"


def test_page_shows_every_server_and_loads_nothing(results: Results, tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", results)
    page = (tmp_path / "page.html").read_text()
    assert "Ray &lt;Serve&gt;" in page
    assert "pip install &#39;ray[serve]&#39;" in page
    assert page.count("<svg") == 9
    assert "<script" not in page
    assert "src=" not in page


def test_page_of_one_server_alone(results: Results, tmp_path: Path) -> None:
    results.servers = results.servers[1:2]
    write_page(tmp_path / "page.html", results)
    assert "Whisker against its targets" not in (tmp_path / "page.html").read_text()


def test_arrival_rates_go_one_step_beyond_the_peak() -> None:
    assert open_rates(100, 60) == [10, 25, 30, 50, 75]
    assert open_rates(100, 95) == pytest.approx([10, 25, 47.5, 50, 75, 90])
