"""The files that a data set is divided into, and the sides that their names tell."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whisker.training.amount import amount
from whisker.training.data.folders.names import Side, side_named
from whisker.training.errors import DatasetError

_NUMBER = re.compile(r"[-_.]?\d+(-of-\d+)?$")


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of a data set, and the side that its photos are of; "" if the data set has none."""

    file: Path
    side: str = ""

    @property
    def size(self) -> int:
        """Give the file's size in bytes."""
        return self.file.stat().st_size


@dataclass(frozen=True, slots=True)
class Shards:
    """The files of a data set that are used, and sentences about those that are not."""

    used: tuple[Shard, ...]
    unused: tuple[str, ...] = ()


def find_shards(source: Path, files: Sequence[Path]) -> Shards:
    """Give files their sides, if they are of several; beside files of a side, those of none are not used."""
    kept = [file for file in files if _is_saved(file)]
    if not kept:
        raise DatasetError(f"{source} names no files of a data set: save the data set again.")
    sides = {file: _side_of(file, source) for file in kept}
    named = {*sides.values()} - {None}
    if not named:
        return Shards(tuple(map(Shard, kept)))
    used = tuple(Shard(file, side if len(named) > 1 else "") for file, side in sides.items() if side is not None)
    others = [file.name for file, side in sides.items() if side is None]
    return Shards(used, _unused(others))


def is_hugging_face(source: Path) -> bool:
    """Tell whether a folder is what `save_to_disk` of the library `datasets` writes."""
    return any((source / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _unused(others: Sequence[str]) -> tuple[str, ...]:
    if not others:
        return ()
    return (f"Not used, as no side of a data set: {amount(len(others), 'file')}, {others[0]} first.",)


def _is_saved(file: Path) -> bool:
    """Tell whether a file belongs to the data set that `save_to_disk` wrote, and is no cache beside it."""
    state = file.parent / "state.json"
    if file.suffix.lower() != ".arrow" or not state.is_file():
        return True
    try:
        document = json.loads(state.read_text())
        return file.name in {item["filename"] for item in document["_data_files"]}
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as exc:
        raise DatasetError(f"{state} is damaged: it names no files of a data set; save the data set again.") from exc


def _side_of(file: Path, source: Path) -> Side | None:
    """Tell a side by a file's name, as `train-00000-of-00002` or `beans-test`, or by its folder's."""
    stem = _NUMBER.sub("", file.name.partition(".")[0])
    names = [stem, *reversed(re.split(r"[-_]", stem))]
    if file.parent != source and source.is_dir():
        names.append(file.parent.name)
    return next((side for name in names if (side := side_named(name)) is not None), None)
