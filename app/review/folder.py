"""The photos of the review folder: where each lies, by its labels.

    waiting/ID.jpg          nobody has labelled it
    labelled/CLASS/ID.jpg   as `whisker train FOLDER/labelled` takes it; with several labels, a copy for each
    outliers/ID.jpg         it shows none of the classes: for `--outliers FOLDER/outliers`

ID is the SHA-256 of the photo. Every file is written whole or not at all.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from whisker.app.review.entry import Labels
from whisker.model.atomic_write import atomic_write

WAITING, LABELLED, OUTLIERS = "waiting", "labelled", "outliers"
_PHOTO = re.compile(r"[0-9a-f]{64}\.jpg")
_UNFINISHED = re.compile(r"\.[0-9a-f]{64}\.jpg\.[0-9a-f]+\.unfinished")


class ReviewFolder:
    """Put photos where their labels say. Callers see to it that no two processes do so at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, photo: str, labels: Labels) -> bytes:
        """Read a photo with these labels; raise `OSError`."""
        return self.paths(photo, labels)[0].read_bytes()

    def write(self, paths: Iterable[Path], content: bytes) -> None:
        """Write a photo to places, but those where it lies already."""
        for path in paths:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as temporary:
                    temporary.write_bytes(content)

    def remove(self, paths: Iterable[Path]) -> None:
        """Delete files; class folders that are left empty go, too, since training refuses those."""
        for path in paths:
            path.unlink(missing_ok=True)
            if path.parent.parent.name == LABELLED:
                with contextlib.suppress(OSError):  # there are others in it
                    path.parent.rmdir()

    def paths(self, photo: str, labels: Labels) -> list[Path]:
        """List where a photo with these labels lies."""
        if labels is None:
            return [self.root / WAITING / f"{photo}.jpg"]
        folders = [Path(LABELLED) / label for label in labels] or [Path(OUTLIERS)]
        return [self.root / folder / f"{photo}.jpg" for folder in folders]

    def found(self) -> dict[str, set[Path]]:
        """Map each photo to the places where it lies."""
        found: dict[str, set[Path]] = {}
        for path in self._files():
            if _PHOTO.fullmatch(path.name):
                found.setdefault(path.stem, set()).add(path)
        return found

    def labels_at(self, paths: set[Path]) -> list[str] | None:
        """Tell the labels that places stand for."""
        tops = {path.relative_to(self.root).parts[0] for path in paths}
        if LABELLED in tops:
            return sorted(path.parent.name for path in paths if path.parent.parent.name == LABELLED)
        return [] if OUTLIERS in tops else None

    def unfinished(self) -> list[Path]:
        """List what was left half written."""
        return [path for path in self._files() if _UNFINISHED.fullmatch(path.name)]

    def _files(self) -> Iterator[Path]:
        for pattern in (f"{WAITING}/*", f"{OUTLIERS}/*", f"{LABELLED}/*/*"):
            yield from self.root.glob(pattern)
