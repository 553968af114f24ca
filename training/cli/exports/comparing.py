"""The option `--photos` of `whisker export` and `verify`: checkpoint and exported file on the user's own photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from whisker.model import Checkpoint
    from whisker.model.export.photos import PhotoComparison
    from whisker.model.export.runtimes.base import ExportedFile
    from whisker.training.progress import Progress

OwnPhotos = Annotated[
    Path | None,
    typer.Option(
        "--photos",
        help="Folder or archive of photos, at any depth, to compare checkpoint and file on, too: says the largest "
        "difference, and how many labels and verdicts differ.",
        metavar="DIR",
    ),
]


def compare_on(photos: Path, file: "ExportedFile", checkpoint: "Checkpoint", progress: "Progress") -> "PhotoComparison":
    """Compare on all photos of a folder, and say what was found.

    Raises `ExportError` if an answer differs by more than the bound.
    """
    from whisker.model import Classifier  # noqa: PLC0415
    from whisker.model.export.photos import compare_photos, require_same  # noqa: PLC0415
    from whisker.training.cli.options.photos import open_unlabelled  # noqa: PLC0415
    from whisker.training.data.folders.walk import list_files  # noqa: PLC0415

    root = open_unlabelled(photos, progress)
    paths = list_files(root)
    with progress.task("Comparing", len(paths)) as task:
        found = compare_photos(file, Classifier(checkpoint), root, paths, task.advance)
    require_same(file, found)
    progress.say(found.describe())
    return found
