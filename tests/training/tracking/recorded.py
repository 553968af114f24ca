"""A training that is interrupted after its second epoch, and resumed; as a program, by MLflow, with what it then holds.

MLflow spares pytest its telemetry, so what it sends to whom can only be seen in another process.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from whisker.training.events.event import Epoch, Finished, Plan
from whisker.training.tracking.mlflow import MLflow
from whisker.training.tracking.recorder import recording
from whisker.training.tracking.tracker import Tracker


def record_twice(track: Callable[[], Tracker], folder: Path, complain: Callable[[str], None]) -> None:
    """Record it; all epochs are told again after the resume."""
    report = folder / "shapes.html"
    report.write_text("<p>report")
    plan = Plan(
        "shapes",
        {"rings": 20},
        {},
        "resnet, 32 px",
        "whisker train x",
        {"seed": 7},
        folder / "shapes.run",
        is_new=False,
    )
    for epochs in ((1, 2), (1, 2, 3)):
        with recording(track(), complain) as recorder:
            recorder.notice(plan)
            for number in epochs:
                recorder.notice(Epoch("Training", number, 3, loss=1 / number, learning_rate=0.1, accuracy=0.5, size=32))
            if 3 in epochs:
                recorder.notice(Finished(report, report, {"accuracy": 0.75}, "75 %"))


def _read(uri: str) -> dict[str, object]:
    from mlflow import MlflowClient  # noqa: PLC0415 - after its telemetry is turned off
    from mlflow.telemetry import get_telemetry_client  # noqa: PLC0415

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("whisker")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return {
        "losses": [
            (metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "training/loss")
        ],
        "metrics": run.data.metrics,
        "params": run.data.params,
        "status": run.info.status,
        "files": [file.path for file in client.list_artifacts(run.info.run_id)],
        "reports_to_its_makers": get_telemetry_client() is not None,
    }


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    STORE = (FOLDER / "store").as_uri()
    record_twice(lambda: MLflow(STORE, with_files=True), FOLDER, print)
    print(json.dumps(_read(STORE)))  # noqa: T201 - for the test
