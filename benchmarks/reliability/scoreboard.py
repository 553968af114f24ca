"""What was found, row by row, and whether it is good enough."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One measured figure and what it has to be at most, at least or exactly; without a target it is only told."""

    what: str
    value: float
    unit: str = ""
    target: float | None = None
    better: Literal["less", "more", "same"] = "less"
    detail: str = ""

    @property
    def met(self) -> bool:
        """Say whether the target is met; what could not be measured (NaN) does not meet any."""
        if self.target is None:
            return True
        match self.better:
            case "less":
                return self.value <= self.target
            case "more":
                return self.value >= self.target
            case "same":
                return self.value == self.target

    def __str__(self) -> str:
        bound = {"less": "at most", "more": "at least", "same": "exactly"}[self.better]
        target = "" if self.target is None else f"  ({bound} {_number(self.target)}: {_verdict(met=self.met)})"
        detail = f"  [{self.detail}]" if self.detail else ""
        unit = f" {self.unit}" if self.unit and math.isfinite(self.value) else ""
        return f"{self.what}: {_number(self.value)}{unit}{target}{detail}"


@dataclass(frozen=True, slots=True)
class Row:
    """All findings of one test; `failure` says why it could not be run to its end."""

    name: str
    what: str
    findings: Sequence[Finding]
    seconds: float
    failure: str = ""

    @property
    def met(self) -> bool:
        """Say whether the test ran and every target is met."""
        return not self.failure and all(finding.met for finding in self.findings)

    def __str__(self) -> str:
        lines = [f"{self.name}  {self.what}: {_verdict(met=self.met)}  ({self.seconds:.0f} s)"]
        lines += [f"  {' ' if finding.met else '!'} {finding}" for finding in self.findings]
        return "\n".join(lines + ([f"  ! {self.failure}"] if self.failure else []))


@dataclass(slots=True)
class Scoreboard:
    """The rows of one run, and what it ran on."""

    date: str
    machine: Mapping[str, str]
    measurement: Mapping[str, object]
    rows: list[Row] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """Name the rows that are missed."""
        return [row.name for row in self.rows if not row.met]

    def __str__(self) -> str:
        missed = self.missed
        end = f"Missed: {', '.join(missed)}." if missed else f"All {len(self.rows)} rows are met."
        return "\n\n".join([*map(str, self.rows), end])

    def to_json(self) -> str:
        """Write everything; what is not a number becomes null."""
        return json.dumps(_plain(asdict(self) | {"rows": [_row(row) for row in self.rows]}), indent=1, allow_nan=False)


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value that so many percent do not exceed; NaN if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


def _row(row: Row) -> dict[str, Any]:
    findings: Iterator[dict[str, Any]] = (asdict(finding) | {"met": finding.met} for finding in row.findings)
    return asdict(row) | {"met": row.met, "findings": list(findings)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "none" if math.isnan(value) else "never"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{round(value, 4):.3g}"


def _verdict(*, met: bool) -> str:
    return "met" if met else "MISSED"
