"""The command line: `whisker train | calibrate | evaluate | compare | doctor | report | import | export | ...`."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from whisker import __version__
from whisker.app.commands import predict, serve
from whisker.app.repository.commands.trials import canary, promote, shadow, stop
from whisker.app.repository.commands.versions import add, list_models, rollback
from whisker.app.repository.commands.versions import serve as serve_version
from whisker.model.errors import WhiskerError
from whisker.model.plain_text import printable
from whisker.training.cli.calibrate import calibrate
from whisker.training.cli.compare import compare
from whisker.training.cli.doctor import doctor
from whisker.training.cli.evaluate import evaluate
from whisker.training.cli.exports.export import export
from whisker.training.cli.exports.verify import verify
from whisker.training.cli.import_weights import import_weights
from whisker.training.cli.report import report
from whisker.training.cli.shrink import shrink
from whisker.training.cli.sign import sign
from whisker.training.cli.train import train

Examples = dict[Callable[..., None], tuple[str, ...]]

EXAMPLES: Examples = {  # shown at the end of each --help
    train: (
        "whisker train photos",
        "whisker train photos --minutes 20 --outliers other-things",
        "whisker train photos --labels photos.csv --groups patient",
        "whisker train photos.zip",
        "whisker train photos --resume",
        "whisker train new-classes --extend photos.safetensors --out more.safetensors",
    ),
    calibrate: ("whisker calibrate photos.safetensors photos --precision 0.995 --out stricter.safetensors",),
    shrink: ("whisker shrink photos.safetensors photos --out smaller.safetensors",),
    evaluate: ("whisker evaluate photos.safetensors other-photos",),
    compare: (
        "whisker compare live.safetensors new.safetensors other-photos",
        "whisker compare live.safetensors new.safetensors other-photos --out changes.csv --fail-if-worse",
    ),
    doctor: ("whisker doctor photos", "whisker doctor photos.safetensors photos"),
    report: ("whisker report photos.safetensors --photos photos",),
    import_weights: (
        "whisker import resnet50.pth --out resnet50.safetensors",
        "whisker import classifier.onnx --labels labels.txt --size 224 --resize crop --out imported.safetensors",
    ),
    export: (
        "whisker export photos.safetensors --to onnx --out photos.onnx",
        "whisker export photos.safetensors --to openvino --out photos.xml --photos new-photos",
    ),
    verify: (
        "whisker verify photos.onnx",
        "whisker verify photos.onnx --photos new-photos --checkpoint photos.safetensors",
    ),
    sign: (
        "whisker sign photos.safetensors --key release.key",
        "whisker sign photos.safetensors --check release.pub",
    ),
    predict: (
        "whisker predict cat.jpg",
        "whisker predict cat.jpg --explain where.png",
        "whisker predict photos.safetensors new-photos --out results.csv",
        "whisker predict photos --out results.csv --server http://localhost:8000",
    ),
    serve: ("whisker serve", "whisker serve photos.safetensors --port 9000 --workers auto"),
}
MODELS_EXAMPLES: Examples = {
    list_models: ("whisker models list models", "whisker models list models --json"),
    add: (
        "whisker models add models/cats photos.safetensors",
        "whisker models add models/cats photos.safetensors --version 2026-11-26 --canary 0.05",
    ),
    serve_version: ("whisker models serve models/cats v3", "whisker models serve models/cats --newest"),
    rollback: ("whisker models rollback models/cats",),
    canary: (
        "whisker models canary models/cats v4",
        "whisker models canary models/cats v4 --share 0.2 --max-latency 1.5",
    ),
    promote: ("whisker models promote models/cats",),
    shadow: ("whisker models shadow models/cats v4 --share 0.5",),
    stop: ("whisker models stop models/cats",),
}
# Keywords and functions of Python, and the other `serve`, leave a command's function another name.
_NAMES = {import_weights: "import", list_models: "list", serve_version: "serve"}


class Command(TyperCommand):
    """A command whose help names no Python type: options say what their value is, and flags take none."""

    def get_params(self, ctx: Any) -> list[Any]:
        """List the parameters, without `<bool>` behind flags and `<path>` behind arguments."""
        return _without_types(super().get_params(ctx))


class Commands(TyperGroup):
    """The command line as a whole, whose help names no type either."""

    def get_params(self, ctx: Any) -> list[Any]:
        """List the parameters, without `<bool>` behind flags."""
        return _without_types(super().get_params(ctx))


class ModelsCommands(Commands):
    """The commands about a folder of models; a folder in place of a command lists it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take `whisker models DIR` for `whisker models list DIR`."""
        is_folder = bool(args) and args[0] not in self.commands and Path(args[0]).is_dir()
        return super().parse_args(ctx, ["list", *args] if is_folder else args)


def _without_types(parameters: Sequence[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
        elif parameter.param_type_name == "argument":
            parameter.display_type_rich = _nothing
    return [*parameters]


def _nothing(ctx: Any) -> None:
    """Say nothing of an argument's type: its name does."""


cli = typer.Typer(
    name="whisker",
    cls=Commands,
    help="Train on folders of photos, serve over HTTP, know which answers to trust.",
    epilog="Start with: whisker train FOLDER, then: whisker serve FOLDER.safetensors",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:  # noqa: FBT001 - typer's interface
    if asked:
        typer.echo(f"whisker {__version__}")
        raise typer.Exit


@cli.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Take the options that are none of a command's."""


models = typer.Typer(
    name="models",
    cls=ModelsCommands,
    help="Keep versions of models in a folder: add, serve, roll back, try as a canary or a shadow.",
    epilog="Examples:\n\nwhisker models list models\n\nwhisker models add models/cats photos.safetensors",
    no_args_is_help=True,
)


def _add_commands(group: typer.Typer, examples: Examples) -> None:
    for command, lines in examples.items():
        epilog = "Examples:\n\n" + "\n\n".join(lines)
        group.command(_NAMES.get(command), cls=Command, epilog=epilog)(command)


_add_commands(cli, EXAMPLES)
_add_commands(models, MODELS_EXAMPLES)
cli.add_typer(models)


def main() -> None:
    """Run the command line. An error that a user can correct ends in one sentence and its exit code."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as `whisker.__main__` leaves it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli()
    except WhiskerError as exc:
        sentence = printable(f"whisker: {exc}")  # it may hold a file's name
        if exc.exit_code == 1:
            sys.exit(sentence)  # on stderr, as below
        print(sentence, file=sys.stderr)  # noqa: T201 - the command line's own output
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()
