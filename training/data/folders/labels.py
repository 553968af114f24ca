"""Labels from a CSV file, for photos outside of class folders or in the wrong one.

    path,label
    cat/0017.jpg,dog
    cat/0021.jpg,

UTF-8, with a header; of other columns, only the one that `--groups` names is read. `path` is relative to the folder of
photos. An empty label leaves the photo out. Several labels of a photo are separated by `|`: `cat|dog`. A `|` alone says
that a photo has none of the labels. An apostrophe before what a spreadsheet would run as a formula is no part of a
cell.
"""

import csv
import io
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Self

from whisker.model.photo_files import is_hidden, is_picture
from whisker.model.plain_text import from_cell, is_safe
from whisker.model.regular_file import read_regular
from whisker.training.errors import DatasetError

SEPARATOR = "|"
_MAX_BYTES = 1_000_000_000  # of a file: ten million photos
NO_LABEL = SEPARATOR  # between nothing and nothing: a photo to learn from that has none of the labels


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of the file: a photo, its label as written ("" to leave it out), its group ("" for none), and its line."""

    path: str
    label: str
    group: str
    line: int


def read_labels(file: Path, root: Path, group_column: str | None = None) -> dict[str, LabelRow]:
    """Map each named photo to its row; hidden files are skipped. Groups are those of a column, if one is given.

    Raises `DatasetError`, with the line, for an invalid row or a photo that is not in `root`.
    """
    rows: dict[str, LabelRow] = {}
    for row in _read_rows(file, _read_text(file), group_column):
        first = rows.setdefault(row.path, row)
        if first.label != row.label:
            raise DatasetError(
                f"{file}, line {row.line}: {row.path} is labelled {_quoted(row.label)}, "
                f"but {_quoted(first.label)} on line {first.line}."
            )
        if first.group != row.group:
            raise DatasetError(
                f"{file}, line {row.line}: {row.path} has {row.group!r} in the column {group_column!r}, "
                f"but {first.group!r} on line {first.line}."
            )
    if not rows:
        raise DatasetError(
            f"{file} names no photo: below its header it needs a line with path and label for each photo."
        )
    _require_photos(file, root, list(rows.values()))
    _require_within(file, root, list(rows.values()))
    return {path: row for path, row in rows.items() if not is_hidden(path)}


def split_labels(
    file: Path, rows: Mapping[str, LabelRow], folders: Collection[str], *, multi_label: bool
) -> dict[str, tuple[str, ...] | None]:
    """Map each photo to its labels, sorted, or to `None` to leave it out; it has exactly one unless `multi_label`.

    A label that is the name of one of the class `folders` is one label, whatever it holds. Raises `DatasetError`, with
    the line, for labels that cannot be split so.
    """
    return {
        path: (row.label,)
        if row.label in folders
        else _split(f"{file}, line {row.line}", row.label, multi_label=multi_label)
        for path, row in rows.items()
    }


def _split(place: str, label: str, *, multi_label: bool) -> tuple[str, ...] | None:
    if not label:
        return None
    if label == NO_LABEL and multi_label:
        return ()
    parts = [part.strip() for part in label.split(SEPARATOR)]
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
        data = read_regular(file, max_bytes=_MAX_BYTES)
    except OSError as exc:
        raise DatasetError(f"The file of labels {file} cannot be read: {exc.strerror}.") from exc
    try:
        return data.decode("utf-8-sig")  # spreadsheets put a byte order mark before the header
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise DatasetError(f"{file}, line {line}: the text is not UTF-8; save the file as CSV in UTF-8.") from exc


def _read_rows(file: Path, text: str, group_column: str | None) -> Iterator[LabelRow]:
    # strict: an unclosed quotation mark is an error, not a field that swallows the rest of the file
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _Columns.find(file, [from_cell(name.strip()) for name in next(reader, [])], group_column)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _parse_row(f"{file}, line {reader.line_num}", reader.line_num, cells, columns)
    except csv.Error as exc:
        raise DatasetError(f"{file}, line {reader.line_num}: the line is not CSV: {exc}.") from exc


@dataclass(frozen=True, slots=True)
class _Columns:
    """The positions of the columns that are read."""

    path: int
    label: int
    group: int | None

    @classmethod
    def find(cls, file: Path, header: Sequence[str], group: str | None) -> Self:
        names = [name.lower() for name in header]
        missing = [name for name in ("path", "label") if name not in names]
        if missing:
            raise DatasetError(
                f"{file}, line 1: there is no column {missing[0]!r}; the header must name the columns path and label, "
                "separated by a comma."
            )
        if group is not None and names.count(group) != 1:
            found = "two columns are named" if group in names else "there is no column"
            listed = ", ".join(map(repr, header))
            raise DatasetError(f"{file}, line 1: {found} {group!r}, which --groups names; the columns are {listed}.")
        return cls(names.index("path"), names.index("label"), None if group is None else names.index(group))


def _parse_row(place: str, line: int, cells: list[str], columns: _Columns) -> LabelRow:
    if len(cells) <= max(columns.path, columns.label):
        raise DatasetError(f"{place}: the line has no label; to leave a photo out, end its line with a comma.")
    if columns.group is not None and len(cells) <= columns.group:
        raise DatasetError(
            f'{place}: the line ends before the column of --groups; a photo without a group has "" there.'
        )
    path, label = PurePath(from_cell(cells[columns.path])), from_cell(cells[columns.label].strip())
    if not path.parts or "\0" in str(path):
        raise DatasetError(f"{place}: the line has no path.")
    if path.is_absolute() or ".." in path.parts:
        raise DatasetError(f"{place}: {str(path)!r} leads out of the folder of photos; paths are relative to it.")
    if not label.isprintable() or not is_safe(label):
        raise DatasetError(f"{place}: the label {label!r} contains characters that cannot be printed.")
    group = "" if columns.group is None else from_cell(cells[columns.group].strip())
    return LabelRow(path.as_posix(), label, group, line)


def _require_photos(file: Path, root: Path, rows: list[LabelRow]) -> None:
    unknown = [row for row in rows if not os.path.isfile(root / row.path)]  # noqa: PTH113 - `is_file` raises for some names
    if len(unknown) == 1:
        raise DatasetError(f"{file}, line {unknown[0].line}: there is no file {unknown[0].path!r} in {root}.")
    if unknown:
        raise DatasetError(
            f"{file} names {len(unknown):,} files that are not in {root}, the first on line {unknown[0].line}: "
            f"{unknown[0].path!r}."
        )


def _require_within(file: Path, root: Path, rows: list[LabelRow]) -> None:
    """Refuse links that lead out of `root`, but those that are followed without a file of labels, too.

    Those are links to pictures in class folders, as programs that manage data sets make them.
    """
    real = os.path.realpath(root)
    folders: dict[str, bool] = {}  # whether each of them is in `root`, whatever links its path holds
    for row in rows:
        folder, _, _ = row.path.rpartition("/")
        if folder not in folders:
            folders[folder] = _is_within(root / folder, real)
        photo = root / row.path
        if folders[folder] and (not photo.is_symlink() or _is_within(photo, real) or (folder and is_picture(photo))):
            continue
        raise DatasetError(
            f"{file}, line {row.line}: {row.path!r} is a link, or behind one, that leads out of the folder of photos: "
            "put the photo itself there."
        )


def _is_within(path: Path, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _quoted(label: str) -> str:
    return repr(label) if label else "to be left out"
