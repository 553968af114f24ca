"""The plots of a run of the benchmark, as SVG for a page."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from benchmarks.results import Memory, Point, ServerResult
from whisker.training.report.svg import FIRST, INK, MUTED, SECOND, SMALL, drawing

_MARKERS = "osD^vPX"  # peers share a colour, and differ by their markers
_WIDE = 8.2  # inches


def draw_throughput(servers: Sequence[ServerResult], limit: float, connections: Sequence[int]) -> str:
    """Draw requests a second, a panel for each number of connections; the dashed line is the in-process limit."""
    alt = f"Requests a second of {len(servers)} servers at {', '.join(map(str, connections))} connections."
    with drawing(alt, _WIDE, 0.9 + 0.36 * len(servers)) as sheet:
        panels = sheet.figure.subplots(1, len(connections), sharey=True, sharex=True, squeeze=False)[0]
        for axes, count in zip(panels, connections, strict=True):
            values = [point.requests_per_second if (point := server.at(count)) else 0.0 for server in servers]
            _draw_bars(axes, servers, values)
            axes.axvline(limit, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
            axes.set_title(f"{count} connection{'s' if count > 1 else ''}", loc="left", fontsize=SMALL, color=INK)
            axes.set(xlim=(0, max(limit, *values) * 1.3))
            axes.xaxis.set_major_locator(MaxNLocator(3))
        sheet.figure.supxlabel("requests/s", fontsize=SMALL, color=MUTED)
    return sheet.svg


def draw_latency(servers: Sequence[ServerResult], connections: int) -> str:
    """Draw the range from p50 to p99 in a closed loop."""
    with drawing(f"Latency from p50 to p99 at {connections} connections.", height=0.9 + 0.36 * len(servers)) as sheet:
        axes = sheet.figure.subplots()
        for row, server in enumerate(servers):
            if (point := server.at(connections)) is None:
                continue
            colour = _colour(server)
            axes.plot([point.p50_ms, point.p99_ms], [row, row], color=colour, linewidth=2.5, solid_capstyle="round")
            axes.plot(point.p50_ms, row, color=colour, marker="o", ms=6)
            axes.plot(point.p99_ms, row, color=colour, marker="|", ms=11, markeredgewidth=2.5)
            label = f"{point.p50_ms:.0f} to {point.p99_ms:.0f} ms"
            axes.annotate(label, (point.p99_ms, row), (7, 0), textcoords="offset points", va="center", fontsize=SMALL)
        _name_rows(axes, servers)
        axes.set(xlabel="milliseconds: dot p50, bar p99", xlim=(0, axes.get_xlim()[1] * 1.25))
    return sheet.svg


def draw_arrivals(servers: Sequence[ServerResult], limit: float) -> str:
    """Draw p99 against the rate of arrivals; a cross is a rate at which not all got an answer of status 200."""
    with drawing("p99 latency against the rate of arrivals.", _WIDE, 4.2) as sheet:
        axes = sheet.figure.subplots()
        for server, marker in zip(servers, _MARKERS, strict=False):
            points = [point for point in server.open if math.isfinite(point.p99_ms)]
            colour, ours = _colour(server), server.name == "whisker"
            axes.plot(
                [point.offered or 0 for point in points],
                [point.p99_ms for point in points],
                color=colour,
                linewidth=2.2 if ours else 1,
                marker=marker,
                ms=6 if ours else 5,
                label=server.title,
            )
            failing = [point for point in points if point.errors]
            axes.plot(
                [point.offered or 0 for point in failing],
                [point.p99_ms for point in failing],
                linestyle="none",
                marker="x",
                ms=12,
                color=SECOND,
            )
        axes.set(xlabel="arrivals/s", ylabel="p99, ms", yscale="log", xlim=(0, limit * 1.05))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.axvline(limit, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.legend(frameon=False, fontsize=SMALL, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return sheet.svg


def draw_cost(servers: Sequence[ServerResult], connections: int) -> str:
    """Draw the CPU milliseconds for each answer."""
    points = {server.name: server.at(connections) for server in servers}
    values = [0.0 if (point := points[server.name]) is None else point.cpu_ms for server in servers]
    return _draw_single(servers, values, "CPU milliseconds an answer")


def draw_large(servers: Sequence[ServerResult]) -> str:
    """Draw the rates for photos of 12 megapixels."""
    values = [0.0 if server.large is None else server.large.requests_per_second for server in servers]
    return _draw_single(servers, values, "12-megapixel photos/s")


def draw_start_up(servers: Sequence[ServerResult]) -> str:
    """Draw the seconds to the first answer."""
    return _draw_single(servers, [server.start_up or 0.0 for server in servers], "seconds to the first answer")


def draw_resident(servers: Sequence[ServerResult], connections: int) -> str:
    """Draw the resident memory under load."""
    points: list[Point | None] = [server.at(connections) for server in servers]
    return _draw_single(servers, [0.0 if point is None else point.rss_mb for point in points], "resident MB")


def draw_memory(memory: Sequence[Memory]) -> str:
    """Draw the resident memory as requests go by."""
    with drawing(f"Resident memory over {memory[-1].requests:,} requests.") as sheet:
        axes = sheet.figure.subplots()
        axes.plot([one.requests for one in memory], [one.rss_mb for one in memory], color=FIRST, marker="o", ms=4)
        axes.set(xlabel="requests answered", ylabel="resident MB", ylim=(0, max(one.rss_mb for one in memory) * 1.15))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    return sheet.svg


def _draw_single(servers: Sequence[ServerResult], values: Sequence[float], label: str) -> str:
    with drawing(f"{label} of {len(servers)} servers.", height=0.9 + 0.36 * len(servers)) as sheet:
        axes = sheet.figure.subplots()
        _draw_bars(axes, servers, values)
        axes.set(xlabel=label, xlim=(0, max(values) * 1.2 or 1))
    return sheet.svg


def _draw_bars(axes: Axes, servers: Sequence[ServerResult], values: Sequence[float]) -> None:
    for row, (server, value) in enumerate(zip(servers, values, strict=True)):
        axes.barh(row, value, 0.62, color=_colour(server), alpha=1 if server.name == "whisker" else 0.55)
        text = f"{value:.1f}" if value < 10 else f"{value:,.0f}"
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center", fontsize=SMALL)
    _name_rows(axes, servers)


def _name_rows(axes: Axes, servers: Sequence[ServerResult]) -> None:
    axes.set_yticks(range(len(servers)), [server.title for server in servers])
    axes.set_ylim(len(servers) - 0.5, -0.5)
    axes.tick_params(axis="y", colors=INK)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")


def _colour(server: ServerResult) -> str:
    return FIRST if server.name == "whisker" else MUTED
