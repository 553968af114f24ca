"""Which class the photos of each class were answered with: the cells of a confusion matrix that hold photos.

Of few classes the whole matrix is written, as every program expects it. Of very many it would have more cells than
there are photos.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

Confusion: TypeAlias = tuple[tuple[int, ...], ...]  # [i][j] counts photos of class i that were answered as j
Cell: TypeAlias = tuple[int, int, int]  # a class, an answer, and how many photos of the class got it
MAX_WHOLE = 1_000  # classes of a matrix that is written whole


def filled_cells(confusion: Sequence[Sequence[int]]) -> tuple[Cell, ...]:
    """List the cells of a matrix that hold photos, row by row."""
    return tuple((i, j, count) for i, row in enumerate(confusion) for j, count in enumerate(row) if count)


def whole_matrix(cells: Iterable[Cell], classes: int) -> Confusion:
    """Make a matrix of so many classes."""
    rows = [[0] * classes for _ in range(classes)]
    for label, answer, count in cells:
        rows[label][answer] = count
    return tuple(map(tuple, rows))


def photos_of_classes(cells: Iterable[Cell], classes: int) -> list[int]:
    """Count the photos of each class."""
    counts = [0] * classes
    for label, _, count in cells:
        counts[label] += count
    return counts


def wrong_cells(cells: Iterable[Cell]) -> list[Cell]:
    """List the cells of wrong answers, the commonest first."""
    return sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])


def are_possible(cells: Sequence[Cell], classes: int) -> bool:
    """Tell whether cells can be those of so many classes: each at most once, with a photo."""
    places = Counter((label, answer) for label, answer, _ in cells)
    return len(places) == len(cells) and all(
        0 <= label < classes and 0 <= answer < classes and count > 0 for label, answer, count in cells
    )
