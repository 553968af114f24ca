"""`whisker train --extend` takes few options, and says which of the others it cannot."""

import sys
from pathlib import Path

import pytest

from whisker.cli import main


@pytest.mark.parametrize(
    "options",
    [
        ["--preset", "quick"],
        ["--minutes", "3"],
        ["--pretrained", "lite0"],
        ["--student", "random"],
        ["--grey"],
        ["--multi-label"],
        ["--width", "0"],
        ["--size", "64"],
        ["--dtype", "float32"],
        ["--outliers", "other"],
        ["--precision", "0.9"],
        ["--validation", "0.2"],
        ["--resume"],
    ],
)
def test_option_that_makes_no_sense_is_refused(
    options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["whisker", "train", str(tmp_path), "--extend", "c.safetensors", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    assert f"as it is: omit {options[0]}." in str(ended.value.code)


def test_several_such_options_are_named_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["whisker", "train", str(tmp_path), "--extend", "c.safetensors", "--size", "64", "--epochs", "3"]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert "omit --epochs, --size." in str(ended.value.code)


def test_file_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.safetensors"
    monkeypatch.setattr(sys, "argv", ["whisker", "train", str(tmp_path), "--extend", str(missing)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert "There is no checkpoint file at" in str(ended.value.code)
