"""What a run has found, held against what swapping promises."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.swaps.rounds import Figures, Plan

_MOST_SLOWER = 1.5  # p99 with swaps, over p99 without
_MOST_GROWTH = 5.0  # percent of memory, from the first hundred swaps to the last
_SETTLED = 100  # swaps, after which memory is to stay


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: a value, and the most that it may be."""

    what: str
    value: float
    most: float
    detail: str

    @property
    def is_met(self) -> bool:
        return self.value <= self.most  # false for NaN

    def __str__(self) -> str:
        verdict = "met" if self.is_met else "MISSED"
        return f"{self.what:<32}{self.value:>10.3g}{self.most:>10.3g}  {verdict:<8}{self.detail}"


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run."""

    date: str
    machine: Mapping[str, str]
    plan: Plan
    figures: Figures

    @property
    def rows(self) -> list[Row]:
        figures, (first, last) = self.figures, self._memory()
        answers = len(figures.calm.latencies) + len(figures.swapping.latencies)
        swaps, calm, swapping = len(figures.swap_seconds), figures.calm, figures.swapping
        return [
            Row("lost answers", figures.lost, 0, f"of {answers:,} {figures.failures or ''}".strip()),
            Row("mixed answers", figures.mixed, 0, f"over {swaps:,} swaps"),
            Row(
                "p99 with swaps / without",
                swapping.p99 / calm.p99,
                _MOST_SLOWER,
                f"{1000 * swapping.p99:.1f} ms / {1000 * calm.p99:.1f} ms; median of {len(calm.p99s)} pairs "
                f"{median(a / b for a, b in zip(swapping.p99s, calm.p99s, strict=True)):.2f}",
            ),
            Row(
                "growth of memory, %", 100 * (last / first - 1), _MOST_GROWTH, f"{first:.0f} MB to {last:.0f} MB (PSS)"
            ),
        ]

    def table(self) -> str:
        """Write the rows, how long swaps took, and the memory after each hundred of them."""
        figures, seconds = self.figures, sorted(self.figures.swap_seconds)
        memory = ", ".join(f"{swaps:,}: {mb:.0f} MB" for swaps, mb in self._by_hundreds().items())
        return "\n".join(
            [
                f"{'':<32}{'value':>10}{'at most':>10}",
                *map(str, self.rows),
                f"Capacity {figures.capacity:.1f} answers/s, load {figures.rate:.1f}/s.",
                f"A swap took {median(seconds):.2f} s (median), {seconds[-1]:.2f} s (max).",
                f"Memory by swaps: {memory}",
            ]
        )

    def to_json(self) -> str:
        """Write all but the single latencies; what is not a number becomes null."""
        windows = {
            name: {"answers": len(it.latencies), "p99": it.p99, "p99s": it.p99s, "failures": dict(it.failures)}
            for name, it in (("calm", self.figures.calm), ("swapping", self.figures.swapping))
        }
        document = {
            "date": self.date,
            "machine": dict(self.machine),
            "plan": asdict(self.plan),
            "capacity": self.figures.capacity,
            "rate": self.figures.rate,
            "windows": windows,
            "memory_mb": self.figures.memory_mb,
            "swap_seconds": list(self.figures.swap_seconds),
            "rows": [asdict(row) | {"met": row.is_met} for row in self.rows],
        }
        return json.dumps(_finite(document), indent=1, allow_nan=False)

    def _by_hundreds(self) -> dict[int, float]:
        """Give the first reading of each hundred, and the last of all."""
        firsts = {swaps // _SETTLED: swaps for swaps in reversed(self.figures.memory_mb)}
        kept = {*firsts.values(), *[*self.figures.memory_mb][-1:]}
        return {swaps: mb for swaps, mb in self.figures.memory_mb.items() if swaps in kept}

    def _memory(self) -> tuple[float, float]:
        """Give the memory once the first hundred swaps are over, or the first pair of windows, and at the end."""
        readings = self.figures.memory_mb
        settled = [mb for swaps, mb in readings.items() if swaps >= min(_SETTLED, sorted(readings)[1])]
        return settled[0], settled[-1]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
