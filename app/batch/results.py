"""The results of photos: as JSON, and as a file of CSV, JSON lines or Parquet.

Results are first kept as lines of JSON in a journal (`whisker.app.batch.journal`), and in the end become the file.
Importing this must stay cheap: errors that end a run are found before PyTorch is imported.
"""

import csv
import importlib.util
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Self

from whisker.app.batch.photos import Photo
from whisker.app.errors import ResultsError
from whisker.model.errors import WhiskerError
from whisker.model.plain_text import to_cell

if TYPE_CHECKING:
    from whisker.model.answers.decision_rule import ClassScore, Prediction

_DECIMALS = 6  # of a score; with more, the last ones could differ from batch to batch
_CELLS_AT_ONCE = 1_000_000  # of a Parquet file, that are written at once

_TEXT_COLUMNS = ("photo", "label", "verdict", "reason", "labels", "error", "message")  # columns; the others are scores
_SEPARATOR = "|"  # of several labels, as `whisker train --labels` reads them

_encode = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a photo has no prediction: a stable code, and a sentence."""

    code: str
    message: str

    @classmethod
    def of(cls, exc: WhiskerError | OSError) -> Self:
        """Describe an error of one photo."""
        if isinstance(exc, OSError):
            return cls("unreadable_file", f"The file cannot be read: {exc.strerror}.")
        return cls(exc.code, str(exc))


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one photo."""

    photo: Photo
    outcome: "Prediction | Failure"


class Lines(NamedTuple):
    """The results of `photos` photos, of which `failures` failed, as lines of JSON in UTF-8."""

    text: bytes
    photos: int
    failures: int


def to_json(result: Result, top_k: int) -> dict[str, object]:
    """Return a result as `--json` prints it, with the best `top_k` classes."""
    outcome = result.outcome
    if isinstance(outcome, Failure):
        return {"photo": result.photo.name, "error": {"code": outcome.code, "message": outcome.message}}
    document: dict[str, object] = {
        "photo": result.photo.name,
        "label": outcome.label,
        "score": round(outcome.score, _DECIMALS),
        "verdict": outcome.verdict,
        "unknown_score": _rounded(outcome.unknown_score),
        "predictions": _scored(outcome.predictions[:top_k]),
    }
    if outcome.labels is not None:
        document["labels"] = _scored(outcome.labels)
    if outcome.reason:
        document["reason"] = outcome.reason
    return document


def join_labels(labels: "Iterable[ClassScore]") -> str:
    """Write labels in one cell."""
    return _SEPARATOR.join([scored.label for scored in labels])


def _scored(entries: "Iterable[ClassScore]") -> list[dict[str, object]]:
    return [{"label": scored.label, "score": round(scored.score, _DECIMALS)} for scored in entries]


class ResultsFile(ABC):
    """A file format. Remote workers get one, and only write lines with it."""

    def lines(self, results: Sequence[Result]) -> Lines:
        """Write each result as a line."""
        text = "".join([self.line(result) for result in results])
        failures = sum(isinstance(result.outcome, Failure) for result in results)
        return Lines(text.encode(), len(results), failures)

    @abstractmethod
    def line(self, result: Result) -> str:
        """Write a result as one line of JSON: an object with `photo` and, for a failure, `error`."""

    @abstractmethod
    def write(self, lines: Iterable[bytes], file: IO[bytes]) -> None:
        """Write the file from such lines; memory does not grow with their number."""


class JsonLinesFile(ResultsFile):
    """One object per line, as `--json` prints it."""

    def __init__(self, top_k: int) -> None:
        self._top_k = top_k

    def line(self, result: Result) -> str:
        return _encode(to_json(result, self._top_k)) + "\n"

    def write(self, lines: Iterable[bytes], file: IO[bytes]) -> None:
        file.writelines(lines)


class TableFile(ResultsFile):
    """One row per photo, with a column for each class; a failure has only its photo, error and message.

    With `multi_label` there is a column of the labels, separated by `|`.
    """

    def __init__(self, classes: Sequence[str], *, multi_label: bool) -> None:
        self._classes, self._multi_label = tuple(classes), multi_label
        probabilities = [f"probability_{name}" for name in classes]  # prefixed, since a class may be called `label`
        answer = ["label", "score", "verdict", "reason", "unknown_score", *(["labels"] if multi_label else [])]
        self._columns = ["photo", *answer, *probabilities, "error", "message"]
        self._no_cells = [None] * (len(self._columns) - 3)

    def line(self, result: Result) -> str:
        outcome = result.outcome
        if isinstance(outcome, Failure):
            return _encode(to_json(result, 0)) + "\n"
        scores = {scored.label: round(scored.score, _DECIMALS) for scored in outcome.predictions}
        reason = outcome.reason or None
        answer = (outcome.label, scores[outcome.label], outcome.verdict, reason, _rounded(outcome.unknown_score))
        labels = (join_labels(outcome.labels or ()),) if self._multi_label else ()
        cells = [*answer, *labels, *(scores[name] for name in self._classes)]
        return _encode({"photo": result.photo.name, "cells": cells}) + "\n"

    def _rows(self, lines: Iterable[bytes]) -> Iterator[list[object]]:
        for row in map(json.loads, lines):
            error = row.get("error")
            if error is None:
                yield [row["photo"], *row["cells"], None, None]
            else:
                yield [row["photo"], *self._no_cells, error["code"], error["message"]]


class CsvFile(TableFile):
    """UTF-8, with a header; missing values are empty, and no cell is a formula to a spreadsheet."""

    def write(self, lines: Iterable[bytes], file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        heading: list[object] = [*self._columns]
        for row in chain([heading], self._rows(lines)):
            writer.writerow([to_cell(cell) if isinstance(cell, str) else cell for cell in row])
        text.detach()  # flushed, and left open: it is the caller's


class ParquetFile(TableFile):
    """Scores are float32; missing values are null."""

    def write(self, lines: Iterable[bytes], file: IO[bytes]) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an optional extra
        from pyarrow import parquet  # noqa: PLC0415

        schema = pa.schema([(name, pa.string() if name in _TEXT_COLUMNS else pa.float32()) for name in self._columns])
        rows = self._rows(lines)
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            while some := list(islice(rows, max(1, _CELLS_AT_ONCE // len(self._columns)))):
                writer.write_batch(pa.record_batch([*map(pa.array, zip(*some, strict=True), schema.types)], schema))


def check_format(out: Path) -> None:
    """Raise `ResultsError` unless results can be written to a file of this name."""
    if out.suffix not in (".csv", ".jsonl", ".parquet"):
        raise ResultsError(f"--out {out} does not say what to write: end its name with .csv, .jsonl or .parquet.")
    if out.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ResultsError(
            "Parquet files are written with PyArrow, which the extra `parquet` installs: run `pip install pyarrow`, or "
            "choose .csv or .jsonl."
        )


def results_file(out: Path, classes: Sequence[str], top_k: int, *, multi_label: bool) -> ResultsFile:
    """Choose the format by the suffix, which `check_format` has accepted."""
    if out.suffix == ".jsonl":
        return JsonLinesFile(top_k)
    table = CsvFile if out.suffix == ".csv" else ParquetFile
    return table(classes, multi_label=multi_label)


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, _DECIMALS)
