"""`whisker serve` and `whisker predict` on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.app.conftest import picture
from whisker.app import commands
from whisker.app.settings import RENAMED, Settings, flag
from whisker.model import Classifier
from whisker.model.answers.single_label import NOT_SHOWN
from whisker.model.errors import CheckpointError, ConfigError
from whisker.model.plain_text import is_safe

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Write a good photo, a damaged one, and name one that is not there."""
    good, damaged, missing = tmp_path / "good.png", tmp_path / "damaged.png", tmp_path / "missing.png"
    good.write_bytes(picture())
    damaged.write_bytes(picture()[:60])
    return [good, damaged, missing]


def test_every_setting_is_an_option_of_serve() -> None:
    options = [option for parameter in _command(commands.serve).params for option in parameter.opts]
    assert sorted(options) == sorted(["files", *(flag(name) for name in (*Settings.model_fields, *RENAMED))])


def test_serve_hands_its_options_to_the_settings() -> None:
    with pytest.raises(ConfigError, match="WHISKER_DEVICE"):
        _invoke(commands.serve, "--device", "tpu")


def test_serve_runs_the_server(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        _invoke(commands.serve, "--checkpoint", str(tmp_path / "none"), "--port", "0", "--log-level", "error")


def test_serve_leaves_no_key_to_the_processes_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Settings, bool]] = []
    monkeypatch.setenv("WHISKER_API_KEY", "correct-horse")
    monkeypatch.setattr("whisker.app.server.run.run", lambda it, _: seen.append((it, "WHISKER_API_KEY" in os.environ)))
    _invoke(commands.serve)
    ((settings, is_left),) = seen
    assert settings.api_key is not None
    assert not is_left


def test_option_wins_over_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_DEVICE", "cpu")
    with pytest.raises(ConfigError, match="'tpu'"):
        _invoke(commands.serve, "--device", "tpu")


def test_help_waits_for_nothing_slow() -> None:
    script = "import whisker.app.commands, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    assert not {"torch", "numpy", "PIL", "fastapi", "uvicorn", "rich.table"} & set(ended.stdout.split())


def test_predict_prints_json(tiny: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_ENGINE", "torch")  # the fastest one differs between machines, and rounds otherwise
    result = _invoke(commands.predict, "--json", "--top-k", "2", "--checkpoint", str(tiny), *map(str, photos))
    assert result.exit_code == 1
    good, damaged, missing = json.loads(result.stdout)
    (expected,) = Classifier.load(tiny, engine="torch").predict([photos[0].read_bytes()])
    assert good == {
        "photo": str(photos[0]),
        "label": expected.label,
        "score": pytest.approx(expected.score, abs=1e-6),
        "verdict": "confident",
        "unknown_score": None,
        "predictions": [
            {"label": scored.label, "score": pytest.approx(scored.score, abs=1e-6)}
            for scored in expected.predictions[:2]
        ],
    }
    assert damaged["photo"] == str(photos[1])
    assert damaged["error"]["code"] == "undecodable_picture"
    assert missing["error"] == {
        "code": "unreadable_file",
        "message": "The file cannot be read: No such file or directory.",
    }


def test_predict_says_how_unknown_a_photo_is(strict: Path, photos: list[Path]) -> None:
    (good,) = json.loads(_invoke(commands.predict, "--json", "--checkpoint", str(strict), str(photos[0])).stdout)
    assert good["verdict"] == "unknown"
    assert 0.5 < good["unknown_score"] <= 1


def test_predict_prints_a_line_a_photo(tiny: Path, photos: list[Path]) -> None:
    result = _invoke(commands.predict, "--checkpoint", str(tiny), str(photos[0]))
    assert result.exit_code == 0
    photo, label, score, verdict, reason = result.stdout.rstrip("\n").split("\t")
    assert (photo, verdict, reason) == (str(photos[0]), "confident", "")
    assert label in ("bird", "cat", "dog")
    assert 0 < float(score) <= 1


def test_predict_prints_why_an_answer_is_not_confident(unproven: Path, photos: list[Path]) -> None:
    line = _invoke(commands.predict, "--checkpoint", str(unproven), str(photos[0])).stdout
    assert line.rstrip("\n").split("\t")[3:] == ["unsure", NOT_SHOWN]
    (answer,) = json.loads(_invoke(commands.predict, "--json", "--checkpoint", str(unproven), str(photos[0])).stdout)
    assert answer["reason"] == NOT_SHOWN


def test_predict_draws_a_table_on_a_terminal(
    tiny: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(typer.Exit):
        commands.predict(photos, checkpoint=str(tiny))
    table = capsys.readouterr().out
    assert "verdict" in table
    for photo in photos:
        assert str(photo) in table
    assert "undecodable_picture" in table


def test_predict_searches_a_folder_whose_other_files_are_no_failure(tiny: Path, photos: list[Path]) -> None:
    photos[1].rename(photos[1].with_name("caf\n.png"))
    result = _invoke(commands.predict, "--checkpoint", str(tiny), str(photos[0].parent))
    assert result.exit_code == 0
    damaged, good = (line.split("\t") for line in result.stdout.splitlines())
    assert damaged[:2] == [f"{photos[0].parent}/caf\\n.png", "undecodable_picture"]
    assert (good[0], good[3]) == (str(photos[0]), "confident")


def test_predict_writes_a_file_and_counts_what_could_not_be_used(tiny: Path, photos: list[Path]) -> None:
    out = photos[0].with_name("results.csv")
    words = ("--checkpoint", str(tiny), "--out", str(out))
    result = _invoke(commands.predict, str(photos[0].parent), *words)
    assert result.exit_code == 0
    assert result.stdout == f"{out}: 2 photos, 1 could not be used: see the column `error`.\n"
    assert out.read_text().startswith("photo,label,score,verdict,reason,unknown_score,probability_bird,")
    result = _invoke(commands.predict, str(photos[0]), *words, "--overwrite")
    assert result.stdout == f"{out}: 1 photo.\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "results.jsonl", "--json"), "--json prints and --out writes"),
        (("--ray",), "name it with --out"),
        (("--overwrite",), "name it with --out"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _invoke(commands.predict, "photo.jpg", *words)


def test_predict_without_checkpoint_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        _invoke(commands.predict, "--checkpoint", str(tmp_path / "none"), "photo.jpg")


def _invoke(command: Any, *arguments: str) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def _command(function: Any) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return typer.main.get_command(app)


def test_nothing_that_a_terminal_obeys_is_printed(tiny: Path, tmp_path: Path) -> None:
    photo = tmp_path / "\x1b[2J\u202egnp\x9b.png"
    photo.write_bytes(picture())
    for options in ((), ("--json",)):
        ended = _invoke(commands.predict, str(photo), "--checkpoint", str(tiny), *options)
        assert is_safe(ended.stdout.replace("\n", "").replace("\t", ""))
        assert r"\u202egnp" in ended.stdout
