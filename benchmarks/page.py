"""A run of the benchmark as one HTML page that needs no network, no script and nothing beside it."""

import math
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.plots import (
    draw_arrivals,
    draw_cost,
    draw_large,
    draw_latency,
    draw_memory,
    draw_resident,
    draw_start_up,
    draw_throughput,
)
from benchmarks.results import COMPARED, LARGE, Results, summarise


def write_page(path: Path, results: Results) -> None:
    """Write the page."""
    environment = Environment(
        loader=PackageLoader("benchmarks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _figure
    page = environment.get_template("serve.html").render(
        results=results,
        rows=summarise(results),
        measured=[server for server in results.servers if server.closed],
        absent=[server for server in results.servers if not server.closed],
        plots=_plots(results),
        compared=COMPARED,
        large=LARGE,
    )
    path.write_text(page, encoding="utf-8")


def _plots(results: Results) -> dict[str, Markup]:
    """Draw what there are figures for."""
    servers = [server for server in results.servers if server.closed]
    if not servers:
        return {}
    drawn = {
        "throughput": draw_throughput(servers, results.limit, [point.connections or 0 for point in servers[0].closed]),
        "latency": draw_latency(servers, COMPARED),
        "alone": draw_latency(servers, 1),
        "arrivals": draw_arrivals(servers, results.limit),
        "cost": draw_cost(servers, COMPARED),
        "large": draw_large(servers),
        "start_up": draw_start_up(servers),
        "resident": draw_resident(servers, COMPARED),
    }
    for server in servers:
        if server.memory:
            drawn["memory"] = draw_memory(server.memory)
    return {name: Markup(svg) for name, svg in drawn.items()}  # noqa: S704 - `whisker.training.report.svg` has escaped it


def _figure(value: float) -> str:
    """Write a number with three significant digits or, from a thousand on, whole."""
    if not math.isfinite(value):
        return "\N{EN DASH}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
