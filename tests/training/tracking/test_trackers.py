"""What TensorBoard and MLflow hold of a training that was interrupted and resumed, read by their own readers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.reliability.operation.telemetry import audited, heard, left
from tests.app.conftest import ROOT
from tests.test_whisker import run
from tests.training.tracking.recorded import record_twice
from whisker.training.cli.result import command_line
from whisker.training.events.event import Plan
from whisker.training.tracking.recorder import recording
from whisker.training.tracking.tensorboard import TensorBoard


def test_event_files_of_a_resumed_training_are_one_run(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415 - slow

    complaints = list[str]()
    record_twice(lambda: TensorBoard(tmp_path / "board"), tmp_path, complaints.append)
    assert complaints == []
    folder = tmp_path / "board" / "shapes"
    assert [*folder.parent.iterdir()] == [folder]
    events = EventAccumulator(str(folder))
    events.Reload()
    losses = [(event.step, event.value) for event in events.Scalars("training/loss")]
    assert losses == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert [event.value for event in events.Scalars("test/accuracy")] == [0.75]
    assert not any((tmp_path / "shapes.run").iterdir())  # the next training is a run of its own


def test_run_of_a_resumed_training_is_one_and_nobody_else_hears_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    spared = ("PYTEST_CURRENT_TEST", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    variables = {name: value for name, value in audited(home).items() if name not in spared}
    ended = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tests.training.tracking.recorded", str(tmp_path)],
        cwd=ROOT,
        env=variables | {"MLFLOW_ALLOW_FILE_STORE": "true", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert heard(ended.stderr) + left(home) == []
    held = json.loads(ended.stdout)
    assert held["losses"] == [[1, 1.0], [2, 0.5], [3, pytest.approx(1 / 3)]]
    assert held["metrics"]["test/accuracy"] == 0.75
    assert held["params"]["seed"] == "7"
    assert held["status"] == "FINISHED"
    assert held["files"] == ["shapes.html"]
    assert held["reports_to_its_makers"] is False


@pytest.mark.parametrize(
    ("options", "module", "sentence"),
    [
        (("--tensorboard", "board"), "torch.utils.tensorboard", "pip install 'whisker-vision[tensorboard]'"),
        (("--mlflow", "sqlite:///a.db"), "mlflow", "pip install 'whisker-vision[mlflow]'"),
        (("--mlflow", "env"), "mlflow", "MLFLOW_TRACKING_URI, which is not set"),
        (("--mlflow-files",), "mlflow", "add --mlflow"),
    ],
)
def test_what_is_missing_is_said_before_anything_begins(
    photo_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    options: tuple[str, ...],
    module: str,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    code, out, _ = run(monkeypatch, capsys, "train", photo_folder, *options)
    assert sentence in str(code)
    assert (out, [*tmp_path.iterdir()]) == ("", [])


def test_password_of_a_server_is_in_no_checkpoint() -> None:
    words = ["train", "photos", "--mlflow", "http://me:secret@host:5000", "--mlflow=http://me:secret@host/"]
    assert command_line(words) == "whisker train photos --mlflow host:5000 --mlflow=host"


def test_tracker_that_fails_says_so_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    plan = Plan("shapes", {}, {}, "", "", {}, tmp_path / "a file", is_new=False)
    complaints = list[str]()
    with recording(TensorBoard(tmp_path / "board"), complaints.append) as recorder:
        recorder.notice(plan)
        recorder.notice(replace(plan, name="another"))
    assert [line.partition(":")[0] for line in complaints] == ["Warning"]
    assert "TensorBoard records nothing more of this training, which goes on" in complaints[0]
