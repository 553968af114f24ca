"""The samples of a WebDataset shard: files that follow each other, with one name up to the first dot."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from whisker.model.photo_files import MAX_FILE_BYTES
from whisker.training.data.folders.names import has_picture_ending, is_skipped
from whisker.training.data.sources.archives.members import Member
from whisker.training.data.sources.archives.tar_file import open_tar

MAX_LABEL = 1 << 20  # bytes of a file that is no photo
_MAX_SAMPLE = 100_000_000  # bytes: more than that is no sample, but a folder of photos with dots in their names
_SAMPLES = 50  # looked at to tell shards from archives of folders
NAMES = ("classes.txt", "dataset_info.json")


@dataclass(slots=True)
class Sample:
    """The files of a sample by their endings."""

    key: str
    files: dict[str, bytes] = field(default_factory=dict)
    too_long: int = 0  # photos, which are not read

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
    folders, labelled = set[str](), True
    with open_tar(file) as archive:
        for sample in islice(read_samples(archive.members, {}), _SAMPLES):
            if not sample.pictures:
                continue
            if "cls" in sample.files:
                return True
            folders.add(sample.key.rpartition("/")[0])
            labelled &= bool({"json", "txt"} & {*sample.files})
    return labelled and len(folders) == 1


def read_samples(members: Iterator[Member], beside: dict[str, bytes]) -> Iterator[Sample]:
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
            if sample.files or sample.too_long:
                yield sample
            sample = Sample(key)
        limit = MAX_FILE_BYTES if has_picture_ending(name) else MAX_LABEL
        data = _read(member, limit)
        if name in NAMES and data is not None:
            beside.setdefault(name, data)
        elif data is not None:
            sample.files[ending.lower()] = data
        elif has_picture_ending(name):
            sample.too_long += 1
    if sample.files or sample.too_long:
        yield sample


def _read(member: Member, limit: int) -> bytes | None:
    """Read a file; `None` if it is longer than any photo or label."""
    data = bytearray()
    for chunk in member.chunks():
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)
