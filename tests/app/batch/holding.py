"""Photos that are pipes, and hold up whoever reads them until somebody writes a picture: for runs that are stopped."""

from pathlib import Path

from whisker.app.batch import processes
from whisker.app.batch.photos import Photo
from whisker.app.batch.results import Lines
from whisker.model.photo_files import read_photo

_classify_batch = processes.classify_batch


def hold() -> None:
    """Let this process read pipes, too, which `read_photo` refuses, as nobody may ever write to them."""
    processes.read_photo = read  # type: ignore[attr-defined]


def read(path: str | Path) -> bytes:
    return Path(path).read_bytes() if Path(path).is_fifo() else read_photo(path)


def classify_batch(file: Path, photos: list[Photo]) -> Lines:
    """Do the same in a process of the pool."""
    hold()
    return _classify_batch(file, photos)
