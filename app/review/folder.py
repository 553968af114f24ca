"""The photos of the review folder: where each lies, by its labels.

    waiting/ID.jpg          nobody has labelled it
    labelled/CLASS/ID.jpg   as `whisker train FOLDER/labelled` takes it; with several labels, a copy for each
    outliers/ID.jpg         it shows none of the classes: for `--outliers FOLDER/outliers`

ID is the SHA-256 of the photo. Every file is written whole or not at all.
"""

import contextlib
import errno
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from whisker.app.review.entry import Labels
from whisker.model.atomic_write import atomic_write

WAITING, LABELLED, OUTLIERS = "waiting", "labelled", "outliers"
_BLOCK_BYTES = 4096  # on disk, of the smallest file; a line of the catalogue takes less
_PHOTO = re.compile(r"[0-9a-f]{64}\.jpg")
_NO_TEXT = re.compile("[\ud800-\udfff]")  # bytes that are not UTF-8, which the catalogue cannot have
_UNFINISHED = re.compile(r"\.[0-9a-f]{64}\.jpg\.[0-9a-f]+\.unfinished")


class ReviewFolder:
    """Put photos where their labels say. Callers see to it that no two processes do so at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, photo: str, labels: Labels) -> bytes:
        """Read a photo with these labels; raise `OSError`."""
        return self.paths(photo, labels)[0].read_bytes()

    def write(self, paths: Iterable[Path], content: bytes, written: list[Path]) -> None:
        """Write a photo to places, but those where it lies already; `written` gets each place before it is written."""
        for path in paths:
            if not path.exists():
                written.append(path)
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as temporary:
                    temporary.write_bytes(content)

    def remove(self, paths: Iterable[Path]) -> None:
        """Delete files; class folders that are left empty go, too, since training refuses those."""
        for path in paths:
            path.unlink(missing_ok=True)
            if path.parent.parent == self.root / LABELLED:
                with contextlib.suppress(OSError):  # there are others in it
                    path.parent.rmdir()

    def paths(self, photo: str, labels: Labels) -> list[Path]:
        """List where a photo with these labels lies."""
        if labels is None:
            return [self.root / WAITING / f"{photo}.jpg"]
        folders = [Path(LABELLED) / label for label in labels] or [Path(OUTLIERS)]
        return [self.root / folder / f"{photo}.jpg" for folder in folders]

    def places(self, photo: str) -> set[Path]:
        """Find the places where a photo lies, whatever its labels; links are not followed."""
        folders = [self.root / WAITING, self.root / OUTLIERS, *self._class_folders()]
        paths = [folder / f"{photo}.jpg" for folder in folders if not folder.is_symlink()]
        return {path for path in paths if path.is_file() and not path.is_symlink()}

    def found(self) -> tuple[dict[str, set[Path]], list[Path]]:
        """Map each photo to the places where it lies, and list what was left half written.

        Raises `OSError` if a folder cannot be read, or is a link: what lies behind that may be somebody else's.
        """
        found, unfinished = dict[str, set[Path]](), list[Path]()
        for path in self._files():
            if _PHOTO.fullmatch(path.name):
                found.setdefault(path.stem, set()).add(path)
            elif _UNFINISHED.fullmatch(path.name):
                unfinished.append(path)
        return found, unfinished

    def labels_at(self, paths: Collection[Path]) -> list[str] | None:
        """Tell the labels that places stand for."""
        labels = sorted(path.parent.name for path in paths if path.parent.parent == self.root / LABELLED)
        return labels or ([] if self.root / OUTLIERS in {path.parent for path in paths} else None)

    def _files(self) -> Iterator[Path]:
        folders = [self.root / WAITING, self.root / OUTLIERS, *self._class_folders()]
        for folder in (self.root / LABELLED, *folders):
            if folder.is_symlink():
                raise OSError(errno.ELOOP, f"`{folder.name}` is a link")
        for folder in folders:
            yield from (Path(it.path) for it in _listed(folder) if it.is_file(follow_symlinks=False))

    def _class_folders(self) -> list[Path]:
        return [Path(it.path) for it in _listed(self.root / LABELLED) if it.is_dir()]


def taken_bytes(content: bytes) -> int:
    """Return the bytes that a photo and its line in the catalogue take on disk."""
    return (-(-len(content) // _BLOCK_BYTES) + 1) * _BLOCK_BYTES


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    """List what is in a folder, nothing if there is none, without names that are no text; raise `OSError`."""
    try:
        with os.scandir(folder) as entries:
            return [it for it in entries if not _NO_TEXT.search(it.name)]
    except FileNotFoundError:
        return []
