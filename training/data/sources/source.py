"""From whatever holds labelled photos to a folder of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from whisker.training.amount import amount
from whisker.training.data.folders.label_file import LabelFile
from whisker.training.data.sources.archives.summary import summarise
from whisker.training.data.sources.archives.tar_file import open_tar
from whisker.training.data.sources.archives.unpacking import unpack_archive, unwrapped
from whisker.training.data.sources.archives.zip_file import open_zip
from whisker.training.data.sources.destination import Destination, require_space
from whisker.training.data.sources.kinds import Source, recognise, source_name
from whisker.training.data.sources.labelled.photos import LABELS, PHOTOS, LabelledFolder
from whisker.training.data.sources.labelled.samples import NAMES, are_shards
from whisker.training.data.sources.labelled.shards import find_shards, is_hugging_face
from whisker.training.data.sources.labelled.tables import find_table_columns, require_library, unpack_tables
from whisker.training.data.sources.labelled.webdataset import WebDataset
from whisker.training.data.sources.unpacked import Contents, Request, unpack_once
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress


@dataclass(frozen=True, slots=True)
class Choices:
    """What users say of a source: its columns of photos and labels, and whether labels are needed at all."""

    photo: str | None = None
    label: str | None = None
    labelled: bool = True

    @property
    def words(self) -> tuple[str | None, ...]:
        """List them, to tell them from others."""
        return self.photo, self.label, str(self.labelled)


@dataclass(frozen=True, slots=True)
class Opened:
    """A folder of photos, and the file of their labels if folders do not name their classes.

    `is_archive` tells that the folder is as somebody made it, so that another file of labels may lie in it.
    """

    root: Path
    labels: LabelFile | None = None
    is_archive: bool = False


def open_source(path: Path, places: Sequence[Path], progress: Progress, choices: Choices | None = None) -> Opened:
    """Unpack a source into the first of `places`, unless one of them has it already; a folder is opened as it is.

    Raises `DatasetError` for what is damaged, hostile or holds no labelled photos, and `TrainingError` if there is too
    little space.
    """
    source, choices = recognise(path), choices or Choices()
    if source.kind == "folder":
        return Opened(path)
    if source.kind == "tables":
        require_library(path)
    if source.kind == "tar" and are_shards(path):
        source = replace(source, kind="tar shards")
    request = _request(source, choices)
    unpack = partial(_Unpacking(source, choices, progress).run, request.files)
    folder, contents = unpack_once(request, places, unpack, progress)
    labels = None
    if contents.labels is not None:
        labels = LabelFile(folder / contents.labels, choices.photo, choices.label)
    if contents.labelled and labels is not None:
        labels = replace(labels, path_column="path", label_column="label", replaces=True)
    return Opened(folder / contents.photos, labels, is_archive=not contents.labelled)


def _request(source: Source, choices: Choices) -> Request:
    """Ask for a source; an archive is unpacked as it is, whatever users choose and lies beside it."""
    name = source_name(source.path)
    if source.kind in {"zip", "tar"}:
        return Request(source.path, name, source.files)
    beside = [file for name in NAMES if (file := source.files[0].parent / name).is_file()]
    return Request(source.path, name, (*source.files, *beside), choices.words)


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """The unpacking of a source."""

    source: Source
    choices: Choices
    progress: Progress

    def run(self, files: Sequence[Path], folder: Path) -> Contents:
        path, stats = self.source.path, [file.stat() for file in files]
        size = sum(stat.st_size for stat in stats)
        require_space(folder, size if self.source.kind != "zip" else 0, path)
        destination = Destination(folder / PHOTOS, path, packed=size, stamp=max(stat.st_mtime_ns for stat in stats))
        if self.source.kind == "tables":
            return self._tables(folder, destination)
        if self.source.kind == "tar shards":
            return self._webdataset(folder, destination)
        return self._archive(folder, destination)

    def _archive(self, folder: Path, destination: Destination) -> Contents:
        opener = open_zip if self.source.kind == "zip" else open_tar
        sentences = unpack_archive(self.source.path, opener, destination, self.progress)
        root = unwrapped(destination.root)
        summary = summarise(root)
        photos = root.relative_to(folder).as_posix()
        found = f"a {self.source.kind} archive of {summary.words}"
        labels = None if summary.labels is None else f"{photos}/{summary.labels}"
        return Contents(photos, found, tuple(sentences), labels)

    def _tables(self, folder: Path, destination: Destination) -> Contents:
        path, choices = self.source.path, self.choices
        shards = find_shards(path, self.source.files)
        columns, renamed = find_table_columns(
            path, shards.used, choices.photo, choices.label, labelled=choices.labelled
        )
        with LabelledFolder(folder, destination, path, columns.others) as writer:
            unpack_tables(shards.used, columns, writer, self.progress)
        sentences = [*shards.unused, *renamed]
        if columns.label is not None and not columns.label.names and writer.has_numbers:
            sentences.append("The classes are called by their numbers, as the table gives them no names.")
        what = "Arrow file" if shards.used[0].file.suffix.lower() == ".arrow" else "Parquet file"
        kind = "a Hugging Face data set" if is_hugging_face(path) else amount(len(shards.used), what)
        return self._labelled(writer, kind, sentences)

    def _webdataset(self, folder: Path, destination: Destination) -> Contents:
        path, choices = self.source.path, self.choices
        shards = find_shards(path, self.source.files)
        if not are_shards(shards.used[0].file):
            raise DatasetError(
                f"{path} holds archives that are no WebDataset shards, {shards.used[0].file.name} first: give one "
                "archive of class folders, or unpack them yourself and give the folder."
            )
        data = WebDataset(path, shards.used, choices.photo, choices.label, choices.labelled)
        with LabelledFolder(folder, destination, path) as writer:
            sentences = data.unpack(writer, self.progress)
        return self._labelled(writer, amount(len(shards.used), "WebDataset shard"), [*shards.unused, *sentences])

    def _labelled(self, writer: LabelledFolder, kind: str, sentences: Sequence[str]) -> Contents:
        sentences = (*sentences, *writer.left_out())
        found = f"{kind} of {writer.describe()}"
        return Contents(PHOTOS, found, sentences, LABELS, labelled=self.choices.labelled)
