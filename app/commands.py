"""`whisker serve` and `whisker predict`. What is slow to import is imported when a command runs."""

import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisker.app.batch.job import Job, predict_to_file
from whisker.app.batch.photos import find_photos
from whisker.app.batch.results import Failure, Result, join_labels, to_json
from whisker.app.checkpoint_argument import take_checkpoint
from whisker.app.errors import ResultsError
from whisker.app.settings import RENAMED, Settings, flag, forget_secrets, load_settings, variable
from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable, printable_json

if TYPE_CHECKING:
    from whisker.model.predictor import Predictor

_DRAWING_SIDE = 1_200  # pixels of the longer side of a drawing of --explain, at most


def serve(*, files: list[Path] | None, checkpoint: list[Path] | None, **flags: str | None) -> None:
    """Serve checkpoints, or a folder of models, over HTTP, with Swagger UI at /docs.

    Every option can also be given as an environment variable; the option wins.
    """
    flags |= _named_models(files or [], checkpoint or [], flags)
    settings = load_settings(listens=True, **flags)
    forget_secrets()
    from whisker.app.server.run import run  # noqa: PLC0415 - other commands need no metrics and no sockets

    run(settings, [name for name, value in flags.items() if value is not None])


def _named_models(
    files: Sequence[Path], checkpoints: Sequence[Path], flags: Mapping[str, str | None]
) -> dict[str, str]:
    """Turn what `serve` is given into settings: one folder of models, or checkpoints, the default one first."""
    given = [flag(name) for name in ("more_checkpoints", "models") if flags[name] is not None]
    if files and (checkpoints or given):
        other = f"--checkpoint {checkpoints[0]}" if checkpoints else given[0]
        raise ConfigError(f"What to serve is given twice, as {files[0]} and as {other}: give it once.")
    files = files or checkpoints
    if not files:
        return {}
    if len(files) > 1 and given:
        raise ConfigError(f"What to serve is given twice, with several checkpoints and as {given[0]}: give it once.")
    if len(files) == 1 and files[0].is_dir() and not checkpoints:
        return {"models": str(files[0])}
    comma = next((file for file in files[1:] if "," in str(file)), None)
    if comma is not None:
        raise ConfigError(f"{comma} has a comma in its name, which separates checkpoints: rename it, or give it first.")
    more = {"more_checkpoints": ",".join(map(str, files[1:]))} if files[1:] else {}
    return {"checkpoint": str(files[0]), **more}


def _serve_signature() -> inspect.Signature:
    """Mirror each setting by an option. All are strings: `load_settings` parses options and variables alike."""
    argument = typer.Argument(
        metavar="CHECKPOINT|DIR",
        help="Checkpoint files to serve, the default one first, or the folder of --models.",
        show_default=False,
    )
    parameters = [
        inspect.Parameter(
            "files", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[list[Path] | None, argument]
        )
    ]
    for name, field in Settings.model_fields.items():
        option = typer.Option(
            flag(name), metavar="VALUE", help=f"{field.description} [{variable(name)}; default: {_default(name)}]"
        )
        kind = list[Path] if name == "checkpoint" else str  # it may be given several times
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )
        )
    for old in RENAMED:
        hidden = typer.Option(flag(old), hidden=True)
        parameters.append(
            inspect.Parameter(
                old, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, hidden]
            )
        )
    return inspect.Signature(parameters)


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    return "none" if value is None else value.name if isinstance(value, Path) else str(value)


# Typer reads a command's options from its signature.
serve.__signature__ = _serve_signature()  # type: ignore[attr-defined]


def predict(
    photos: Annotated[
        list[Path],
        typer.Argument(
            metavar="PHOTO|DIR",
            help="Photo files, and folders of them. A file that ends in .safetensors is the checkpoint.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the results to this file: .csv, .jsonl or .parquet.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start again, and replace the file of --out.")] = False,
    on_ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="Classify for --out on the Ray cluster at RAY_ADDRESS, or on one of this machine's cores; photos and "
            "checkpoint must lie at the same paths for all its workers.",
        ),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let the service at this address predict; its API key, if any, is read from WHISKER_API_KEY.",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="FILE", help="Checkpoint file [WHISKER_CHECKPOINT].")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N [WHISKER_DEVICE].")
    ] = None,
    top_k: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many classes --json and .jsonl list for a photo.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
    explain: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the heat map of the one photo, as a PNG: which parts are evidence for its label.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Classify photos, and the photos in folders. A photo that cannot be used does not stop the others.

    With --out the results of any number of photos go into a file; the same command resumes a run that was stopped.

    Exit codes: 0 for success, 1 for failure, 130 after Ctrl-C.

    Without --out, a photo that is named and cannot be used is a failure; photos found in folders are not.
    """
    checkpoint, photos = take_checkpoint(photos, checkpoint)
    if not photos:
        raise ConfigError(f"Name photos, or a folder of them, to classify with {checkpoint}.")
    settings = load_settings(listens=False, checkpoint=checkpoint, device=device)
    if explain is not None and (out is not None or server is not None or len(photos) > 1 or photos[0].is_dir()):
        raise ConfigError("--explain draws the heat map of one photo: give one file, and neither --out nor --server.")
    if server is not None and (on_ray or checkpoint is not None or device is not None):
        raise ConfigError("--server uses the checkpoint of that service: leave out the checkpoint, --device and --ray.")
    if out is not None:
        if as_json:
            raise ConfigError("--json prints and --out writes: give one of them; a .jsonl file has the same objects.")
        _write(Job(photos, out, settings, top_k=top_k, overwrite=overwrite, on_ray=on_ray, server=server))
    elif overwrite or on_ray:
        raise ConfigError("--overwrite and --ray are for results in a file: name it with --out.")
    elif server is not None:
        _ask(server, photos, settings, top_k=top_k, as_json=as_json)
    else:
        _classify(photos, settings, top_k=top_k, as_json=as_json, explain=explain)


def _write(job: Job) -> None:
    try:
        done, failed = predict_to_file(job)
    except KeyboardInterrupt:
        typer.echo("Stopped: the same command, without --overwrite, resumes from here.", err=True)
        raise typer.Exit(130) from None
    unusable = f", {failed:,} could not be used: see the column `error`" if failed else ""
    typer.echo(f"{printable(str(job.out))}: {done:,} photo{'' if done == 1 else 's'}{unusable}.")


def _ask(server: str, photos: Sequence[Path], settings: Settings, *, top_k: int, as_json: bool) -> None:
    from whisker.app.batch.remote import classify_on_server, connect  # noqa: PLC0415 - an HTTP client takes a while to import

    with connect(server, settings.api_key) as client:
        batches = ([result] for result in classify_on_server(client, find_photos(photos), top_k=top_k))
        _print(photos, batches, top_k=top_k, as_json=as_json)


def _classify(photos: Sequence[Path], settings: Settings, *, top_k: int, as_json: bool, explain: Path | None) -> None:
    from whisker.app.batch.local import LocalClassifier  # noqa: PLC0415 - NumPy and decoders take a while to import
    from whisker.app.batch.threads import classify  # noqa: PLC0415 - as above

    predictor = LocalClassifier(settings).predictor()
    _print(photos, classify(predictor, find_photos(photos), settings), top_k=top_k, as_json=as_json)
    if explain is not None:
        _draw(predictor, photos[0], explain, max_pixels=settings.max_pixels)


def _print(photos: Sequence[Path], batches: Iterable[list[Result]], *, top_k: int, as_json: bool) -> None:
    named = {str(photo) for photo in photos}
    gathers = as_json or sys.stdout.isatty()
    gathered, is_named_failure = [], False
    for batch in batches:
        is_named_failure |= any(isinstance(it.outcome, Failure) and it.photo.path in named for it in batch)
        if gathers:
            gathered += batch
        else:
            typer.echo("\n".join("\t".join(map(printable, _cells(result))) for result in batch))
    if as_json:
        document = json.dumps([to_json(result, top_k) for result in gathered], ensure_ascii=False, indent=2)
        typer.echo(printable_json(document))
    elif gathers:
        _print_table(gathered)
    if is_named_failure:
        raise typer.Exit(1)


def _draw(predictor: "Predictor", photo: Path, out: Path, *, max_pixels: int) -> None:
    """Write a photo with the heat map for its best class, as a PNG."""
    from whisker.model.answers.heat_map import overlay  # noqa: PLC0415 - NumPy and Pillow
    from whisker.model.answers.kinds import BEST_CLASS  # noqa: PLC0415
    from whisker.model.photo_files import read_photo  # noqa: PLC0415

    data = read_photo(photo)
    picture = predictor.preprocessing.read(data, max_pixels=max_pixels, view_side=_DRAWING_SIDE)
    (prediction,) = predictor.predict_pixels([picture.pixels], [BEST_CLASS])
    assert picture.view is not None  # noqa: S101 - it was asked for
    assert prediction.heat_map is not None  # noqa: S101 - it was asked for
    try:
        overlay(picture.view, prediction.heat_map.heat).save(out, "PNG")
    except OSError as exc:
        raise ResultsError(f"{out} cannot be written: {exc.strerror}.") from exc
    typer.echo(printable(f"{out}: orange is evidence for {prediction.label}, blue against it."), err=True)


def _cells(result: Result) -> tuple[str, str, str, str, str]:
    name, outcome = result.photo.name, result.outcome
    if isinstance(outcome, Failure):
        return name, outcome.code, "", "", outcome.message
    verdict, reason = outcome.verdict, outcome.reason
    if outcome.labels is None:
        return name, outcome.label, f"{outcome.score:.4f}", verdict, reason
    return name, join_labels(outcome.labels), "|".join(f"{it.score:.4f}" for it in outcome.labels), verdict, reason


def _print_table(results: Sequence[Result]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in ("photo", "label", "score", "verdict", "reason")))
    for result in results:
        style = "red" if isinstance(result.outcome, Failure) else ""
        table.add_row(*(Text(printable(cell), style=style) for cell in _cells(result)))
    Console().print(table)
