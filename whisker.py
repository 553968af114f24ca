"""The command line: `whisker train | calibrate | evaluate | doctor | report | predict | serve`."""

import sys

import typer

from app.commands import predict, serve
from model.errors import WhiskerError
from training.commands import calibrate, train
from training.inspection import doctor, evaluate, report

cli = typer.Typer(
    name="whisker",
    help="Teach it with folders of photos, serve it over HTTP, trust its answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (train, calibrate, evaluate, doctor, report, predict, serve):
    cli.command()(command)


def main() -> None:
    """Run the command line; what a user can mend ends in one sentence and exit code 1, without a traceback."""
    try:
        cli()
    except WhiskerError as exc:
        sys.exit(f"whisker: {exc}")


if __name__ == "__main__":
    main()
