"""`whisker serve` and `whisker predict`. What is slow to import is imported when a command runs."""

import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.settings import Settings, flag, load_settings, variable
from model.errors import PictureError

if TYPE_CHECKING:
    from model.classifier import Classifier, Prediction


def serve(**flags: str | None) -> None:
    """Serve a checkpoint over HTTP, with Swagger UI at /docs.

    Every option can also be given as an environment variable; the option wins.
    """
    settings = load_settings(**flags)
    from app.server import run  # noqa: PLC0415 - other commands need no metrics and no sockets

    run(settings)


def _serve_signature() -> inspect.Signature:
    """Mirror each setting by an option. All are texts: `load_settings` parses flags and variables alike."""
    parameters = []
    for name, field in Settings.model_fields.items():
        option = typer.Option(
            flag(name), metavar="VALUE", help=f"{field.description} [{variable(name)}; default: {_default(name)}]"
        )
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
            )
        )
    return inspect.Signature(parameters)


def _default(name: str) -> str:
    value = Settings.model_fields[name].default
    return "none" if value is None else value.name if isinstance(value, Path) else str(value)


# Typer reads a command's options from its signature.
serve.__signature__ = _serve_signature()  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of one photo: a prediction, or an error's stable code and its message."""

    photo: Path
    prediction: "Prediction | None" = None
    code: str = ""
    message: str = ""


def predict(
    photos: Annotated[list[Path], typer.Argument(help="Photo files.", show_default=False)],
    *,
    checkpoint: Annotated[str | None, typer.Option(help="Checkpoint file [WHISKER_CHECKPOINT].")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N [WHISKER_DEVICE].")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes --json lists for a photo.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Say what photos show. One that cannot be used does not stop the others, but makes the exit code 1."""
    settings = load_settings(checkpoint=checkpoint, device=device)
    from model.classifier import Classifier  # noqa: PLC0415 - PyTorch takes seconds to import

    classifier = Classifier.load(settings.checkpoint, device=settings.device)
    results = [_classify(classifier, photo, settings.max_pixels) for photo in photos]
    if as_json:
        typer.echo(json.dumps([_to_json(result, top_k) for result in results], ensure_ascii=False, indent=2))
    elif sys.stdout.isatty():
        _print_table(results)
    else:
        for result in results:
            typer.echo("\t".join(_cells(result)))
    if any(result.prediction is None for result in results):
        raise typer.Exit(1)


def _classify(classifier: "Classifier", photo: Path, max_pixels: int) -> _Result:
    from app.problems import kind_of  # noqa: PLC0415 - as above

    try:
        pixels = classifier.preprocessing.decode(photo.read_bytes(), max_pixels=max_pixels)
    except OSError as exc:
        return _Result(photo, code="unreadable_file", message=f"The file cannot be read: {exc.strerror}.")
    except PictureError as exc:
        return _Result(photo, code=kind_of(exc).code, message=str(exc))
    return _Result(photo, classifier.predict_pixels([pixels])[0])


def _to_json(result: _Result, top_k: int) -> dict[str, Any]:
    prediction = result.prediction
    if prediction is None:
        return {"photo": str(result.photo), "error": {"code": result.code, "message": result.message}}
    return {
        "photo": str(result.photo),
        "label": prediction.label,
        "score": prediction.score,
        "verdict": prediction.verdict,
        "unknown_score": prediction.unknown_score,
        "predictions": [{"label": scored.label, "score": scored.score} for scored in prediction.predictions[:top_k]],
    }


def _cells(result: _Result) -> tuple[str, str, str, str]:
    prediction = result.prediction
    if prediction is None:
        return str(result.photo), result.code, "", result.message
    return str(result.photo), prediction.label, f"{prediction.score:.4f}", prediction.verdict


def _print_table(results: Sequence[_Result]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in ("photo", "label", "score", "verdict")))
    for result in results:
        table.add_row(*(Text(cell, style="" if result.prediction else "red") for cell in _cells(result)))
    Console().print(table)
