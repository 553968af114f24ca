"""Faults of a folder of photos, reported before a training; no file is ever changed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whisker.model.plain_text import printable
from whisker.training.audit.examination import Examination, ExaminedPhoto, examine
from whisker.training.data.folders.folder import PhotoFolder
from whisker.training.data.folders.names import similar_names
from whisker.training.progress import Progress

_MIN_PHOTOS = 3  # different photos that a training needs in each class: one for each split
_ENOUGH_PHOTOS = 50  # different photos; more of a class with fewer are often worth it
_MAX_IMBALANCE = 10  # ratio of the largest class to the smallest
_MIN_SIDE = 64  # pixels
_MAX_CLASSES = 10  # counted on the screen; JSON contains all
_MAX_EXAMPLES = 3  # of a finding, in the table; JSON contains all
_FORMAT_OF = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".gif": "GIF",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    ".avif": "AVIF",
    **dict.fromkeys((".jxl", ".jp2"), "another format"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One instance of a finding: the paths of the photos or the name of the class, and details."""

    names: tuple[str, ...]
    detail: str = ""

    def __str__(self) -> str:
        more = f" and {len(self.names) - 2:,} more" if len(self.names) > 2 else ""
        return " = ".join(self.names[:2]) + more + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault with its cases; `kind` is its stable name in JSON."""

    kind: str
    title: str
    advice: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The number of readable photos in each class, and the findings, the most serious first."""

    files: int
    counts: dict[str, int]
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, with all cases."""
        return asdict(self)

    def summary(self) -> str:
        """Sum up the findings in one line."""
        if not self.findings:
            return f"Nothing wrong was found in {self.files:,} files."
        faults = [finding for finding in self.findings if finding.kind != "few"]
        if not faults:
            return f"No fault was found in {self.files:,} files, but photos are few."
        kinds = "1 kind of fault" if len(faults) == 1 else f"{len(faults)} kinds of faults"
        return f"Found {kinds} in {self.files:,} files, the most serious first; no file was changed."


def diagnose(folder: PhotoFolder, against: Sequence[Path], progress: Progress) -> Diagnosis:
    """Find the faults of the photos in `folder`, including photos that are also in the folders `against`.

    Raises `DatasetError` if a folder in `against` cannot be compared with `folder`.
    """
    examination = examine(folder, against, progress)
    counts = Counter(photo.label for photo in examination.own)
    findings = [Finding(kind, title, advice, tuple(cases(examination))) for kind, title, advice, cases in _CHECKS]
    findings += [Finding(kind, title, advice, tuple(cases(folder))) for kind, title, advice, cases in _FOLDER_CHECKS]
    return Diagnosis(
        len(folder.files),
        {name: counts[name] for name in folder.classes},
        tuple(finding for finding in findings if finding.cases),
    )


def print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Print the counts, a table of findings with examples, and the summary."""
    named = [f"{name} {count:,}" for name, count in diagnosis.counts.items()]
    more = len(named) - _MAX_CLASSES
    counts = ", ".join(named[:_MAX_CLASSES]) + (f" and {more:,} other classes" if more > 0 else "")
    console.print(Text(printable(f"Readable photos: {counts}")))
    if diagnosis.findings:
        table = Table(expand=True)
        table.add_column("Found", ratio=3)
        table.add_column("Cases", justify="right")
        table.add_column("For example", ratio=5, overflow="fold")
        table.add_column("What to do", ratio=4)
        for finding in diagnosis.findings:
            examples = "\n".join(printable(str(case)) for case in finding.cases[:_MAX_EXAMPLES])
            table.add_row(finding.title, f"{len(finding.cases):,}", Text(examples), finding.advice)
        console.print(table)
    console.print(Text(diagnosis.summary()))


def _conflicts(examination: Examination) -> Iterable[Case]:
    for group in examination.look_alikes:
        members = [photo for photo in group if photo.label]
        labels = sorted({photo.label for photo in members})
        if len(labels) > 1:
            yield _copies(_one_of_each_first(members, lambda photo: photo.label), ", ".join(labels))


def _across_groups(examination: Examination) -> Iterable[Case]:
    for look_alikes in examination.look_alikes:
        members = [photo for photo in look_alikes if photo.group]
        names = sorted({photo.group for photo in members})
        if len(names) > 1:
            yield _copies(_one_of_each_first(members, lambda photo: photo.group), ", ".join(names))


def _leaks(examination: Examination) -> Iterable[Case]:
    for group in examination.look_alikes:
        own = [photo for photo in group if photo.label]
        others = [photo for photo in group if not photo.label]
        if own and others:
            yield _copies([own[0], others[0], *own[1:], *others[1:]])


def _across_sides(examination: Examination) -> Iterable[Case]:
    for look_alikes in examination.look_alikes:
        members = [photo for photo in look_alikes if photo.side]
        sides = sorted({photo.side for photo in members})
        if len(sides) > 1:
            yield _copies(_one_of_each_first(members, lambda photo: photo.side), ", ".join(sides))


def _duplicates(examination: Examination) -> Iterable[Case]:
    for group in examination.look_alikes:
        for place in sorted({(photo.label, photo.side) for photo in group if photo.label}):
            members = [photo for photo in group if (photo.label, photo.side) == place]
            if len(members) > 1:
                yield _copies(members)


def _one_of_each_first(photos: Sequence[ExaminedPhoto], key: Callable[[ExaminedPhoto], str]) -> list[ExaminedPhoto]:
    first = {key(photo): photo for photo in reversed(photos)}
    return [*reversed(first.values()), *(photo for photo in photos if first[key(photo)] is not photo)]


def _copies(photos: Sequence[ExaminedPhoto], detail: str = "") -> Case:
    equal = len({photo.sha256 for photo in photos}) == 1
    details = [part for part in (detail, "equal files" if equal else "") if part]
    return Case(tuple(photo.path for photo in photos), "; ".join(details))


def _unreadable(examination: Examination) -> Iterable[Case]:
    return (Case((photo.path,), photo.error.rstrip(".")) for photo in examination.photos if photo.label and photo.error)


def _few(examination: Examination) -> Iterable[Case]:
    counts = _distinct(examination)
    return (Case((name,), f"{count:,}") for name, count in counts.items() if count < _ENOUGH_PHOTOS)


def _imbalance(examination: Examination) -> Iterable[Case]:
    counts = _distinct(examination)
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    if counts[largest] > _MAX_IMBALANCE * counts[smallest]:
        yield Case((smallest,), f"{counts[smallest]:,}, and {counts[largest]:,} of {largest}")


def _distinct(examination: Examination) -> dict[str, int]:
    """Count the different photos of each class, without copies."""
    counts = Counter(photo.label for photo in examination.own)
    for group in examination.look_alikes:
        for label, count in Counter(photo.label for photo in group).items():
            counts[label] -= count - 1
    return {name: counts[name] for name in examination.classes}


def _flat(examination: Examination) -> Iterable[Case]:
    return (Case((photo.path,)) for photo in examination.own if photo.flat)


def _tiny(examination: Examination) -> Iterable[Case]:
    return (
        Case((photo.path,), f"{photo.width} x {photo.height}")
        for photo in examination.own
        if min(photo.width, photo.height) < _MIN_SIDE
    )


def _misnamed(examination: Examination) -> Iterable[Case]:
    for photo in examination.own:
        if _FORMAT_OF.get(PurePath(photo.path).suffix.lower(), photo.format) != photo.format:
            yield Case((photo.path,), f"is a {photo.format}")


def _similar(folder: PhotoFolder) -> Iterable[Case]:
    return (Case(tuple(map(repr, names))) for names in similar_names(folder.classes))


def _loose(folder: PhotoFolder) -> Iterable[Case]:
    return (Case((printable(path),)) for path in folder.loose)


def _empty(folder: PhotoFolder) -> Iterable[Case]:
    return (Case((printable(path),)) for path in folder.empty)


_Check = tuple[str, str, str, Callable[[Examination], Iterable[Case]]]
_CHECKS: tuple[_Check, ...] = (  # the most serious first
    ("conflict", "Same picture in several classes", "Keep it only in the right class.", _conflicts),
    ("leak", "Picture is also in another folder", "Remove it from one of them; else a test is too optimistic.", _leaks),
    ("side", "Same picture in several sides", "Keep it in one; else a test is too optimistic.", _across_sides),
    ("group", "Same picture in several groups", "Check the groups; training joins them.", _across_groups),
    ("unreadable", "No readable picture", "Save it again or remove it; training skips it.", _unreadable),
    (
        "few",
        f"Class with fewer than {_ENOUGH_PHOTOS} different photos",
        f"No fault: {_MIN_PHOTOS} photos a class are enough to train. More often help.",
        _few,
    ),
    ("imbalance", f"Classes differ more than {_MAX_IMBALANCE}-fold", "Add photos of the rare class.", _imbalance),
    ("flat", "Picture of one colour", "Remove it; it shows nothing.", _flat),
    ("duplicate", "Same picture twice in a class", "Delete copies; training keeps them in one split.", _duplicates),
    ("tiny", f"Shorter side below {_MIN_SIDE} px", "Find a larger original.", _tiny),
    ("misnamed", "File extension and format differ", "Rename it; Whisker detects the format by the bytes.", _misnamed),
)
_FolderCheck = tuple[str, str, str, Callable[[PhotoFolder], Iterable[Case]]]
_FOLDER_CHECKS: tuple[_FolderCheck, ...] = (
    ("similar", "Class names differ by case or blanks only", "If they are one class, give them one name.", _similar),
    ("loose", "Photo beside the class folders", "Move it into the folder of its class; training skips it.", _loose),
    ("empty", "Class folder without a file", "Add photos or remove it.", _empty),
)
