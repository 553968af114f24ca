"""WebDataset shards: tar archives in which the files of a sample follow each other, as `0017.jpg` and `0017.cls`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.data.folders.columns import label_columns
from whisker.training.data.sources.archives.tar_file import open_tar
from whisker.training.data.sources.labelled.class_names import distinct_names, label_text
from whisker.training.data.sources.labelled.columns import class_names
from whisker.training.data.sources.labelled.photos import LabelledFolder, LabelledPhoto, metered
from whisker.training.data.sources.labelled.samples import MAX_LABEL, NAMES, Sample, read_samples
from whisker.training.data.sources.labelled.shards import Shard
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_MAX_DIGITS = 9  # of the number of a class that may have a name


@dataclass(frozen=True, slots=True)
class WebDataset:
    """Shards to unpack, and what users say of them: the ending of the photos, and the ending or field of the labels."""

    source: Path
    shards: Sequence[Shard]
    photo: str | None
    label: str | None
    labelled: bool

    def unpack(self, folder: LabelledFolder, progress: Progress) -> list[str]:
        """Write the photos of all shards into a folder; return sentences about the names of their classes."""
        beside: dict[str, bytes] = {}
        for name in NAMES:
            file = self.shards[0].file.parent / name
            if file.is_file() and file.stat().st_size <= MAX_LABEL:
                beside[name] = file.read_bytes()
        with progress.task("Unpacking the photos", sum(shard.size for shard in self.shards)) as task:
            for shard in self.shards:
                with open_tar(shard.file) as archive, metered(task, shard) as meter:
                    for sample in read_samples(archive.members, beside):
                        folder.too_long += sample.too_long
                        photo = self._photo(sample)
                        if photo is not None:
                            folder.add(photo, shard.side)
                            meter.add(photo)
        return self._name_classes(folder, beside)

    def _photo(self, sample: Sample) -> LabelledPhoto | None:
        ending = self._picture(sample)
        if ending is None:
            return None
        name = f"{sample.key.rpartition('/')[2]}.{ending}"
        return LabelledPhoto(name, sample.files[ending], self._labels(sample) if self.labelled else ())

    def _picture(self, sample: Sample) -> str | None:
        if self.photo is not None:
            wanted = self.photo.lower().lstrip(".")
            return wanted if wanted in sample.files else None
        pictures = sample.pictures
        if len(pictures) > 1:
            raise DatasetError(
                f"{self.source}: {sample.key} has several photos, {' and '.join(pictures)}: choose one with "
                "--path-column."
            )
        return pictures[0] if pictures else None

    def _labels(self, sample: Sample) -> tuple[str, ...] | None:
        """Read the labels of a sample: from the file or field that users name, or else from `cls`, `json` or `txt`."""
        endings = ("cls", "json", "txt") if self.label is None else (self.label.lower().lstrip("."), "json")
        for ending in endings:
            if ending not in sample.files:
                continue
            place = f"{self.source}: {sample.key}.{ending}"
            text = _text(sample.files[ending], place).strip()
            try:
                return _split(_field(text, self.label, place) if ending == "json" else text)
            except RecursionError as exc:
                raise DatasetError(f"{place} holds too many lists or fields in each other.") from exc
        return None

    def _name_classes(self, folder: LabelledFolder, beside: dict[str, bytes]) -> list[str]:
        """Replace the numbers of classes by names, if there are any."""
        numbers = folder.numbers
        if not numbers:
            return []
        names = _class_names(beside, self.source)
        if names and not folder.has_numbers:
            other = min(folder.classes - numbers)
            return [printable(f"The names of numbered classes are not used, as {other[:80]!r} is a label, too.")]
        if not names:
            return [
                "The classes are called by their numbers, as no classes.txt with their names lies beside the shards."
            ] * folder.has_numbers
        unnamed = [number for number in numbers if len(number) > _MAX_DIGITS or int(number) >= len(names)]
        if unnamed:
            highest = max(unnamed, key=lambda number: (len(number), number))
            given = amount(len(names), "class is", "classes are")
            raise DatasetError(f"{self.source} has the class {highest[:80]}, and only {given} named.")
        distinct, sentences = distinct_names(names, str(self.source))
        folder.rename_classes(distinct)
        return sentences


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{place}: the text is not UTF-8.") from exc


def _field(text: str, name: str | None, place: str) -> object:
    """Find the label in a JSON document."""
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise DatasetError(f"{place} is not JSON: {exc}.") from exc
    if not isinstance(document, dict):
        return document
    if name is not None:
        return document.get(name)
    if "cls" in document:
        return document["cls"]
    keys = list(document)
    found = label_columns(keys)
    if len(found) != 1:
        raise DatasetError(
            f"{place} has the fields {', '.join(map(repr, keys[:20]))}: name the label's with --label-column."
        )
    return document[keys[found[0]]]


def _split(value: object) -> tuple[str, ...] | None:
    """Take a value for a label, or a list for several."""
    if isinstance(value, list):
        labels = [label_text(item) for item in value]
        return None if "" in labels else tuple(sorted({*labels}))
    label = label_text(value)
    return (label,) if label else None


def _class_names(beside: dict[str, bytes], source: Path) -> Sequence[str]:
    """Read the names of classes: one a line, or as `datasets` describes its label."""
    if "classes.txt" in beside:
        return _text(beside["classes.txt"], f"{source}: classes.txt").rstrip().splitlines()
    try:
        features = json.loads(beside.get("dataset_info.json", b"{}")).get("features", {}).values()
    except (ValueError, AttributeError, RecursionError):
        return []
    found = [names for feature in features if (names := class_names(feature))]
    return found[0] if len(found) == 1 else []
