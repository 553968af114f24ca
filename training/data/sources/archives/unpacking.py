"""Unpacking an archive of photos into a folder, and what was found in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.data.folders.class_folder import list_names
from whisker.training.data.folders.names import has_picture_ending, is_named_as_picture, is_skipped
from whisker.training.data.folders.walk import walk
from whisker.training.data.sources.archives.members import Archive, Member
from whisker.training.data.sources.destination import Destination
from whisker.training.data.sources.kinds import recognise
from whisker.training.errors import DatasetError
from whisker.training.progress import Progress

_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".txz", ".xz", ".zip", ".zst")
Opener = Callable[[Path], AbstractContextManager[Archive]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Paths of what was not unpacked, by the reason."""

    archives: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def describe(self) -> Iterator[str]:
        """Say in a sentence each what was left out."""
        for paths, one, many in (
            (self.archives, "an archive inside, which is not opened", "archives inside, which are not opened"),
            (self.links, "a link that leads to no file inside", "links that lead to no file inside"),
            (self.special, "a file of a special kind", "files of a special kind"),
        ):
            if paths:
                count = one if len(paths) == 1 else f"{len(paths):,} {many}"
                yield printable(f"Not unpacked: {count} ({paths[0]}{', first' if len(paths) > 1 else ''}).")


def unpack_archive(source: Path, opener: Opener, destination: Destination, progress: Progress) -> list[str]:
    """Unpack the files of an archive as they are; return sentences about what was left out or renamed.

    Raises `DatasetError` for an archive that is damaged, hostile or holds no photo.
    """
    left_out, links, photos, size = LeftOut(), list[tuple[str, str]](), 0, source.stat().st_size
    with opener(source) as archive, progress.task(f"Unpacking {source.name}", size) as task:
        destination.require_bytes(archive.announced)
        for member in archive.members:
            if member.kind == "link":
                destination.count_link()
                links.append((member.path, member.target))
            elif _is_wanted(member, left_out):
                destination.write(member.path, member.chunks())
                photos += is_named_as_picture(member.path)
                task.advance(max(0, min(archive.position(), size - 1) - task.done), 1)
        task.advance(size - task.done, 0)
        for path, target in links:
            if not _is_skipped(path) and not destination.link(path, target):
                left_out.links.append(path)
    if not photos:
        tables = " but tables or shards: unpack it yourself and give the folder" if _has_tables(destination) else ""
        raise DatasetError(" ".join([f"{source} holds no photos{tables}.", *left_out.describe()]))
    return [*left_out.describe(), *_describe_renamed(destination.renamed)]


def unwrapped(root: Path) -> Path:
    """Find the folder of class folders, or of photos, in folders that hold nothing but it."""
    while True:
        folders, files, _ = list_names(root)
        inner = [folder for folder in folders if walk(root / folder).has_pictures]
        if len(inner) != 1 or any(has_picture_ending(name) or is_csv(name) for name in files):
            return root
        below, files, _ = list_names(root / inner[0])
        if not any(map(is_csv, files)) and (not below or any(map(has_picture_ending, files))):
            return root  # a class, or the only folder of photos
        root /= inner[0]


def is_csv(name: str) -> bool:
    """Tell from a file's name whether it may be a file of labels."""
    return name.lower().endswith(".csv")


def _is_wanted(member: Member, left_out: LeftOut) -> bool:
    """Tell whether a file is to be unpacked; those that nobody looks at in a folder are not."""
    if _is_skipped(member.path):
        return False
    if member.kind == "other":
        left_out.special.append(member.path)
        return False
    if member.path.lower().endswith(_ARCHIVES):
        left_out.archives.append(member.path)
        return False
    return True


def _has_tables(destination: Destination) -> bool:
    return recognise(destination.root).kind != "folder"


def _is_skipped(path: str) -> bool:
    """Tell whether a file is hidden or left behind by a program; a path that leads out is not passed over."""
    return any(is_skipped(part) for part in path.split("/") if part not in {".", ".."})


def _describe_renamed(renamed: list[str]) -> list[str]:
    if not renamed:
        return []
    count = amount(len(renamed), "file was", "files were")
    return [printable(f"{count} given another name, because its own name is taken or too long, {renamed[0]} first.")]
