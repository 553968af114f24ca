"""Arguments and options shared by several training commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from whisker.training.data.folders.label_file import LabelFile

PHOTOS = (
    "Folder with one subfolder of photos per class, a zip or tar archive of one, Parquet files, a Hugging Face data "
    "set on disk, or WebDataset shards"
)
Photos = Annotated[Path, typer.Argument(help=f"{PHOTOS}.", metavar="DIR")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns path (relative to DIR) and label, or other usual names, or a column of 0 and 1 "
        "for each class. If one of its labels is the name of a folder "
        "in DIR, it corrects the class folders, and photos that it does not name keep their class; otherwise only "
        "photos that it names are used. An empty label leaves a photo out.",
        metavar="FILE",
    ),
]
PathColumn = Annotated[
    str | None,
    typer.Option(help="Column of --labels, or of DIR, that holds the photos (default: by its name).", metavar="COLUMN"),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(help="Column of --labels, or of DIR, that holds the labels (default: by its name).", metavar="COLUMN"),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Photos of one group, such as a patient or a camera, stay in one split. COLUMN (or column:COLUMN) is a "
        "column of --labels; folder:N is the N-th folder below the class folder (default: 1), as in "
        "DIR/<class>/<group>/*.jpg.",
        metavar="COLUMN|folder|folder:N",
    ),
]
MultiLabel = Annotated[
    bool,
    typer.Option(
        "--multi-label",
        help="A photo has any number of labels: cat|dog in the file of --labels, or the same photo, as a link or a "
        "copy, in several class folders. A | alone in the file is a photo with none of the labels.",
    ),
]
Outliers = Annotated[
    Path | None,
    typer.Option(
        help="Folder or archive of photos of anything else, at any depth, to measure the verdict unknown and to "
        "improve it.",
        metavar="DIR",
    ),
]
Precision = Annotated[
    float | None,
    typer.Option(
        min=0.5,
        max=0.9999,
        metavar="SHARE",
        help="Target precision: share of confident answers that are right (default: 0.99, or the highest of 0.98, 0.97 "
        "and 0.95 that the photos can show).",
    ),
]
FalseAlarms = Annotated[
    float,
    typer.Option(
        min=0.0001,
        max=0.5,
        metavar="SHARE",
        help="Target false-alarm rate: share of photos of known classes that may be called unknown.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.", metavar="DEVICE")]
Engine = Annotated[
    str, typer.Option(help="Inference engine, as in WHISKER_ENGINE; torch is float32.", metavar="ENGINE")
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the checkpoint, on its page and in its report (default: that of the file).", metavar="NAME"
    ),
]
_LONGEST_NAME = 100  # characters
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


def label_file(labels: Path | None, path_column: str | None, label_column: str | None) -> "LabelFile | None":
    """Join the options about a file of labels; raise `ConfigError` for those without a file."""
    from whisker.model.errors import ConfigError  # noqa: PLC0415
    from whisker.training.data.folders.label_file import LabelFile  # noqa: PLC0415

    if labels is not None:
        return LabelFile(labels, path_column, label_column)
    if path_column is not None or label_column is not None:
        raise ConfigError(
            "--path-column and --label-column name columns of a file of labels: give it with --labels; see "
            "docs/how-to/label-file.md."
        )
    return None


def checked_name(name: str | None) -> str:
    """Check a checkpoint's name, and give it; "" is that of the file. Raises `ConfigError`."""
    from whisker.model.errors import ConfigError  # noqa: PLC0415
    from whisker.model.plain_text import is_safe  # noqa: PLC0415

    if name is None:
        return ""
    if not name.strip() or len(name) > _LONGEST_NAME or not is_safe(name):
        raise ConfigError(f"--name is 1 to {_LONGEST_NAME} characters in one line, not {name!r}.")
    return name.strip()
