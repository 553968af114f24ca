"""The plots of a report, each from figures that a checkpoint holds to inline SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.training.calibration.metrics import wilson_interval
from whisker.training.report.svg import (
    BAND,
    FIRST,
    HEIGHT,
    INK,
    LINE,
    MUTED,
    SECOND,
    SMALL,
    WIDTH,
    drawing,
    in_percent,
    mark,
)

MAX_NUMBERED = 20  # classes; in the matrix of more, numbers would not be legible
FEW_CLASSES = 6  # whose matrix is as small as the other plots, with shares beside the numbers
_MARKED = 40  # epochs with a dot each
_LONGEST_NAME = 14  # letters
_STRONGEST = 0.55  # opacity of a cell, so that the number on it stays legible
_RIGHT_RGB, _WRONG_RGB = (0.34, 0.71, 0.91), (0.90, 0.45, 0.0)  # seen on white and on black

_Row = Mapping[str, Any]


def draw_loss(history: Sequence[_Row]) -> str:
    """Draw the training loss by epoch."""
    losses = [float(row["loss"]) for row in history]
    alt = f"Training loss by epoch, from {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} epochs."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        _draw_curve(axes, history, losses, f"{losses[-1]:.3f}")
        axes.set_ylabel("loss")
    return sheet.svg


def draw_validation(history: Sequence[_Row]) -> str:
    """Draw the validation accuracy by epoch."""
    shares = [float(row["validation_accuracy"]) for row in history]
    alt = f"Validation accuracy by epoch, from {shares[0]:.1%} to {shares[-1]:.1%} in {len(shares)} epochs."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        _draw_curve(axes, history, shares, f"{100 * shares[-1]:.1f} %")
        axes.set(ylabel="right answers", ylim=(None, min(axes.get_ylim()[1], 1.005)))
        in_percent(axes.yaxis)
    return sheet.svg


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """Draw what each class was answered as: a row a class, coloured by its share of the row; numbers if they fit."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    alt = (
        f"Confusion matrix of {len(classes)} classes: {int(np.trace(counts)):,} of {counts.sum():,} answers are right."
    )
    width, height = (WIDTH, HEIGHT + 0.6) if len(classes) <= FEW_CLASSES else (7.2, 6.0)
    with drawing(alt, width, height) as sheet:
        axes = sheet.figure.subplots()
        axes.set(xlabel="answered", ylabel="is")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        if len(classes) <= MAX_NUMBERED:
            _draw_cells(axes, counts, shares)
            _name_cells(axes, classes)
        else:
            axes.imshow(_tint(shares), interpolation="none", aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.add_patch(Rectangle((-0.5, -0.5), *[len(classes)] * 2, fill=False, edgecolor=LINE))
    return sheet.svg


def draw_reliability(bins: Sequence[_Row]) -> str:
    """Draw accuracy by score with its intervals, and below it how many photos each bin holds."""
    filled = [row for row in bins if row["photos"]]
    with drawing("Accuracy by score, in bins; on the diagonal, scores mean what they say.") as sheet:
        upper, lower = sheet.figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        for row in filled:
            low, high = wilson_interval(round(row["accuracy"] * row["photos"]), row["photos"])
            upper.plot([row["score"]] * 2, [low, high], color=FIRST, linewidth=5, alpha=0.3, solid_capstyle="butt")
            upper.plot(row["score"], row["accuracy"], color=FIRST, marker="o", ms=5)
        upper.set(ylabel="right answers", ylim=(-0.04, 1.04), xlim=(filled[0]["low"] - 0.01, 1.01))
        in_percent(upper.yaxis)
        _draw_counts(lower, filled)
    return sheet.svg


def draw_coverage(points: Sequence[_Row], threshold: float) -> str:
    """Draw how right the answers are that reach a score, against how many do; `threshold` is that of "confident"."""
    coverage, accuracy = ([float(point[key]) for point in points] for key in ("coverage", "accuracy"))
    confident = [point["coverage"] for point in points if point["threshold"] >= threshold]
    alt = f"Accuracy against coverage: {accuracy[-1]:.1%} when every photo gets an answer."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        axes.plot(coverage, accuracy, color=FIRST, linewidth=1.8)
        axes.plot(coverage[-1:], accuracy[-1:], color=FIRST, marker="o", ms=5)
        axes.set(xlabel="photos answered, the surest first", ylabel="right answers", xlim=(0, 1.02))
        axes.set_ylim(min(*accuracy, 0.98) - 0.01, 1.005)
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)
        if confident:
            mark(axes, confident[-1], f"confident: score {threshold:.3f} or more", height=0.12)
    return sheet.svg


def draw_scores(scores: _Row, threshold: float) -> str:
    """Draw how many right and how many wrong answers have each score; `threshold` is that of "confident"."""
    panels = [("right answers", scores["right"], FIRST), ("wrong answers", scores["wrong"], SECOND)]
    return _draw_histograms(panels, "score of the answer", threshold, "confident from")


def draw_unknown(unknown: _Row) -> str:
    """Draw the unknown scores of known photos and, where they were measured, of photos of other things."""
    panels = [("photos of known classes", unknown["known"], FIRST)]
    if unknown["outliers"] is not None:
        panels.append(("photos of other things", unknown["outliers"], SECOND))
    return _draw_histograms(panels, "unknown score", UNKNOWN_SCORE, "unknown above")


def _draw_curve(axes: Axes, history: Sequence[_Row], values: Sequence[float], last: str) -> None:
    """Draw a line over the epochs, the `last` value in words beside its end."""
    epochs = [int(row["epoch"]) for row in history]
    axes.plot(epochs, values, color=FIRST, linewidth=1.8, marker="o", ms=3.5 if len(epochs) <= _MARKED else 0)
    axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    axes.margins(y=0.12)
    place = (epochs[-1] + 0.5, values[-1])
    axes.annotate(last, place, (3, 0), textcoords="offset points", va="center", fontsize=SMALL, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    _mark_sizes(axes, epochs, [int(row["size"]) for row in history])


def _mark_sizes(axes: Axes, epochs: Sequence[int], sizes: Sequence[int]) -> None:
    """Tell by bands, labelled above the axes, at which sizes the network was trained."""
    starts = [index for index, size in enumerate(sizes) if index == 0 or size != sizes[index - 1]]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(sizes)], strict=True)):
        left, right = epochs[start] - 0.5, epochs[end - 1] + 0.5
        if number % 2 == 0:
            axes.axvspan(left, right, color=BAND, zorder=0, linewidth=0)
        place = ((left + right) / 2, 1.02)
        axes.annotate(
            f"{sizes[start]} px", place, xycoords=axes.get_xaxis_transform(), ha="center", fontsize=SMALL, color=MUTED
        )


def _draw_cells(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    size = 11 if len(counts) <= FEW_CLASSES else 9 if len(counts) <= 12 else 7
    for (row, column), count in np.ndenumerate(counts):
        colour = FIRST if row == column else SECOND
        opacity = _opacity(float(shares[row, column]))
        cell = Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, alpha=opacity, linewidth=0)
        axes.add_patch(cell)
        share = f"\n{100 * shares[row, column]:.1f} %" if count and len(counts) <= FEW_CLASSES else ""
        if not count and len(counts) > FEW_CLASSES:
            continue  # among many, zeros would hide what is to be seen
        shade = INK if count else MUTED
        axes.text(
            column, row, f"{count:,}{share}", ha="center", va="center", fontsize=size, color=shade, linespacing=1.4
        )


def _name_cells(axes: Axes, classes: Sequence[str]) -> None:
    names = [_shortened(name) for name in classes]
    places = range(len(classes))
    turned = len(classes) > FEW_CLASSES or max(map(len, names)) * len(classes) > 40
    axes.set_xticks(places, names, rotation=40 if turned else 0, ha="left" if turned else "center")
    axes.set_yticks(places, names)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(colors=INK)
    axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))


def _tint(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colour `[K, K]` shares as RGBA `[K, K, 4]`: right answers on the diagonal, wrong ones elsewhere."""
    pixels = np.empty((*shares.shape, 4))
    pixels[..., :3] = np.where(np.eye(len(shares), dtype=bool)[..., None], _RIGHT_RGB, _WRONG_RGB)
    pixels[..., 3] = np.sqrt(shares)
    return pixels


def _opacity(share: float) -> float:
    """Give a cell its opacity; the root makes rare errors visible beside common right answers."""
    return 0.05 + (_STRONGEST - 0.05) * math.sqrt(share)


def _draw_counts(axes: Axes, bins: Sequence[_Row]) -> None:
    for row in bins:
        middle, width = (row["low"] + row["high"]) / 2, row["high"] - row["low"]
        axes.bar(middle, row["photos"], width * 0.9, color=FIRST, alpha=0.55)
        axes.annotate(
            f"{row['photos']:,}", (middle, row["photos"]), (0, 2), textcoords="offset points", ha="center", fontsize=6.5
        )
    axes.margins(y=0.45)
    axes.grid(visible=False)
    axes.set(xlabel="score of the answer", ylabel="photos", yticks=[])


def _draw_histograms(
    panels: Sequence[tuple[str, Sequence[int], str]], label: str, threshold: float, threshold_label: str
) -> str:
    counts = " and ".join(f"{sum(values):,} {name}" for name, values, _ in panels)
    with drawing(f"Histogram of the {label}, for {counts}.") as sheet:
        rows = sheet.figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, values, colour) in zip(rows, panels, strict=True):
            edges = np.linspace(0, 1, len(values) + 1)
            axes.bar(edges[:-1], values, np.diff(edges) * 0.92, align="edge", color=colour, linewidth=0)
            axes.set_title(f"{sum(values):,} {name}", loc="left", fontsize=SMALL, color=INK)
            axes.set(ylabel="photos", xlim=(-0.01, 1.01), ylim=(0, max(1, *values) * 1.08))
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
            mark(axes, threshold, f"{threshold_label} {threshold:.3g}" if axes is rows[0] else "")
        rows[-1].set_xlabel(label)
    return sheet.svg


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
