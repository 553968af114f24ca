"""The photos that are answered differently, and the CSV file that lists them."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from whisker.model.atomic_write import atomic_write
from whisker.model.plain_text import printable, to_cell
from whisker.training.comparing.answers import Answers
from whisker.training.comparing.figures import Change, Kind
from whisker.training.comparing.marks import MarkedAnswers
from whisker.training.errors import TrainingError

_COLUMNS = ("photo", "label", "change", "a_answer", "a_score", "a_verdict", "b_answer", "b_score", "b_verdict")
_ORDER: tuple[Kind, ...] = ("now wrong", "now right", "other answer", "other verdict")


def list_changes(
    paths: Sequence[str], labels: Sequence[Sequence[str]], a: MarkedAnswers, b: MarkedAnswers
) -> tuple[Change, ...]:
    """List the photos whose answer or verdict differs, those that are wrong now first."""
    answers = (zip(_answers(side.answers), side.answers.verdicts, strict=True) for side in (a, b))
    rows = zip(paths, labels, *answers, a.right.tolist(), b.right.tolist(), strict=True)
    changes = [
        Change(printable(path), "|".join(own), _kind(was, now, same=one == other), (one, other), scores, verdicts)
        for path, own, ((one, score), verdict), ((other, new_score), new_verdict), was, now in rows
        if (one, verdict) != (other, new_verdict)
        for scores, verdicts in [((score, new_score), (verdict, new_verdict))]
    ]
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.change)))


def _answers(answers: Answers) -> Iterator[tuple[str, str]]:
    """Write the classes of each answer, and their scores."""
    names = answers.contender.classes
    for found, probabilities in zip(answers.found, answers.scores.probabilities, strict=True):
        columns = np.flatnonzero(found).tolist()
        yield "|".join(names[it] for it in columns), "|".join(f"{probabilities[it]:.4f}" for it in columns)


def _kind(was_right: object, is_right: object, *, same: bool) -> Kind:
    if bool(was_right) != bool(is_right):
        return "now right" if is_right else "now wrong"
    return "other verdict" if same else "other answer"


def require_free(file: Path, *, overwrite: bool) -> None:
    """Raise `TrainingError` if the file exists and is not to be replaced."""
    if file.exists() and not overwrite:
        raise TrainingError(f"{file} exists: choose another name with --out, or give --overwrite.")


def write_changes(file: Path, changes: Sequence[Change]) -> None:
    """Write a row for each photo; raise `TrainingError` if that is impossible."""
    try:
        with atomic_write(file) as temporary, temporary.open("x", encoding="utf-8", newline="") as lines:
            writer = csv.writer(lines, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for change in changes:
                sides = zip(change.answers, change.scores, change.verdicts, strict=True)
                cells = (change.photo, change.label, change.change, *(cell for side in sides for cell in side))
                writer.writerow([to_cell(cell) for cell in cells])
    except OSError as exc:
        raise TrainingError(f"The file {file} cannot be written: {exc.strerror}.") from exc
