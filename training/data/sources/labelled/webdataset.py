"""WebDataset shards: tar archives in which the files of a sample follow each other, as `0017.jpg` and `0017.cls`."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whisker.model.photo_files import MAX_FILE_BYTES
from whisker.training.data.folders.columns import label_columns
from whisker.training.data.folders.names import has_picture_ending, is_skipped
from whisker.training.data.sources.archives.members import Member
from whisker.training.data.sources.archives.tar_file import open_tar
from whisker.training.data.sources.labelled.columns import class_names
from whisker.training.data.sources.labelled.photos import LabelledFolder, LabelledPhoto, metered
from whisker.training.data.sources.labelled.shards import Shard
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_MAX_LABEL = 1 << 20  # bytes of a file that is no photo
_MAX_SAMPLE = 100_000_000  # bytes: more than that is no sample, but a folder of photos with dots in their names
_SAMPLES = 50  # looked at to tell shards from archives of folders
UNKNOWN = "-1"  # the number of no class
_NAMES = ("classes.txt", "dataset_info.json")


@dataclass(slots=True)
class Sample:
    """The files of a sample by their endings."""

    key: str
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Count the bytes of its files."""
        return sum(map(len, self.files.values()))

    @property
    def pictures(self) -> list[str]:
        """List the endings of its photos."""
        return [ending for ending in self.files if has_picture_ending(f".{ending}")]


def are_shards(file: Path) -> bool:
    """Tell shards from archives of class folders: by labels beside the photos, which are in one folder."""
    with open_tar(file) as archive:
        samples = [sample for sample, _ in zip(_samples(archive.members, {}), range(_SAMPLES), strict=False)]
    photos = [sample for sample in samples if sample.pictures]
    if any("cls" in sample.files for sample in photos):
        return True
    labelled = [sample for sample in photos if {"json", "txt"} & {*sample.files}]
    return (
        bool(photos) and len(labelled) == len(photos) and len({sample.key.rpartition("/")[0] for sample in photos}) == 1
    )


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
        for name in _NAMES:
            file = self.shards[0].file.parent / name
            if file.is_file() and file.stat().st_size <= _MAX_LABEL:
                beside[name] = file.read_bytes()
        with progress.task("Unpacking the photos", sum(shard.size for shard in self.shards)) as task:
            for shard in self.shards:
                with open_tar(shard.file) as archive, metered(task, shard) as meter:
                    for sample in _samples(archive.members, beside):
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
            text = _text(sample.files[ending], f"{self.source}: {sample.key}.{ending}")
            value = _field(text, self.label, f"{self.source}: {sample.key}.json") if ending == "json" else text
            return _split(value)
        return None

    def _name_classes(self, folder: LabelledFolder, beside: dict[str, bytes]) -> list[str]:
        """Replace the numbers of classes by names, if there are any."""
        if not folder.has_numbers:
            return []
        names = _class_names(beside)
        if not names:
            return [
                "The classes are called by their numbers, as no classes.txt with their names lies beside the shards."
            ]
        highest = max(map(int, folder.classes))
        if highest >= len(names):
            raise DatasetError(f"{self.source} has the class {highest}, of which {len(names)} names are given.")
        folder.rename_classes(names)
        return []


def _samples(members: Iterator[Member], beside: dict[str, bytes]) -> Iterator[Sample]:
    """Put the files of an archive together that have the same path up to the first dot; names of classes go beside."""
    sample = Sample("")
    for member in members:
        path = member.path.removeprefix("./")
        folder, _, name = path.rpartition("/")
        if member.kind != "file" or any(map(is_skipped, path.split("/"))):
            continue
        stem, _, ending = name.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if key != sample.key or sample.size > _MAX_SAMPLE:
            if sample.files:
                yield sample
            sample = Sample(key)
        limit = MAX_FILE_BYTES if has_picture_ending(name) else _MAX_LABEL
        data = _read(member, limit)
        if name in _NAMES and data is not None:
            beside.setdefault(name, data)
        elif data is not None:
            sample.files[ending.lower()] = data
    if sample.files:
        yield sample


def _read(member: Member, limit: int) -> bytes | None:
    """Read a file; `None` if it is longer than any photo or label."""
    data = bytearray()
    for chunk in member.chunks():
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)


def _text(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{place}: the label is not UTF-8.") from exc


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
        return tuple(sorted({str(item).strip() for item in value}))
    label = "" if value is None else str(value).strip()
    return None if label in {"", UNKNOWN} else (label,)


def _class_names(beside: dict[str, bytes]) -> Sequence[str]:
    """Read the names of classes: one a line, or as `datasets` describes its label."""
    if "classes.txt" in beside:
        lines = beside["classes.txt"].decode("utf-8-sig", errors="replace").splitlines()
        return [line.strip() for line in lines if line.strip()]
    try:
        features = json.loads(beside.get("dataset_info.json", b"{}")).get("features", {}).values()
    except (ValueError, AttributeError):
        return []
    found = [names for feature in features if (names := class_names(feature))]
    return found[0] if len(found) == 1 else []
