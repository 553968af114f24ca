import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.transfer.contenders import PROBE, WHISKER, Conditions, compete
from benchmarks.transfer.photos import draw
from benchmarks.transfer.recipes import RECIPES
from tests.pictures import write_folder
from whisker.training.progress import silent

NAMES = [recipe.name for recipe in RECIPES]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "photos", 8, (64, 64))


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_cut_to_the_time_but_runs_an_epoch(root: Path, tmp_path: Path, name: str) -> None:
    row = compete(name, draw(root, 5, 0), 0, Conditions(64, 0.0001, tmp_path, silent()))
    assert (row.epochs, row.photos) == (1, 6)
    assert 0 <= row.accuracy <= 1
    assert row.cpu_seconds > 0


def test_linear_probe_tells_rings_from_stripes(root: Path, tmp_path: Path) -> None:
    row = compete(PROBE, draw(root, 5, 0), 0, Conditions(64, 1.0, tmp_path, silent()))
    assert row.accuracy >= 5 / 6


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run the command in this process, which has PyTorch already; return its exit code or sentence."""

    def run(*words: object) -> object:
        monkeypatch.setattr(sys, "argv", ["transfer", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("benchmarks.transfer", run_name="__main__")
        return ended.value.code

    return run


@pytest.mark.slow
def test_command_trains_whisker_and_goes_on_where_the_journal_ends(
    root: Path, tmp_path: Path, command: Callable[..., object], capfd: pytest.CaptureFixture[str]
) -> None:
    words = (root, "--photos", 6, "--seeds", 1, "--minutes", 0.1, "--size", 64, "--out", tmp_path / "journal.json")
    assert command(*words, "--only", PROBE, "--only", WHISKER) == 0
    assert "seed 0: " in capfd.readouterr().out
    assert command(*words, "--only", PROBE, "--only", WHISKER) == 0
    assert "seed 0: " not in capfd.readouterr().out
    table = (tmp_path / "journal.md").read_text()
    assert "| linear probe |" in table
    assert "| `whisker train` |" in table


def test_unknown_row_is_one_sentence(root: Path, command: Callable[..., object]) -> None:
    assert str(command(root, "--only", "keras")).startswith("transfer: The rows are")
