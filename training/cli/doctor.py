"""The command `whisker doctor`. Modules that are slow to import are imported when it runs."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from whisker.model.plain_text import printable
from whisker.training.cli.options.arguments import (
    AsJson,
    Device,
    Groups,
    LabelColumn,
    Labels,
    PathColumn,
)
from whisker.training.cli.options.checkpoints import Second, checkpoint_if_any
from whisker.training.cli.options.photos import open_photos, open_unlabelled


def doctor(
    first: Annotated[
        Path | None,
        typer.Argument(
            help="Checkpoint, if doubtful labels are to be listed, too.", metavar="CHECKPOINT", show_default=False
        ),
    ] = None,
    second: Second = None,
    *,
    labels: Labels = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    groups: Groups = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder or archive that must not share photos with DIR, such as another test set; may be repeated.",
            metavar="DIR",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="The same as CHECKPOINT. It may miss wrong labels that it was trained on; one that "
            "was trained on other photos of these classes finds more.",
            metavar="FILE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to write doubtful labels to: correct its column label, then pass it as --labels.",
            metavar="FILE",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of doubtful labels to list.")] = 200,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Find faults of a folder of labelled photos; no file is changed."""
    from dataclasses import asdict  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    from whisker.model import Classifier  # noqa: PLC0415
    from whisker.model.engines.device import use_available_cores  # noqa: PLC0415
    from whisker.training.audit.doctor import diagnose, print_diagnosis  # noqa: PLC0415
    from whisker.training.audit.label_review import (  # noqa: PLC0415
        find_doubtful_photos,
        print_doubtful,
        require_new_file,
        write_doubtful,
    )
    from whisker.training.config import Grouping  # noqa: PLC0415
    from whisker.training.data.folders.folder import find_photos  # noqa: PLC0415
    from whisker.training.data.folders.labels import read_labels  # noqa: PLC0415
    from whisker.training.progress import Progress  # noqa: PLC0415

    source, photos = checkpoint_if_any(first, second, checkpoint)
    if out is not None:
        if source is None:
            raise typer.BadParameter("it needs --checkpoint, which finds doubtful labels.", param_hint="--out")
        require_new_file(out)
    use_available_cores()
    progress, console = Progress(Console(stderr=True, soft_wrap=True)), Console()
    grouping = None if groups is None else Grouping.parse(groups)
    root, file = open_photos(photos, labels, path_column, label_column, progress)
    others = [open_unlabelled(other, progress) for other in against or []]
    folder = find_photos(root, min_classes=1, labels_file=file, grouping=grouping, skip_small=True)
    folder.say(progress)
    classifier = Classifier.load(source, device) if source else None
    diagnosis = diagnose(folder, others, progress)
    doubtful = find_doubtful_photos(classifier, folder, limit, progress) if classifier else None
    if out is not None and doubtful is not None:
        column = grouping.column if grouping else None
        earlier = read_labels(file, root, column) if file else {}
        write_doubtful(out, doubtful.photos, earlier, column)
    if as_json:
        typer.echo(json.dumps(diagnosis.to_json() | {"doubtful": asdict(doubtful) if doubtful else None}))
        return
    print_diagnosis(diagnosis, console)
    if doubtful is not None:
        print_doubtful(doubtful, console)
    if out is not None:
        words = shlex.join(
            ["whisker", "train", str(photos), "--labels", str(out), *(("--groups", groups) if groups else ())]
        )
        typer.echo(printable(f"Correct the column label in {out}, then: {words}"))
