"""`whisker models list | add | serve | rollback`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from whisker.app.repository import steps
from whisker.app.repository.commands.adding import add_version, choose_version, create_model
from whisker.app.repository.commands.arguments import Model, say, take_step
from whisker.app.repository.commands.listing import COLUMNS, Row, list_document, list_rows
from whisker.app.repository.commands.wording import describe, describe_change
from whisker.app.repository.folder import find_models, find_versions
from whisker.app.repository.rollout import Canary, served_version
from whisker.app.repository.rollout_file import change_rollout, read_rollout
from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable, printable_json


def list_models(
    models: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of models.", show_default=False)],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """List models and versions: what is served, what is tried, and what was stopped and why."""
    found = find_models(models)
    if as_json:
        document = json.dumps(list_document(models, found), ensure_ascii=False, indent=2)
        typer.echo(printable_json(document))
        return
    rows = [*list_rows(models, found)]
    if sys.stdout.isatty():
        _print_table(rows)
    elif rows:
        typer.echo("\n".join("\t".join(map(printable, row)) for row in rows))
    for it in found.refused:
        typer.echo(printable(f"Passed over {it.path}: it {it.reason}."), err=True)


def add(
    model: Model,
    file: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint file to copy into it.", show_default=False)
    ],
    *,
    version: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="Name of the version (default: v1, or the newest one counted on)."),
    ] = None,
    canary: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, metavar="SHARE", help="Pin what is served, and try this version on a share of requests, 0..1."
        ),
    ] = None,
) -> None:
    """Check a checkpoint file, and copy it into a model's folder, whole or not at all.

    Without --canary it is served if it is the newest version, and none is pinned.
    """
    from whisker.model import load_checkpoint  # noqa: PLC0415 - PyTorch takes seconds to import

    checkpoint = load_checkpoint(file)
    there = find_versions(model) if model.is_dir() else ()
    name = choose_version(there, version)
    create_model(model)
    before = read_rollout(model)
    if canary is not None:
        change_rollout(model, lambda it: steps.pin_served(there, it))
    add_version(model, file, name)
    versions = find_versions(model)
    trial = None if canary is None else Canary(name, canary)
    after = change_rollout(model, lambda it: steps.welcome(versions, it, name, trial))
    typer.echo(f"Added {name}: SHA-256 {checkpoint.sha256}, {len(checkpoint.classes):,} classes.")
    served = served_version(versions, after).file
    idle = canary is None and (served is None or served.name != name)
    hint = f"{name} is not asked: `serve` pins it, `canary` tries it." if idle else ""
    say(model, describe((versions, after)), describe_change((there, before), (versions, after)), hint)


def serve(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Version to pin.", show_default=False)
    ] = None,
    *,
    newest: Annotated[
        bool, typer.Option("--newest", help="Pin none: serve the newest version, as it changes.")
    ] = False,
) -> None:
    """Pin the version that is served, or let the newest be served again."""
    if (version is None) != newest:
        raise ConfigError("Give either a version, which is pinned, or --newest.")
    if version is None:
        take_step(model, lambda _, rollout: steps.unpin(rollout))
    else:
        take_step(model, lambda versions, rollout: steps.pin(versions, rollout, version))


def rollback(model: Model) -> None:
    """Pin the version before the one that is served, and end the canary.

    Versions are ordered by their names, with digits by their value; those that were stopped as canaries are passed
    over.
    """
    take_step(model, steps.roll_back)


def _print_table(rows: Sequence[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in COLUMNS))
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(table)
