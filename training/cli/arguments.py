"""Arguments and options that several commands of training share."""

from pathlib import Path
from typing import Annotated

import typer

Photos = Annotated[Path, typer.Argument(help="Folder that holds one sub-folder of photos a class.", metavar="DIR")]
Labels = Annotated[
    Path | None,
    typer.Option(
        help="CSV file with columns path (relative to DIR) and label. It corrects class folders if a folder in DIR has "
        "the name of one of its labels, and photos that it does not name keep their class; otherwise only the photos "
        "that it names are used. An empty label leaves a photo out."
    ),
]
Outliers = Annotated[
    Path | None,
    typer.Option(help="Folder of photos of anything else, at any depth: teaches the verdict unknown what to catch."),
]
Precision = Annotated[
    float,
    typer.Option(min=0.5, max=0.9999, help="Share of the answers called confident that shall be right."),
]
FalseAlarms = Annotated[
    float, typer.Option(min=0.0001, max=0.5, help="Share of photos of known classes that may be called unknown.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]
