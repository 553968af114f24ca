"""The photos that a command is given: a folder, or a source that is unpacked into one."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whisker.training.cli.options.arguments import label_file

if TYPE_CHECKING:
    from whisker.training.data.folders.label_file import LabelFile
    from whisker.training.data.sources.source import Opened
    from whisker.training.progress import Progress


def open_photos(
    photos: Path,
    labels: Path | None,
    path_column: str | None,
    label_column: str | None,
    progress: "Progress",
    *,
    work: Path | None = None,
) -> "tuple[Path, LabelFile | None]":
    """Give the folder of photos and the file of their labels; sources are unpacked into `work`, or beside no result.

    The columns are those of `--labels` or, without it, of the source. Raises the errors of `open_source` and
    `label_file`.
    """
    from whisker.training.data.sources.source import Choices, open_source  # noqa: PLC0415

    choices = Choices(path_column, label_column) if labels is None else Choices()
    opened = open_source(photos, _places(photos, work), progress, choices)
    if labels is not None:
        return opened.root, label_file(_in_archive(labels, opened), path_column, label_column)
    if opened.labels is not None:
        return opened.root, opened.labels
    return opened.root, label_file(None, path_column, label_column)


def open_unlabelled(photos: Path, progress: "Progress", *, work: Path | None = None) -> Path:
    """Give the folder of photos whose labels do not matter."""
    from whisker.training.data.sources.source import Choices, open_source  # noqa: PLC0415

    return open_source(photos, _places(photos, work), progress, Choices(labelled=False)).root


def _places(photos: Path, work: Path | None) -> Sequence[Path]:
    """List where a source may be unpacked: beside the result, and where commands without a result have put it."""
    from whisker.training.data.sources.kinds import source_name  # noqa: PLC0415

    own = Path(f"{source_name(photos)}.run")
    return [place / "sources" for place in dict.fromkeys((work or own, own))]


def _in_archive(labels: Path, opened: "Opened") -> Path:
    """Find a file of labels in the archive, unless there is one outside."""
    inside = opened.root / labels
    return inside if opened.is_archive and not labels.exists() and inside.is_file() else labels
