"""Labels from a CSV file, for photos outside of class folders or in the wrong one.

    path,label
    cat/0017.jpg,dog
    cat/0021.jpg,

UTF-8, with a header; other columns are ignored. `path` is relative to the folder of photos. An empty label leaves the
photo out. Several labels of a photo are separated by `|`: `cat|dog`.
"""

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from whisker.model.photo_files import is_hidden
from whisker.training.errors import DatasetError

SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of the file: a photo, its label as written ("" to leave it out), and the number of its line."""

    path: str
    label: str
    line: int


def read_labels(file: Path, root: Path) -> dict[str, LabelRow]:
    """Map each named photo to its row; hidden files are skipped.

    Raises `DatasetError`, with the line, for an invalid row or a photo that is not in `root`.
    """
    rows: dict[str, LabelRow] = {}
    for row in _read_rows(file, _read_text(file)):
        first = rows.setdefault(row.path, row)
        if first.label != row.label:
            raise DatasetError(
                f"{file}, line {row.line}: {row.path} is labelled {_quoted(row.label)}, "
                f"but {_quoted(first.label)} on line {first.line}."
            )
    if not rows:
        raise DatasetError(
            f"{file} names no photo: below its header it needs a line with path and label for each photo."
        )
    _require_photos(file, root, list(rows.values()))
    return {row.path: row for row in rows.values() if not is_hidden(row.path)}


def split_labels(
    file: Path, rows: Mapping[str, LabelRow], folders: Collection[str], *, multi_label: bool
) -> dict[str, tuple[str, ...]]:
    """Map each photo to its labels, sorted: none to leave it out, and no more than one unless `multi_label`.

    A label that is the name of one of the class `folders` is one label, whatever it holds. Raises `DatasetError`, with
    the line, for labels that cannot be split so.
    """
    return {
        path: (row.label,)
        if row.label in folders
        else _split(f"{file}, line {row.line}", row.label, multi_label=multi_label)
        for path, row in rows.items()
    }


def _split(place: str, label: str, *, multi_label: bool) -> tuple[str, ...]:
    parts = [part.strip() for part in label.split(SEPARATOR)] if label else []
    if len(parts) > 1 and not multi_label:
        raise DatasetError(
            f"{place}: {label!r} names several labels, separated by {SEPARATOR}: give --multi-label to train with "
            "several labels a photo, or name one."
        )
    if not all(parts):
        raise DatasetError(f"{place}: {label!r} has nothing on one side of a {SEPARATOR}: remove it.")
    return tuple(sorted({*parts}))


def _read_text(file: Path) -> str:
    try:
        data = file.read_bytes()
    except OSError as exc:
        raise DatasetError(f"The file of labels {file} cannot be read: {exc.strerror}.") from exc
    try:
        return data.decode("utf-8-sig")  # spreadsheets put a byte order mark before the header
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise DatasetError(f"{file}, line {line}: the text is not UTF-8; save the file as CSV in UTF-8.") from exc


def _read_rows(file: Path, text: str) -> Iterator[LabelRow]:
    # strict: an unclosed quotation mark is an error, not a field that swallows the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in ("path", "label") if name not in header]
        if missing:
            raise DatasetError(
                f"{file}, line 1: there is no column {missing[0]!r}; the header must name the columns path and label, "
                "separated by a comma."
            )
        columns = header.index("path"), header.index("label")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _parse_row(f"{file}, line {reader.line_num}", reader.line_num, cells, *columns)
    except csv.Error as exc:
        raise DatasetError(f"{file}, line {reader.line_num}: the line is not CSV: {exc}.") from exc


def _parse_row(place: str, line: int, cells: list[str], path_column: int, label_column: int) -> LabelRow:
    if len(cells) <= max(path_column, label_column):
        raise DatasetError(f"{place}: the line has no label; to leave a photo out, end its line with a comma.")
    path, label = PurePath(cells[path_column]), cells[label_column].strip()
    if not path.parts or "\0" in str(path):
        raise DatasetError(f"{place}: the line has no path.")
    if path.is_absolute() or ".." in path.parts:
        raise DatasetError(f"{place}: {str(path)!r} leads out of the folder of photos; paths are relative to it.")
    if not label.isprintable():
        raise DatasetError(f"{place}: the label {label!r} contains characters that cannot be printed.")
    return LabelRow(path.as_posix(), label, line)


def _require_photos(file: Path, root: Path, rows: list[LabelRow]) -> None:
    unknown = [row for row in rows if not (root / row.path).is_file()]
    if len(unknown) == 1:
        raise DatasetError(f"{file}, line {unknown[0].line}: there is no file {unknown[0].path!r} in {root}.")
    if unknown:
        raise DatasetError(
            f"{file} names {len(unknown):,} files that are not in {root}, the first on line {unknown[0].line}: "
            f"{unknown[0].path!r}."
        )


def _quoted(label: str) -> str:
    return repr(label) if label else "to be left out"
