"""A confusion matrix as a table to show: right and wrong answers, shaded by their share of the row."""

import math
from collections.abc import Sequence
from typing import TypedDict

from whisker.model.card.confusion import Confusion
from whisker.model.card.wording.formats import percent

_MAX_CLASSES = 30  # more do not fit any screen
_SHADES = 10


class Cell(TypedDict):
    """A cell: its count, its share of the row in words, and its shade from 0 to 10."""

    count: int
    share: str
    shade: int
    is_right: bool


class Row(TypedDict):
    """How the photos of a class were answered, in the order of the classes."""

    label: str
    cells: list[Cell]


class ConfusionTable(TypedDict):
    """A confusion matrix: a row for each class, with a cell for each answer."""

    classes: Sequence[str]
    rows: list[Row]


def tabulate(classes: Sequence[str], confusion: Confusion | None) -> ConfusionTable | None:
    """Make a table of the matrix; `None` without one, or of too many classes."""
    if confusion is None or len(classes) > _MAX_CLASSES:
        return None
    rows: list[Row] = [
        {"label": label, "cells": [_cell(count, sum(counts), is_right=row == at) for at, count in enumerate(counts)]}
        for row, (label, counts) in enumerate(zip(classes, confusion, strict=True))
    ]
    return {"classes": classes, "rows": rows}


def _cell(count: int, photos: int, *, is_right: bool) -> Cell:
    """Shade a cell by the square root of its share: rare errors stay visible beside common right answers."""
    share = count / max(1, photos)
    return {
        "count": count,
        "share": percent(share),
        "shade": math.ceil(_SHADES * math.sqrt(share)),
        "is_right": is_right,
    }
