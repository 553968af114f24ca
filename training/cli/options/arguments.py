"""Arguments and options shared by several training commands."""

from pathlib import Path
from typing import Annotated

import typer

Photos = Annotated[Path, typer.Argument(help="Folder with one sub-folder of photos per class.", metavar="DIR")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with the columns path (relative to DIR) and label. If one of its labels is the name of a folder "
        "in DIR, it corrects the class folders, and photos that it does not name keep their class; otherwise only "
        "photos that it names are used. An empty label leaves a photo out."
    ),
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
    typer.Option(help="Folder of photos of anything else, at any depth; they improve the verdict unknown."),
]
Precision = Annotated[
    float | None,
    typer.Option(
        min=0.5,
        max=0.9999,
        help="Target precision: share of confident answers that are right (default: 0.99, or the highest of 0.98, 0.97 "
        "and 0.95 that the photos can show).",
    ),
]
FalseAlarms = Annotated[
    float,
    typer.Option(
        min=0.0001,
        max=0.5,
        help="Target false-alarm rate: share of photos of known classes that may be called unknown.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
