"""The command line as users meet it: what works, and one sentence for what does not."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from typer.main import get_command

from tests.pictures import draw, write_folder
from whisker import __version__
from whisker.cli import cli, main
from whisker.model import BUNDLED_CHECKPOINT, Classifier
from whisker.model.errors import ConfigError
from whisker.training.errors import TrainingInterruptedError
from whisker.training.job import Training

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "train",
    "calibrate",
    "shrink",
    "evaluate",
    "compare",
    "doctor",
    "report",
    "import",
    "predict",
    "serve",
    "models",
)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int | str | None, str, str]:
    """Run the command line in this process; return its exit code or sentence, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["whisker", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_all_commands_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(monkeypatch, capsys, "--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)


def test_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, capsys, "--version") == (0, f"whisker {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    code, out, _ = run(monkeypatch, capsys, command, "--help")
    assert code == 0
    assert f"Examples: whisker {command} " in " ".join(out.replace("\u2502", " ").split())


def test_no_help_is_taken_for_markup() -> None:
    """Rich swallows what is in brackets and begins with a small letter."""
    for command in get_command(cli).commands.values():  # type: ignore[attr-defined]
        for parameter in command.params:
            assert not re.search(r"\[[a-z/#@]", getattr(parameter, "help", None) or "")


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS)])
def test_no_help_names_a_type_of_python(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(monkeypatch, capsys, *command, "--help")
    assert re.findall(r"<(?:bool|int|float|str|path|list)\b[^>]*>", out) == []


def test_help_waits_for_nothing_slow() -> None:
    script = "import whisker.cli, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert not {"torch", "numpy", "PIL", "fastapi", "uvicorn"} & set(ended.stdout.split())


def test_train_then_evaluate_then_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_folder(tmp_path / "shapes", 20)
    monkeypatch.chdir(tmp_path)
    small = (
        "--out=./shapes.safetensors",
        "--name=My shapes",
        "--epochs",
        4,
        "--width",
        4,
        "--depth",
        1,
        "--size",
        32,
        "--dtype",
        "float32",
        "--device",
        "cpu",
    )
    code, out, _ = run(monkeypatch, capsys, "train", photos, *small)
    assert code == 0
    assert "Test accuracy: " in out
    assert "95 % interval" in out
    assert out.splitlines()[-1] == "Serve it: whisker serve shapes.safetensors"
    classifier = Classifier.load("shapes.safetensors")
    assert classifier.classes == ("rings", "stripes")
    assert classifier.checkpoint.name == "My shapes"
    assert classifier.checkpoint.provenance["command"].startswith(
        "whisker train shapes --out=shapes.safetensors '--name=My shapes' --epochs 4"
    )
    assert str(tmp_path) not in json.dumps(dict(classifier.checkpoint.provenance))
    assert classifier.checkpoint.provenance["libraries"]["whisker"] == __version__

    code, out, err = run(monkeypatch, capsys, "evaluate", photos, "--checkpoint", "shapes.safetensors")
    assert code == 0
    assert out.startswith("Accuracy: ")
    assert "Warning: My shapes was trained with exactly these photos, and learned from 32 of them" in err
    assert "rings: answered" in out
    (photos / "rings" / "note.txt").write_text("hello")
    code, out, err = run(monkeypatch, capsys, "evaluate", "shapes.safetensors", photos, "--json")
    assert code == 0
    assert json.loads(out)["photos"] == 40
    assert json.loads(out)["quarantined"][0]["path"] == "rings/note.txt"
    code, _, err = run(monkeypatch, capsys, "evaluate", "shapes.safetensors", photos)
    assert "Left out rings/note.txt" in err

    words = ("predict", "shapes.safetensors", photos / "rings" / "000.png", "--json")
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 0
    assert json.loads(out)[0]["label"] in ("rings", "stripes")


TINY_FLAGS = (
    *("--epochs", 1, "--width", 4, "--depth", 1, "--size", 32, "--dtype", "float32", "--device", "cpu"),
    *("--validation", 0.2, "--test", 0.2),
)


def test_labels_from_a_csv_file_from_training_to_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All photos lie in one folder; only the file knows their classes, and leaves one of them out."""
    photos = tmp_path / "unsorted"
    photos.mkdir()
    lines = ["path,label"]
    for label in ("rings", "stripes"):
        for seed in range(10):
            draw(label, seed).save(photos / f"{label[0]}{seed}.png")
            lines.append(f"{label[0]}{seed}.png,{label if seed else ''}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "train", photos, "--labels", "labels.csv", *TINY_FLAGS)
    assert code == 0
    assert "labels.csv labels 18 photos and leaves 2 out" in out
    assert "Photos: rings 9, stripes 9; train 10, validation 4, test 4." in out
    provenance = Classifier.load("unsorted.safetensors").checkpoint.provenance
    assert provenance["data"]["photos"] == {"rings": 9, "stripes": 9}
    words = ("evaluate", "unsorted.safetensors", photos, "--labels", "labels.csv", "--json")
    code, out, _ = run(monkeypatch, capsys, *words)
    assert code == 0
    assert [sum(row) for row in json.loads(out)["confusion"]] == [9, 9]


def test_groups_of_a_column_from_training_to_calibration_and_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_folder(tmp_path / "shapes", 15)
    lines = [f"{path.relative_to(photos)},{path.parent.name},{int(path.stem) // 2}" for path in photos.rglob("*.png")]
    (tmp_path / "cameras.csv").write_text("\n".join(["path,label,Camera", *lines]))
    monkeypatch.chdir(tmp_path)
    file = ("--labels", "cameras.csv")
    code, out, _ = run(monkeypatch, capsys, "train", photos, *file, "--groups", "camera", *TINY_FLAGS)
    assert code == 0
    assert "Groups by column 'camera': 8, of which none share look-alikes; the largest has 4 photos." in out
    taught = Classifier.load("shapes.safetensors").checkpoint
    words = ("calibrate", "shapes.safetensors", photos, "--out", "again.safetensors")
    code, _, _ = run(monkeypatch, capsys, *words)
    assert "shapes was trained with groups by the column 'camera' of a CSV file: give that file" in str(code)
    code, _, _ = run(monkeypatch, capsys, *words, *file)
    assert code == 0
    assert Classifier.load("again.safetensors").checkpoint.metrics["test"] == taught.metrics["test"]

    (photos / "stripes" / "014.png").write_bytes((photos / "stripes" / "000.png").read_bytes())
    examine = ("doctor", photos, *file, "--groups", "camera")
    code, out, _ = run(monkeypatch, capsys, *examine, "--json")
    assert "group" in {finding["kind"] for finding in json.loads(out)["findings"]}
    out_file = ("--checkpoint", "shapes.safetensors", "--out", "doubtful.csv", "--device", "cpu")
    code, out, _ = run(monkeypatch, capsys, *examine, *out_file)
    assert code == 0
    assert out.splitlines()[-1].endswith("--labels doubtful.csv --groups camera")
    assert (tmp_path / "doubtful.csv").read_text().splitlines()[0].endswith(",camera")


def test_train_with_photos_of_other_things_then_calibrate_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, others = write_folder(tmp_path / "shapes", 15), tmp_path / "others"
    others.mkdir()
    for seed in range(60):
        draw("rings", 500 + seed, (12, 12)).save(others / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "train", photos, "--outliers", others, *TINY_FLAGS)
    assert code == 0
    assert "Photos of other things: 60." in out
    taught = Classifier.load("shapes.safetensors").checkpoint
    assert taught.metrics["unknown"]["outliers"]["of"] == 60

    words = ("calibrate", "shapes.safetensors", photos, "--out", "again.safetensors", "--false-alarms", 0.5)
    code, out, err = run(monkeypatch, capsys, *words, "--json")
    assert code == 0
    assert json.loads(out)["checkpoint"] == "again.safetensors"
    assert json.loads(out)["test"]["accuracy"] == taught.metrics["test"]["accuracy"]
    assert "Testing" in err
    again = Classifier.load("again.safetensors").checkpoint
    assert "Known photos called unknown: " in err
    assert again.metrics["unknown"]["outliers"] is None
    assert again.metrics["unknown"]["promised_rate"] == 0.5
    assert again.metrics["test"] == taught.metrics["test"]
    code, _, _ = run(monkeypatch, capsys, *words)
    assert isinstance(code, str)
    assert "exists: choose another name with --out" in code


@pytest.fixture
def bad(tmp_path: Path, trained: Training) -> dict[str, Path]:
    """Make things that cannot be used."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "one" / "cat").mkdir(parents=True)
    draw("rings", 1).save(tmp_path / "one" / "cat" / "1.png")
    for name in ("cat", "dog"):
        (tmp_path / "text" / name).mkdir(parents=True)
        (tmp_path / "text" / name / "a.txt").write_text("hello")
    (tmp_path / "trained.safetensors").write_bytes(trained.out.read_bytes())
    altered = bytearray(trained.out.read_bytes())
    altered[-1] ^= 255
    (tmp_path / "altered.safetensors").write_bytes(altered)
    return {name: tmp_path / name for name in ("empty", "one", "text", "altered.safetensors", "missing.safetensors")}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "empty"), "holds no class folders"),
        (("train", "one"), "only one class"),
        (("train", "text"), "holds no readable picture"),
        (("train", "missing.safetensors"), "There is no folder"),
        (("train", "text", "--width", "7"), "width is an even 2 to 2048, not 7"),
        (("train", "text", "--epochs", "0"), "at least 1"),
        (("train", "one", "--minutes", "1", "--epochs", "2"), "--minutes chooses preset and epochs by itself"),
        (("train", "one", "--pretrained", "one/cat/1.png"), "is not a readable safetensors file"),
        (("train", "one", "--pretrained", "missing.safetensors"), "missing.safetensors does not exist"),
        (("import", "missing.pth", "--out", "new.safetensors"), "missing.pth does not exist"),
        (("import", "one/cat/1.png", "--out", "new.safetensors"), "is neither a file of PyTorch nor ONNX"),
        (("train", "text", "--pretrained", "trained.safetensors", "--width", "8"), "with width 4, not 8"),
        (("train", "one", "--labels", "missing.csv"), "missing.csv cannot be read"),
        (("train", "one", "--groups", "patient"), "--groups names the column 'patient', so give the file"),
        (("calibrate", "missing.safetensors", "one", "--out", "new.safetensors"), "There is no checkpoint file"),
        (("calibrate", "trained.safetensors", "one", "--out", "new.safetensors"), "only one class"),
        (("evaluate", "missing.safetensors", "one"), "There is no checkpoint file"),
        (("evaluate", "one", "--checkpoint", "missing.safetensors"), "There is no checkpoint file"),
        (("evaluate", "a.safetensors", "one", "--checkpoint", "b.safetensors"), "The checkpoint is given twice"),
        (("evaluate", "a.safetensors"), "a.safetensors is only one of them"),
        (("doctor", "missing.safetensors", "one"), "There is no checkpoint file"),
        (("report", "a.safetensors", "--checkpoint", "b.safetensors"), "The checkpoint is given twice"),
        (("report",), "Name a checkpoint"),
        (("compare", "missing.safetensors", "trained.safetensors", "one"), "There is no checkpoint file"),
        (("train", "one", "--name", "two\nlines"), "--name is 1 to 100 characters in one line"),
        (("predict", "altered.safetensors", "one/cat/1.png"), "changed or damaged"),
        (("predict", "a.safetensors", "b.safetensors", "one/cat/1.png"), "The checkpoint is given twice"),
        (("predict", "trained.safetensors"), "Name photos, or a folder of them, to classify with"),
        (("serve", "altered.safetensors", "--port", "0"), "changed or damaged"),
        (("serve", "a.safetensors", "--checkpoint", "b.safetensors"), "What to serve is given twice"),
        (("predict", "--checkpoint", "altered.safetensors", "one/cat/1.png"), "changed or damaged"),
        (("serve", "--checkpoint", "missing.safetensors", "--port", "0"), "There is no checkpoint file"),
        (("serve", "--checkpoint", "altered.safetensors", "--port", "0"), "changed or damaged"),
        (("serve", "--checkpoint", "one/cat/1.png", "--port", "0"), "not a safetensors file"),
        (("serve", "--port", "many"), "WHISKER_PORT (or --port) is 'many', but must be"),
        (("serve", "--device", "cuda:77"), "device cuda:77 is not available"),
    ],
)
def test_bad_input_ends_in_one_sentence(
    bad: dict[str, Path],
    words: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(bad["empty"].parent)
    code, out, err = run(monkeypatch, capsys, *words)
    assert isinstance(code, str)
    assert message in code
    assert code.startswith("whisker: ")
    assert "\n" not in code
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "text", "--width", "7"), "width is an even 2 to 2048, not 7"),
        (("predict", "--checkpoint", "altered.safetensors", "one/cat/1.png"), "changed or damaged"),
        (("serve", "--checkpoint", "altered.safetensors", "--port", "0"), "changed or damaged"),
        (("serve", "--device", "cuda:77"), "device cuda:77 is not available"),
    ],
)
def test_bad_input_is_all_that_a_process_tells_of(bad: dict[str, Path], words: tuple[str, ...], message: str) -> None:
    """In a process of its own, so that nothing can print a traceback unseen."""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "whisker", *words],
        cwd=bad["empty"].parent,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "WHISKER_LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stdout
    assert message in ended.stderr
    assert ended.stderr.startswith("whisker: ")
    assert ended.stderr.count("\n") == 1


def test_taken_port_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trained: Training
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ("serve", "--checkpoint", trained.out, "--host", "127.0.0.1", "--port", port)
        code, _, _ = run(monkeypatch, capsys, *words)
    assert isinstance(code, str)
    assert f"Port {port} is taken" in code


def test_bundled_checkpoint_loads_and_fits_its_limit() -> None:
    classifier = Classifier.load(BUNDLED_CHECKPOINT)
    assert classifier.classes == ("cat", "dog")
    assert classifier.checkpoint.metrics["test"]["accuracy"] >= 0.95
    assert BUNDLED_CHECKPOINT.stat().st_size <= 12_000_000


def test_errors_end_with_their_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Python turns a sentence as the code into exit code 1, and prints it."""

    def fail() -> NoReturn:
        raise error

    monkeypatch.setattr("whisker.cli.cli", fail)
    error: Exception = ConfigError("This cannot work.")
    assert run(monkeypatch, capsys) == ("whisker: This cannot work.", "", "")
    error = TrainingInterruptedError("Stopped and saved.")
    assert run(monkeypatch, capsys) == (130, "", "whisker: Stopped and saved.\n")
