"""Runs of MLflow, by its own client, with its telemetry turned off."""

import importlib.util
import os
import time
from typing import Any

from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable
from whisker.training.events.event import Epoch, Finished, Plan
from whisker.training.tracking.tracker import Tracker, figures_of

ENVIRONMENT = "env"  # the address that stands for the one in MLFLOW_TRACKING_URI
_EXPERIMENT = "whisker"  # unless MLFLOW_EXPERIMENT_NAME is set
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_MISSING = "--mlflow needs MLflow{}: pip install 'whisker-vision[mlflow]'."
_MAX_VALUE = 500  # characters of a parameter: the least that stores take
_MAX_PARAMS = 100  # in one request


class MLflow(Tracker):
    """Records each training as a run of an experiment, on a server or in a store of this machine."""

    name = "MLflow"

    def __init__(self, uri: str, *, with_files: bool = False) -> None:
        """Load the library, and find or make the experiment; raise `ConfigError` if that is impossible."""
        if uri == ENVIRONMENT:
            uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        if not uri:
            raise ConfigError(f"--mlflow {ENVIRONMENT} takes the address from MLFLOW_TRACKING_URI, which is not set.")
        _require_library(uri)
        self.place, self._with_files = uri, with_files
        try:
            self._client, self._experiment = _connect(uri)
        except Exception as exc:
            raise ConfigError(f"--mlflow cannot be used: {self.explain(exc)}") from exc
        self._run = ""
        self._logged = dict[str, set[int]]()  # the epochs of each series that an earlier process has recorded

    def begin(self, plan: Plan, earlier: str | None) -> str:
        from mlflow.entities import Param  # noqa: PLC0415 - slow, and an extra

        if earlier is None or not self._resume(earlier):
            self._run = self._client.create_run(self._experiment, run_name=plan.name).info.run_id
        self._client.set_tag(self._run, "whisker.command", plan.command)
        params = [Param(name, printable(str(value))[:_MAX_VALUE]) for name, value in plan.settings.items()]
        for start in range(0, len(params), _MAX_PARAMS):
            self._client.log_batch(self._run, params=params[start : start + _MAX_PARAMS])
        return self._run

    def log_epoch(self, epoch: Epoch) -> None:
        from mlflow.entities import Metric  # noqa: PLC0415 - slow, and an extra

        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, epoch.number)
            for name, value in figures_of(epoch).items()
            if epoch.number not in self._logged.get(name, ())
        ]
        if metrics:
            self._client.log_batch(self._run, metrics=metrics)

    def finish(self, finished: Finished) -> None:
        for name, value in finished.metrics.items():
            self._client.log_metric(self._run, f"test/{name}", value)
        if self._with_files:
            for file in (finished.report, finished.checkpoint):
                self._client.log_artifact(self._run, str(file))

    def close(self, *, failed: bool) -> None:
        self._client.set_terminated(self._run, "KILLED" if failed else "FINISHED")

    def explain(self, error: Exception) -> str:
        """Say in a line what MLflow has raised, without the password that the address may hold."""
        user, at, _ = self.place.partition("://")[2].rpartition("@")
        return super().explain(error).replace(user + at, "") if at else super().explain(error)

    def _resume(self, earlier: str) -> bool:
        """Go on with a run, unless it was deleted."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - slow, and an extra

        try:
            run = self._client.get_run(earlier)
        except MlflowException:
            return False
        if run.info.lifecycle_stage != "active":
            return False
        self._run = earlier
        self._client.update_run(earlier, status="RUNNING")
        self._logged = {
            name: {metric.step for metric in self._client.get_metric_history(earlier, name)}
            for name in run.data.metrics
        }
        return True


def forbid_telemetry() -> None:
    """Keep MLflow from reporting to its makers, and from printing addresses to stdout; before it is imported.

    By default it asks config.mlflow-telemetry.io what to report, and reports it. Both variables turn that off.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A server that is not there is reported within seconds, not minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def _require_library(uri: str) -> None:
    forbid_telemetry()
    try:
        import mlflow  # noqa: F401, PLC0415 - slow, and an extra
    except ImportError as exc:
        raise ConfigError(_MISSING.format("")) from exc
    is_database = uri.split(":", maxsplit=1)[0].split("+", maxsplit=1)[0] in _DATABASES
    if is_database and None in map(importlib.util.find_spec, ("sqlalchemy", "alembic")):
        raise ConfigError(_MISSING.format(" with SQLAlchemy and Alembic for a database"))


def _connect(uri: str) -> tuple[Any, str]:
    """Open a client, and find or make the experiment; raises whatever MLflow does."""
    from mlflow import MlflowClient  # noqa: PLC0415 - slow, and an extra

    client, name = MlflowClient(tracking_uri=uri), os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
    found = client.get_experiment_by_name(name)
    return client, found.experiment_id if found else client.create_experiment(name)
