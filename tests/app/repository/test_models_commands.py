"""`whisker models ...`, as an operator meets it."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.app.conftest import full_disk
from whisker.app.repository.rollout_file import change_rollout, read_rollout
from whisker.cli import main

_AT = datetime(2026, 11, 26, 21, 0, tzinfo=UTC)


class Operator:
    """Type commands, with what stands for the folder of models, the model, and a checkpoint."""

    def __init__(
        self, root: Path, checkpoint: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self.cats = root / "cats"
        self._words = {"models": str(root), "cats": str(self.cats), "FILE": str(checkpoint)}
        self._patch, self._captured = patch, captured

    def types(self, line: str) -> str:
        """Run a command line that works; return what it prints."""
        code, out = self._run(line)
        assert not code, code
        return out.strip()

    def is_refused(self, line: str) -> str:
        """Run a command line that is refused; return its sentence."""
        code, out = self._run(line)
        assert (type(code), out) == (str, "")
        return str(code)

    def _run(self, line: str) -> tuple[int | str | None, str]:
        words = [self._words.get(word, word) for word in line.split()]
        self._patch.setattr(sys, "argv", ["whisker", "models", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, self._captured.readouterr().out


@pytest.fixture
def operator(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Operator:
    root = tmp_path / "models"
    root.mkdir()
    return Operator(root, tiny, monkeypatch, capsys)


def test_a_version_is_added_tried_promoted_and_rolled_back(operator: Operator, tiny: Path) -> None:
    assert "cats: v1 is served, as the newest version." in operator.types("add cats FILE")
    assert (operator.cats / "v1.safetensors").read_bytes() == tiny.read_bytes()
    assert operator.types("add cats FILE").endswith(
        "loads and verifies v2, then switches to it; v1 answers until then."
    )
    assert operator.types("add cats FILE --canary 0.1").endswith(
        "cats: v2 is served, as pinned. v3 answers 10% of requests as a canary. "
        "A running service loads and verifies v3, then asks it."
    )
    assert operator.types("shadow cats v1").endswith("A running service loads and verifies v1, then asks it.")
    assert operator.types("models").splitlines() == [
        "cats\tv3\tcanary\t10% of requests",
        "cats\tv2\tserved\tpinned",
        "cats\tv1\tshadow\t10% of requests",
    ]
    assert operator.types("promote cats") == (
        "cats: v3 is served, as pinned. v1 answers 10% of requests a second time, as a shadow. "
        "A running service switches to v3."
    )
    assert operator.types("stop cats") == "cats: v3 is served, as pinned. A running service no longer asks v1."
    assert operator.types("rollback cats").startswith("cats: v2 is served, as pinned.")
    assert operator.types("serve cats --newest").startswith("cats: v3 is served, as the newest version.")
    assert operator.types("serve cats v1").startswith("cats: v1 is served, as pinned.")
    assert operator.types("add cats FILE").endswith("v4 is not asked: `serve` pins it, `canary` tries it.")


def test_a_stopped_canary_is_listed_passed_over_and_can_be_tried_again(operator: Operator) -> None:
    for _ in range(2):
        operator.types("add cats FILE")
    operator.types("add cats FILE --canary 0.05")
    change_rollout(operator.cats, lambda it: it.stop_canary("v3", "It is slow.", _AT))
    assert operator.types("models").splitlines()[0] == "cats\tv3\tstopped\t2026-11-26 21:00 UTC: It is slow."
    assert operator.types("serve cats --newest").startswith("cats: v2 is served, as the newest version.")
    operator.types("add cats FILE --version v4")
    (operator.cats / "v4.safetensors").unlink()
    (operator.cats / "v5.safetensors").write_bytes(b"")
    operator.types("serve cats v5")
    assert operator.types("rollback cats").startswith("cats: v2 is served, as pinned.")
    operator.types("canary cats v3 --share 0.2 --max-latency 1.5 --min-answers 50")
    (model,) = json.loads(operator.types("list models --json"))["models"]
    assert model["served"] == "v2"
    assert model["versions"][2]["state"] == "canary"
    assert model["rollout"]["canary"]["bounds"] == {"refusals": 0.05, "latency": 1.5, "drift": 0.25, "answers": 50}
    assert model["rollout"]["stopped"] == []


def test_what_makes_no_sense_is_refused_and_changes_nothing(operator: Operator, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"no checkpoint")
    assert "is not a safetensors file" in operator.is_refused(f"add cats {damaged}")
    assert "is no name of a version" in operator.is_refused("add cats FILE --version ../v1")
    assert not operator.cats.exists()
    assert "There is nothing to compare a trial with" in operator.is_refused("add cats FILE --canary 0.1")
    operator.types("add cats FILE --version 2026-11-26")
    before = sorted(operator.cats.iterdir())
    refusals = {
        "add cats FILE": "cannot be counted on from: give --version",
        "add cats FILE --version 2026-11-26": "is there already, and is never replaced",
        f"add {tmp_path / 'none' / 'cats'} FILE": "make the folder of the models first",
        "rollback cats": "no version before 2026-11-26 can be served",
        "rollback models": "give the folder of a model, as in models/cats",
        "serve cats v9": "There is no version `v9` in the folder: the latest are 2026-11-26.",
        "serve cats": "Give either a version, which is pinned, or --newest",
        "canary cats 2026-11-26": "2026-11-26 is served already",
        "promote cats": "There is no canary to promote",
        "stop cats": "There is neither a canary nor a shadow to stop",
    }
    for line, sentence in refusals.items():
        assert sentence in operator.is_refused(line)
    with full_disk():
        assert "so that nothing was added: No space left" in operator.is_refused("add cats FILE --version v2")
    assert {*operator.cats.iterdir()} - {*before} <= {operator.cats / ".rollout.lock"}
    assert read_rollout(operator.cats).pinned is None


def test_a_damaged_rollout_spoils_the_list_of_no_other_model(operator: Operator) -> None:
    operator.types("add cats FILE")
    dogs = operator.cats.with_name("dogs")
    dogs.mkdir()
    (dogs / "rollout.json").write_text("{")
    lines = operator.types("list models").splitlines()
    assert lines[0] == "cats\tv1\tserved\tnewest"
    assert lines[1].startswith("dogs\t\terror\t")
    assert "invalid JSON" in json.loads(operator.types("list models --json"))["models"][1]["error"]
