"""The simulation beside the real service, at the same moments of arrival."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.load import Load, arrival_times, run_open
from benchmarks.process import RunningServer
from benchmarks.scale.costs import Costs
from benchmarks.scale.service import Meter, Setting
from benchmarks.scale.simulation import Service, Simulated, simulate

SHARES = (0.3, 0.6, 0.8, 0.95, 1.3)  # of the peak, at which requests arrive
_PERCENTS = (50.0, 95.0, 99.0)
QUIET_CORES = 0.1  # that others may take
NOISE = "Other programs took more than a tenth of a core meanwhile: measure again on a quiet machine."


@dataclass(frozen=True, slots=True)
class Row:
    """One load: what the service did, and what the simulation says; `others` are cores that other programs took."""

    offered: float
    share: float
    measured: Load
    simulated: Simulated
    others: float

    def errors(self) -> list[float]:
        """Give by how much the simulated percentiles differ, as shares of the measured ones."""
        simulated = self.simulated.load
        return [simulated.percentile(it) / self.measured.percentile(it) - 1 for it in _PERCENTS]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A running service, and what the simulation knows of it."""

    server: RunningServer
    setting: Setting
    service: Service
    costs: Costs

    def row(self, share: float, peak: float) -> Row:
        """Send requests at a share of the `peak` rate, and simulate the same arrivals."""
        meter, seed, rate = Meter(self.server), round(1000 * share), share * peak
        start, seconds = self.setting.warm_up, self.setting.seconds
        measured = run_open(
            self.setting.target(self.server), rate, warm_up=start, seconds=seconds, server_cpu=meter, seed=seed
        )
        arrivals = arrival_times(rate, start + seconds, seed)
        simulated = simulate(self.service, self.costs, arrivals, start=start, end=start + seconds)
        ours = measured.server_cpu + measured.generator_cpu
        row = Row(rate, share, measured, simulated, max(0.0, meter.since_last("machine") - ours) / seconds)
        self.setting.say(_line(row))
        return row


def describe(rows: Sequence[Row]) -> list[str]:
    """Write a table, measured / simulated in each column, with the mean error of the percentiles below the peak."""
    head = "  of peak  offered/s     answered/s    refused %          p50 ms          p95 ms          p99 ms  others"
    lines = [head, *map(_line, rows)]
    below = [row for row in rows if row.share < 1]
    if below:
        each = list(zip(*(row.errors() for row in below), strict=True))
        means = ", ".join(
            f"p{percent:.0f} {100 * fmean(map(abs, errors)):.0f} %"
            for percent, errors in zip(_PERCENTS, each, strict=True)
        )
        lines.append(f"Mean error below the peak: {means}.")
    if any(row.others > QUIET_CORES for row in rows):
        lines.append(NOISE)
    return lines


def _line(row: Row) -> str:
    measured, simulated = row.measured, row.simulated.load
    refused = measured.errors.get("503", 0)
    share = refused / max(1, refused + len(measured.latencies))
    pairs = [
        f"{measured.rate:.0f} / {simulated.rate:.0f}",
        f"{100 * share:.1f} / {100 * row.simulated.refused:.1f}",
        *(f"{1000 * measured.percentile(it):.1f} / {1000 * simulated.percentile(it):.1f}" for it in _PERCENTS),
    ]
    first, second, *rest = pairs
    return (
        f"{100 * row.share:8.0f}% {row.offered:10.0f} {first:>14} {second:>12} "
        + " ".join(f"{pair:>15}" for pair in rest)
        + f" {row.others:7.2f}"
    )
