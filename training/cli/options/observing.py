"""Options by which a training is observed: its page in the browser, and libraries that record trainings.

Modules that are slow to import are imported when one of them is used.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable

if TYPE_CHECKING:
    from whisker.training.events.event import Observer
    from whisker.training.progress import Progress
    from whisker.training.tracking.tracker import Tracker

Watch = Annotated[
    str | None,
    typer.Option(
        help="Show the training while it runs as a page at http://127.0.0.1:PORT; 0 is any free port. Only this "
        "machine can open it; from another, use ssh -L PORT:127.0.0.1:PORT. HOST:PORT listens elsewhere.",
        metavar="PORT|HOST:PORT",
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write event files for TensorBoard into; needs its library (the extra tensorboard).",
        metavar="DIR",
    ),
]
Mlflow = Annotated[
    str | None,
    typer.Option(
        help="MLflow server or store to record the training in, such as http://localhost:5000 or sqlite:///mlflow.db; "
        "env is that of MLFLOW_TRACKING_URI. Needs MLflow's library (the extra mlflow).",
        metavar="URI|env",
    ),
]
MlflowFiles = Annotated[
    bool,
    typer.Option("--mlflow-files", help="Give MLflow the checkpoint and the report, which holds photos, too."),
]


@dataclass(frozen=True, slots=True)
class Observing:
    """Who is told of a training while it runs; `None` is nobody."""

    watch: str | None = None
    tensorboard: Path | None = None
    mlflow: str | None = None
    mlflow_files: bool = field(default=False, kw_only=True)

    @contextmanager
    def open(self, name: str, *, as_json: bool, is_main: bool = True) -> Iterator["Progress"]:
        """Open the progress of a training, and of those who are told of it; of several processes, the main one's.

        Raises `ConfigError` if a library is missing or a port taken.
        """
        from whisker.training.cli.result import open_progress  # noqa: PLC0415
        from whisker.training.progress import silent  # noqa: PLC0415

        if not is_main:
            yield silent()
            return
        observers: list[Observer] = []
        progress = open_progress(as_json=as_json, observers=observers)
        with ExitStack() as stack:
            if self.watch is not None:
                observers.append(_watch(self.watch, name, stack, progress))
            observers.extend(_record(tracker, stack, progress) for tracker in self._trackers())
            yield progress

    def _trackers(self) -> Iterator["Tracker"]:
        if self.tensorboard is not None:
            from whisker.training.tracking.tensorboard import TensorBoard  # noqa: PLC0415

            yield TensorBoard(self.tensorboard)
        if self.mlflow is not None:
            from whisker.training.tracking.mlflow import MLflow  # noqa: PLC0415

            yield MLflow(self.mlflow, with_files=self.mlflow_files)
        elif self.mlflow_files:
            raise ConfigError("--mlflow-files is for --mlflow: add --mlflow.")


def _watch(where: str, name: str, stack: ExitStack, progress: "Progress") -> "Observer":
    from whisker.training.watch.address import Address  # noqa: PLC0415
    from whisker.training.watch.server import watching  # noqa: PLC0415

    server = stack.enter_context(watching(Address.parse(where), printable(name)))
    progress.say(f"Watch the training at {server.url}")
    return server.watched.notice


def _record(tracker: "Tracker", stack: ExitStack, progress: "Progress") -> "Observer":
    from whisker.training.tracking.recorder import recording  # noqa: PLC0415

    return stack.enter_context(recording(tracker, progress.say)).notice
