"""The plots of a report: each turns figures that a checkpoint holds into inline SVG."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.card.metrics import CoveragePoint, LearningCurve, ReliabilityBin, ScoreHistograms, UnknownHistograms
from whisker.model.card.provenance import Epoch
from whisker.model.card.wording.formats import percent
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
    Drawing,
    drawing,
    in_percent,
    mark,
    width_of,
)

MAX_NUMBERED = 20  # classes; in a larger matrix, numbers would not be legible
FEW_CLASSES = 6  # with a matrix as small as the other plots, and shares below the numbers
_MAX_MARKED = 40  # epochs with a dot each
_MAX_NAME = 14  # digits wide
_MAX_OPACITY = 0.55  # opacity of a cell, so that the number on it stays legible
_RIGHT_RGB, _WRONG_RGB = (0.34, 0.71, 0.91), (0.90, 0.45, 0.0)  # seen on white and on black


def draw_loss(history: Sequence[Epoch]) -> str:
    """Draw the training loss by epoch."""
    losses = [epoch.loss for epoch in history]
    alt = f"Training loss by epoch, from {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} epochs."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        _draw_curve(axes, history, losses, f"{losses[-1]:.3f}")
        axes.set_ylabel("loss")
    return sheet.svg


def draw_validation(history: Sequence[Epoch]) -> str:
    """Draw the validation accuracy by epoch."""
    shares = [epoch.validation_accuracy for epoch in history]
    alt = f"Validation accuracy by epoch, from {shares[0]:.1%} to {shares[-1]:.1%} in {len(shares)} epochs."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        _draw_curve(axes, history, shares, percent(shares[-1]))
        axes.set(ylabel="accuracy", ylim=(None, min(axes.get_ylim()[1], 1.005)))
        in_percent(axes.yaxis)
    return sheet.svg


def draw_confusion(
    confusion: Sequence[Sequence[int]] | NDArray[np.int64], classes: Sequence[str], right: int | None = None
) -> str:
    """Draw a row for each class and a column for each answer, coloured by share of the row, numbered if they fit.

    With `right` answers in all, rows and columns may be of several neighbouring classes each.
    """
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    right = int(np.trace(counts)) if right is None else right
    alt = f"Confusion matrix of {len(classes)} classes: {right:,} of {counts.sum():,} answers are right."
    width, height = (WIDTH, HEIGHT + 0.6) if len(classes) <= FEW_CLASSES else (7.2, 6.0)
    with drawing(alt, width, height) as sheet:
        axes = sheet.figure.subplots()
        axes.set(xlabel="answer", ylabel="true class")
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        if len(classes) <= MAX_NUMBERED:
            _draw_cells(axes, counts, shares)
            _name_cells(axes, sheet, classes)
        else:
            axes.imshow(_tint(shares), interpolation="none", aspect="auto")
            axes.set(xticks=[], yticks=[])
            axes.add_patch(Rectangle((-0.5, -0.5), *[len(counts)] * 2, fill=False, edgecolor=LINE))
    return sheet.svg


def draw_reliability(bins: Sequence[ReliabilityBin]) -> str:
    """Draw the accuracy by score, with its intervals, and below it how many photos each bin holds; one has to."""
    filled = [row for row in bins if row.photos]
    with drawing("Accuracy by score, in bins; on the diagonal, scores equal accuracy.") as sheet:
        upper, lower = sheet.figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        for row in filled:
            score, accuracy = row.score or 0.0, row.accuracy or 0.0  # null in empty bins only
            low, high = wilson_interval(round(accuracy * row.photos), row.photos)
            upper.plot([score] * 2, [low, high], color=FIRST, linewidth=5, alpha=0.3, solid_capstyle="butt")
            upper.plot(score, accuracy, color=FIRST, marker="o", ms=5)
        upper.set(ylabel="accuracy", ylim=(-0.04, 1.04), xlim=(filled[0].low - 0.01, 1.01))
        in_percent(upper.yaxis)
        _draw_counts(lower, filled)
    return sheet.svg


def draw_coverage(points: Sequence[CoveragePoint], threshold: float | None) -> str:
    """Draw the accuracy of the answers that reach a score against their share; `threshold` is that of "confident"."""
    coverage, accuracy = [point.coverage for point in points], [point.accuracy for point in points]
    confident = [point.coverage for point in points if threshold is not None and point.threshold >= threshold]
    alt = f"Accuracy against coverage: {accuracy[-1]:.1%} when {coverage[-1]:.1%} of photos are answered."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        axes.plot(coverage, accuracy, color=FIRST, linewidth=1.8)
        axes.plot(coverage[-1:], accuracy[-1:], color=FIRST, marker="o", ms=5)
        axes.set(xlabel="photos answered, highest scores first", ylabel="accuracy", xlim=(0, 1.02))
        axes.set_ylim(min(*accuracy, 0.98) - 0.01, 1.005)
        in_percent(axes.xaxis)
        in_percent(axes.yaxis)
        if confident:
            mark(axes, confident[-1], f"confident, score {threshold:.3f} or more")
    return sheet.svg


def draw_learning_curve(curve: LearningCurve) -> str:
    """Draw the accuracy by the number of training photos, each with its interval, and what is expected of more."""
    points = (*curve.measured, curve.doubled)
    alt = f"Accuracy by training photos: {curve.doubled.accuracy:.1%} expected with {curve.doubled.photos:,}."
    with drawing(alt) as sheet:
        axes = sheet.figure.subplots()
        for index, point in enumerate(points):
            expected = point is curve.doubled
            colour = SECOND if expected else FIRST
            axes.plot(
                [index] * 2, point.accuracy_95_interval, color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt"
            )
            axes.plot(index, point.accuracy, color=colour, marker="o", ms=5)
        measured = [point.accuracy for point in curve.measured]
        axes.plot(range(len(measured)), measured, color=FIRST, linewidth=1.8)
        last = len(measured) - 1
        axes.plot(
            [last, last + 1], [measured[-1], curve.doubled.accuracy], color=SECOND, linewidth=1.2, linestyle=(0, (3, 2))
        )
        axes.set(xlabel="training photos", ylabel="accuracy", xlim=(-0.4, len(points) - 0.3))
        axes.set_xticks(range(len(points)), [f"{point.photos:,}" for point in points])
        axes.set_ylim(None, min(1.01, axes.get_ylim()[1]))
        in_percent(axes.yaxis)
        place = (len(points) - 1, curve.doubled.accuracy)
        axes.annotate(
            percent(curve.doubled.accuracy), place, (7, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
    return sheet.svg


def draw_scores(scores: ScoreHistograms, threshold: float | None) -> str:
    """Draw how many right and wrong answers have each score; `threshold` is that of "confident"."""
    panels = [("right answers", scores.right, FIRST), ("wrong answers", scores.wrong, SECOND)]
    return _draw_histograms(panels, "score of the answer", threshold, "confident from")


def draw_unknown(unknown: UnknownHistograms) -> str:
    """Draw the unknown scores of photos of known classes and, if they were measured, of unrelated photos."""
    panels = [("photos of known classes", unknown.known, FIRST)]
    if unknown.outliers is not None:
        panels.append(("unrelated photos", unknown.outliers, SECOND))
    return _draw_histograms(panels, "unknown score", UNKNOWN_SCORE, "unknown above")


def _draw_curve(axes: Axes, history: Sequence[Epoch], values: Sequence[float], last: str) -> None:
    """Draw a line over the epochs, with its `last` value in words at the end."""
    epochs = [epoch.epoch for epoch in history]
    axes.plot(epochs, values, color=FIRST, linewidth=1.8, marker="o", ms=3.5 if len(epochs) <= _MAX_MARKED else 0)
    axes.set(xlabel="epoch", xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
    axes.margins(y=0.12)
    place = (epochs[-1] + 0.5, values[-1])
    axes.annotate(last, place, (3, 0), textcoords="offset points", va="center", fontsize=SMALL, fontweight="bold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    _mark_sizes(axes, epochs, [epoch.size for epoch in history])


def _mark_sizes(axes: Axes, epochs: Sequence[int], sizes: Sequence[int]) -> None:
    """Show, by bands with labels above the axes, the sizes that the network was trained at."""
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
        share = f"\n{percent(float(shares[row, column]))}" if count and len(counts) <= FEW_CLASSES else ""
        if not count and len(counts) > FEW_CLASSES:
            continue  # among many, zeros would hide the other numbers
        shade = INK if count else MUTED
        axes.text(
            column, row, f"{count:,}{share}", ha="center", va="center", fontsize=size, color=shade, linespacing=1.4
        )


def _name_cells(axes: Axes, sheet: Drawing, classes: Sequence[str]) -> None:
    short = [_shortened(name) for name in classes]
    names, places = [*map(sheet.name, short)], range(len(classes))
    turned = len(classes) > FEW_CLASSES or max(map(width_of, short)) * len(classes) > 40
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
    """Give a cell its opacity; the square root makes rare errors visible beside common right answers."""
    return 0.05 + (_MAX_OPACITY - 0.05) * math.sqrt(share)


def _draw_counts(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    for row in bins:
        middle, width = (row.low + row.high) / 2, row.high - row.low
        axes.bar(middle, row.photos, width * 0.9, color=FIRST, alpha=0.55)
        axes.annotate(
            f"{row.photos:,}", (middle, row.photos), (0, 2), textcoords="offset points", ha="center", fontsize=6.5
        )
    axes.margins(y=0.45)
    axes.grid(visible=False)
    axes.set(xlabel="score of the answer", ylabel="photos", yticks=[])


def _draw_histograms(
    panels: Sequence[tuple[str, Sequence[int], str]], label: str, threshold: float | None, threshold_label: str
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
            if threshold is not None:
                mark(axes, threshold, f"{threshold_label} {threshold:.3g}" if axes is rows[0] else "")
        rows[-1].set_xlabel(label)
    return sheet.svg


def _shortened(name: str) -> str:
    if width_of(name) <= _MAX_NAME:
        return name
    while width_of(name) > _MAX_NAME - 1:
        name = name[:-1]
    return name + "…"
