"""How figures are written for people: shares, scores, intervals, counts, durations and settings."""

from collections.abc import Sequence

from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import Interval

_MIN_SCORE, _MAX_SCORE = 0.001, 0.999  # that are written in digits; 0 and 1 are, too


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 0..1 in percent, with a space that does not break."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def format_score(score: float) -> str:
    """Write a score as the page's script does: one that is not quite certain never looks certain."""
    if _MAX_SCORE < score < 1:
        return f"> {percent(_MAX_SCORE)}"
    if 0 < score < _MIN_SCORE:
        return f"< {percent(_MIN_SCORE)}"
    return percent(score, 0 if score in (0, 1) else 1)


def describe_share(part: int, whole: int, bounds: Interval | None = None) -> str:
    share = f"{part:,} of {whole:,}" + (f", {percent(part / whole)}" if whole else "")
    return f"{share} ({describe_interval(bounds)})" if bounds else share


def describe_interval(bounds: Interval) -> str:
    return f"95 % interval {percent(bounds[0])} to {percent(bounds[1])}"


def describe_part(part: int, whole: int, noun: str) -> str:
    return f"{part:,} of {whole:,} {noun} ({percent(part / whole)})"


def count_photos(count: int | None) -> str | None:
    return None if count is None else f"{count:,} photos"


def format_duration(minutes: float) -> str:
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def join(parts: Sequence[JsonValue]) -> str:
    return ", ".join(str(part) for part in parts if part)


def format_setting(value: JsonValue) -> str:
    """Write a hyper-parameter, or a list of stages."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {format_setting(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(format_setting(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
