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
Outliers = Annotated[
    Path | None,
    typer.Option(help="Folder of photos of anything else, at any depth; they improve the verdict unknown."),
]
Precision = Annotated[
    float,
    typer.Option(min=0.5, max=0.9999, help="Target precision: share of confident answers that are right."),
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
