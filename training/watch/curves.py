"""Curves over the epochs so far, as numbers for a small SVG: drawing them with matplotlib would slow the training."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whisker.training.events.event import Epoch

WIDTH, HEIGHT = 400, 210  # units of the SVG
LEFT, RIGHT = 46, 62  # margins: for labels, and for the last value
_TOP, _BOTTOM = 12, 30
_TICKS = 4  # about, along the vertical axis
_NUMBERED = 8  # about, along the horizontal one


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis, and its label."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: its `points` as SVG wants them, its axes, and its last value."""

    title: str
    points: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    last: str
    end: tuple[float, float]
    alt: str


def draw_curves(epochs: Sequence[Epoch]) -> list[Curve]:
    """Draw loss and, where it is measured, validation accuracy of each series of epochs."""
    curves = []
    for series in dict.fromkeys(epoch.series for epoch in epochs):
        own = [epoch for epoch in epochs if epoch.series == series]
        last = max(epoch.epochs for epoch in own)
        loss = [(epoch.number, epoch.loss) for epoch in own]
        curves.append(_curve(f"{series} loss", loss, last, percent=False))
        accuracy = [(epoch.number, epoch.accuracy) for epoch in own if epoch.accuracy is not None]
        if accuracy:
            curves.append(_curve("Validation accuracy", accuracy, last, percent=True))
    return curves


def _curve(title: str, values: Sequence[tuple[int, float]], epochs: int, *, percent: bool) -> Curve:
    finite = [(number, value) for number, value in values if math.isfinite(value)] or [(1, 0.0)]
    heights = [value for _, value in finite]
    ticks = [*_ticks(min(heights), max(heights))]
    low, high = min(ticks[0], *heights), max(ticks[-1], *heights)

    def across(number: float) -> float:
        return round(LEFT + (number - 1) / max(1, epochs - 1) * (WIDTH - LEFT - RIGHT), 1)

    def down(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    number, value = finite[-1]
    last = f"{value:.1%}".replace("%", " %") if percent else f"{value:.3f}"
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9) - (2 if percent else 0))
    return Curve(
        title=title,
        points=" ".join(f"{across(number)},{down(value)}" for number, value in finite),
        x_ticks=tuple(Tick(across(number), str(number)) for number in _numbered(epochs)),
        y_ticks=tuple(
            Tick(down(tick), f"{100 * tick:.{digits}f} %" if percent else f"{tick:.{digits}f}") for tick in ticks
        ),
        last=last,
        end=(across(number), down(value)),
        alt=f"{title} by epoch, {last} after epoch {number} of {epochs}.",
    )


def _ticks(low: float, high: float) -> Iterator[float]:
    """Give round numbers, two at least, that hold the range between them."""
    span = high - low or abs(high) or 1.0
    rough = span / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    for index in range(first, max(last, first + 1) + 1):
        yield index * step


def _numbered(epochs: int) -> range:
    """Choose the epochs that the axis names."""
    return range(1, epochs + 1, max(1, math.ceil(epochs / _NUMBERED)))
