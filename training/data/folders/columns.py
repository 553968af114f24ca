"""The columns of a file of labels: which hold the photos, which the labels, by the names that people give them."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from whisker.training.data.folders.label_file import LabelFile
from whisker.training.errors import DatasetError

# Names as they are in public data sets, without case, blanks and signs; earlier groups are preferred to later ones.
_PATHS = (
    ("path",),
    ("filepath", "filename", "file", "files", "imagepath", "imgpath", "imagefile", "imagefilename", "photopath"),
    ("image", "images", "img", "imagename", "imgname", "photo", "picture", "pic", "imageid", "imgid", "photoid"),
    ("id", "name"),
)
_LABELS = (
    ("label",),
    ("labels", "class", "classes", "category", "categories", "target", "breed", "species", "tag", "tags"),
    ("classname", "labelname", "categoryname", "type", "kind", "diagnosis", "dx", "emotion", "expression"),
)
_MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
MAX_NAMED = 20  # columns in a sentence
READ_ON = "see docs/how-to/label-file.md"


@dataclass(frozen=True, slots=True)
class Columns:
    """The positions of the columns that are read; `marks`, of 0 and 1, are of a class each, instead of labels."""

    path: int
    label: int | None
    group: int | None
    marks: tuple[int, ...] = ()

    @property
    def needed(self) -> int:
        """Count the cells that a line needs to have."""
        return 1 + max(self.path, self.label or 0, *self.marks)


def find_columns(
    file: LabelFile,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    group: str | None,
    leads_to_photo: Callable[[str], bool],
) -> Columns:
    """Find the columns by the options, by their names, or by what they hold; raise `DatasetError` that names them."""
    finder = _Finder(file, header, rows, leads_to_photo)
    at_group = None if group is None else finder.named(group, "--groups")
    taken = {at_group} if at_group is not None else set()
    path = None if file.path_column is None else finder.named(file.path_column, "--path-column")
    label = None if file.label_column is None else finder.named(file.label_column, "--label-column")
    if path is None:
        path = finder.path({*taken, label})
    if label is not None:
        return Columns(path, label, at_group)
    label = finder.label({*taken, path})
    marks = finder.marks({*taken, path}) if label is None else ()
    if label is None and not marks:
        others = [index for index in finder.with_names if index not in {*taken, path}]
        if len(others) != 1:
            finder.refuse_label()
        label = others[0]
    return Columns(path, label, at_group, marks)


@dataclass(frozen=True, slots=True)
class _Finder:
    """The search for columns in a header and the lines below it."""

    file: LabelFile
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    leads_to_photo: Callable[[str], bool]

    @property
    def with_names(self) -> list[int]:
        """List the columns but those that programs add to number the lines."""
        return [index for index, name in enumerate(self.header) if name and not name.lower().startswith("unnamed:")]

    def named(self, name: str, option: str) -> int:
        """Find the column that an option names."""
        wanted = name.strip().lower()
        names = [column.lower() for column in self.header]
        if names.count(wanted) != 1:
            found = "two columns are named" if wanted in names else "there is no column"
            self._refuse(f"{found} {wanted!r}, which {option} names")
        return names.index(wanted)

    def path(self, taken: Collection[int | None]) -> int:
        """Find the column of photos: by its name and, of several, by whether it holds photos."""
        candidates = self._candidates(_PATHS, taken)
        if len(candidates) > 1:
            holding = [index for index in candidates if self._holds_photos(index)]
            candidates = holding or candidates
        if len(candidates) > 1:
            self._refuse_several(candidates, "the photos", "--path-column")
        if candidates:
            return candidates[0]
        holding = [index for index in range(len(self.header)) if index not in taken and self._holds_photos(index)]
        if len(holding) != 1:
            self._refuse(
                "there is no column 'path'; the header must name the columns path and label, separated by a comma, or "
                "be told by --path-column and --label-column"
            )
        return holding[0]

    def label(self, taken: Collection[int | None]) -> int | None:
        """Find the column of labels by its name."""
        candidates = self._candidates(_LABELS, taken)
        if len(candidates) > 1:
            self._refuse_several(candidates, "the labels", "--label-column")
        return candidates[0] if candidates else None

    def marks(self, taken: Collection[int | None]) -> tuple[int, ...]:
        """Find the columns of a class each: those that hold 0 or 1 in every line."""
        marked = [
            index
            for index in self.with_names
            if index not in taken and self.rows and all(_is_mark(row, index) for row in self.rows)
        ]
        return tuple(marked) if len(marked) > 1 else ()

    def refuse_label(self) -> NoReturn:
        """Say that no column holds labels."""
        self._refuse(
            "there is no column 'label', and no columns of 0 and 1 for a class each; the header must name the columns "
            "path and label, or give the column with --label-column"
        )

    def _candidates(self, names: Sequence[Sequence[str]], taken: Collection[int | None]) -> list[int]:
        return _usual(self.header, names, taken)

    def _holds_photos(self, index: int) -> bool:
        cells = [row[index] for row in self.rows if len(row) > index and row[index].strip()]
        return bool(cells) and self.leads_to_photo(cells[0]) and self.leads_to_photo(cells[-1])

    def _refuse_several(self, candidates: Sequence[int], what: str, option: str) -> NoReturn:
        named = " and ".join(repr(self.header[index]) for index in candidates)
        self._refuse(f"the columns {named} may all hold {what}: choose one with {option}")

    def _refuse(self, problem: str) -> NoReturn:
        columns = f"; the columns are {list_columns(self.header)}" if any(self.header) else ""
        raise DatasetError(f"{self.file}, line 1: {problem}{columns}; {READ_ON}.")


def is_marked(cell: str) -> bool:
    """Tell whether a cell of 0 or 1 is 1."""
    return _MARKS[cell.strip().lower()]


def label_columns(header: Sequence[str]) -> list[int]:
    """List the columns with the most usual name for labels."""
    return _usual(header, _LABELS, ())


def list_columns(names: Sequence[str]) -> str:
    """List the names of columns for a sentence, the first of many alone."""
    return ", ".join(map(repr, names[:MAX_NAMED])) + (", ..." if len(names) > MAX_NAMED else "")


def _usual(header: Sequence[str], names: Sequence[Sequence[str]], taken: Collection[int | None]) -> list[int]:
    """List the columns with the most usual name for a purpose."""
    plain = [re.sub(r"[\W_]+", "", column.lower()) for column in header]
    for equals in names:
        found = [index for index, name in enumerate(plain) if name in equals and index not in taken]
        if found:
            return found
    return []


def _is_mark(row: Sequence[str], index: int) -> bool:
    return len(row) > index and row[index].strip().lower() in _MARKS
