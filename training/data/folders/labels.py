"""Labels from a CSV file, for photos outside of class folders or in the wrong one.

    path,label
    cat/0017.jpg,dog
    cat/0021.jpg,

UTF-8, with a header; of other columns, only the one that `--groups` names is read. Columns may have other usual names,
or those of options, and there may be a column of 0 and 1 for each class instead of labels (`columns`). `path` is
relative to the folder of photos, or whatever else leads to a photo in it (`label_paths`). An empty label leaves the
photo out. Several labels of a photo are separated by `|`: `cat|dog`. A `|` alone says that a photo has none of the
labels. An apostrophe before what a spreadsheet would run as a formula is no part of a cell.
"""

import csv
import io
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from whisker.model.photo_files import is_hidden, is_picture
from whisker.model.plain_text import from_cell, is_safe
from whisker.model.regular_file import read_regular
from whisker.training.data.folders.columns import READ_ON, Columns, find_columns, is_marked
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.folders.label_paths import PhotoFinder
from whisker.training.data.folders.names import class_name
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


def read_labels(file: Path | LabelFile, root: Path, group_column: str | None = None) -> dict[str, LabelRow]:
    """Map each named photo to its row; hidden files are skipped. Groups are those of a column, if one is given.

    Raises `DatasetError`, with the line, for an invalid row or a photo that is not in `root`.
    """
    source, rows = LabelFile.of(file), dict[str, LabelRow]()
    for row in _read_rows(source, root, group_column):
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
    _require_photos(source.path, root, list(rows.values()))
    _require_within(source.path, root, list(rows.values()))
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
    if label == NO_LABEL:
        raise DatasetError(
            f"{place}: the photo has none of the labels: give --multi-label to train with photos like that, or leave "
            f"its label empty, or its line out; {READ_ON}."
        )
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


def _read_rows(file: LabelFile, root: Path, group_column: str | None) -> Iterator[LabelRow]:
    header, lines = _read_lines(file.path)
    finder = PhotoFinder(root, file.path)
    columns = find_columns(file, header, [cells for _, cells in lines], group_column, finder.exists)
    parser = _Parser(file.path, header, columns, finder)
    return (parser.parse(line, cells) for line, cells in lines)


def _read_lines(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header, and the lines that hold anything, each with its number."""
    # strict: an unclosed quotation mark is an error, not a field that swallows the rest of the file
    reader = csv.reader(io.StringIO(_read_text(file), newline=""), strict=True)
    try:
        header = [from_cell(name.strip()) for name in next(reader, [])]
        return header, [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as exc:
        raise DatasetError(f"{file}, line {reader.line_num}: the line is not CSV: {exc}.") from exc


@dataclass(frozen=True, slots=True)
class _Parser:
    """Makes rows of lines."""

    file: Path
    header: Sequence[str]
    columns: Columns
    finder: PhotoFinder

    def parse(self, line: int, cells: list[str]) -> LabelRow:
        place, columns = f"{self.file}, line {line}", self.columns
        if len(cells) < columns.needed:
            raise DatasetError(f"{place}: the line has no label; to leave a photo out, end its line with a comma.")
        if columns.group is not None and len(cells) <= columns.group:
            raise DatasetError(
                f'{place}: the line ends before the column of --groups; a photo without a group has "" there.'
            )
        label = self._marked(place, cells) if columns.label is None else from_cell(cells[columns.label].strip())
        if not label.isprintable() or not is_safe(label):
            raise DatasetError(f"{place}: the label {label!r} contains characters that cannot be printed.")
        group = "" if columns.group is None else from_cell(cells[columns.group].strip())
        return LabelRow(self._path(place, from_cell(cells[columns.path])), class_name(label), group, line)

    def _path(self, place: str, cell: str) -> str:
        """Find the photo that a cell names; without one, give the cell as a path, which may not lead out."""
        found = self.finder.find(cell)
        if len(found) > 1:
            raise DatasetError(
                f"{place}: {cell!r} may be {found[0]!r} or {found[1]!r}: name the folder in the file, too, or give "
                f"`whisker` the folder of these photos alone; {READ_ON}."
            )
        if found:
            return found[0]
        path = PurePath(cell)
        if not path.parts or "\0" in cell:
            raise DatasetError(f"{place}: the line has no path.")
        if path.is_absolute() or ".." in path.parts:
            raise DatasetError(f"{place}: {str(path)!r} leads out of the folder of photos; paths are relative to it.")
        return path.as_posix()

    def _marked(self, place: str, cells: Sequence[str]) -> str:
        """Name the classes whose columns hold 1."""
        names = [self.header[index] for index in self.columns.marks if is_marked(cells[index])]
        odd = next((name for name in names if SEPARATOR in name), None)
        if odd is not None:
            raise DatasetError(f"{place}: the class {odd!r} has a {SEPARATOR} in its name, which separates labels.")
        return SEPARATOR.join(names) or NO_LABEL


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
