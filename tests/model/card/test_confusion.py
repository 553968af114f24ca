from typing import Any

import pytest

from tests.model.card.summaries import plain, summary
from whisker.model.card.confusion import filled_cells, photos_of_classes, whole_matrix, wrong_cells
from whisker.model.card.consistency import consistent
from whisker.model.card.metrics import TestMetrics
from whisker.model.card.wording.advice import advise
from whisker.training.calibration.metrics import Evaluation

MATRIX = ((8, 0, 1), (2, 5, 0), (0, 0, 0))
CELLS = ((0, 0, 8), (0, 2, 1), (1, 0, 2), (1, 1, 5))


def test_cells_hold_what_the_matrix_holds() -> None:
    assert filled_cells(MATRIX) == CELLS
    assert whole_matrix(CELLS, 3) == MATRIX
    assert photos_of_classes(CELLS, 3) == [9, 7, 0]
    assert wrong_cells(CELLS) == [(1, 0, 2), (0, 2, 1)]


def test_cells_are_advised_on_as_the_matrix_is() -> None:
    parts = {"accuracy": 0.8125, "photos": 16}
    by_matrix, by_cells = (
        plain(advise(summary({"test": parts | form}, classes=("ant", "bee", "cat"))))
        for form in ({"confusion": [*map(list, MATRIX)]}, {"confusion_cells": [*map(list, CELLS)]})
    )
    assert by_cells == by_matrix
    assert "Photos of bee are most often taken for ant (2 of 7)" in by_cells[-1]


@pytest.mark.parametrize("cells", [[[0, 3, 1]], [[-1, 0, 1]], [[0, 0, 0]], [[0, 0, 1], [0, 0, 2]]])
def test_cells_that_no_training_has_are_left_out(cells: list[Any]) -> None:
    metrics = consistent(TestMetrics.from_json({"test": {"confusion_cells": cells}}), 3)
    assert metrics.test is not None
    assert metrics.test.cells is None


def test_answers_of_many_classes_are_named_only_if_given() -> None:
    names = [f"c{number}" for number in range(12)]
    lines = [*Evaluation(4, 0.75, (0.3, 0.9), ((0, 0, 3), (0, 11, 1)), 12, 0.1, 0.1).describe_classes(names)]
    assert lines[:2] == ["c0: answered 3 c0, 1 c11", "c1: answered nothing"]
