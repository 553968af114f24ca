"""Checkpoints that somebody forged: each is refused in one sentence, or has a card; nothing else happens."""

import copy
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from torch import Tensor

from benchmarks.reliability.checkpoints import forge, forged_checkpoints, scan_bomb
from benchmarks.reliability.operation.forged import ABSURD
from whisker.app.page.routes import _templates
from whisker.model import BUNDLED_CHECKPOINT, Checkpoint, load_checkpoint, save_checkpoint
from whisker.model.answers.novelty import Novelty
from whisker.model.card.document import CheckpointCard
from whisker.model.card.overview import describe
from whisker.model.card.wording.advice import advise
from whisker.model.checkpoint import container
from whisker.model.checkpoint.contents import Int8Cost, Quantization
from whisker.model.checkpoint.golden import golden_pictures, require_small
from whisker.model.checkpoint.json_object import parse_object
from whisker.model.errors import CheckpointError, WhiskerError
from whisker.training.errors import TrainingError
from whisker.training.report.page import summarise, write_report

_ABSENT = object()
_KINDS: tuple[Any, ...] = (
    _ABSENT,
    None,
    True,
    -7,
    0,
    1e29,
    "x",
    "\x1b[31m\n",
    [],
    [[]],
    [1, 2, 3],
    [None, None],
    {},
    {"a": 1},
)
_NO_JSON: tuple[Any, ...] = (10**400, float("nan"), float("inf"), 1e308, "\ud800")
_FOR_PEOPLE = ("metrics", "provenance")  # answers are made of all other parts


@pytest.fixture(scope="module")
def bundled() -> Checkpoint:
    return load_checkpoint(BUNDLED_CHECKPOINT)


@pytest.fixture
def whole(bundled: Checkpoint, untrained: Checkpoint) -> Checkpoint:
    """Make a small checkpoint that has every part, with the figures of the bundled one."""
    return replace(
        untrained,
        classes=bundled.classes,
        metrics=bundled.metrics,
        provenance=bundled.provenance,
        novelty=Novelty(np.eye(16, dtype=np.float32)[:5], np.ones(16, np.float32), 3, 0.7, 0.1, 0.5),
        quantization=Quantization({"network.conv1": (0.0, 1.0)}, Int8Cost(0.0, 0.0)),
    )


@pytest.fixture
def path(whole: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(whole, tmp_path / "whole.safetensors")
    return tmp_path / "whole.safetensors"


def test_forgeries_of_the_scoreboard_are_refused_in_one_sentence(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.safetensors"
    monkeypatch.setattr(container, "_MAX_HEADER_BYTES", 1_000_000)
    for name, data in forged_checkpoints(path, header_bytes=1_000_000):
        bad.write_bytes(data)
        with pytest.raises(CheckpointError) as raised:
            load_checkpoint(bad)
        said = str(raised.value)
        assert said.startswith(f"The checkpoint {bad} ")
        assert "\n" not in said, name
        assert len(said) < len(str(bad)) + 400, name


def test_every_field_of_every_kind_is_refused_in_one_sentence_or_has_a_card(path: Path, tmp_path: Path) -> None:
    data, odd = path.read_bytes(), tmp_path / "odd.safetensors"
    header = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["whisker"])
    answers = {name: part for name, part in header.items() if name not in (*_FOR_PEOPLE, "digest")}
    kinds = (*_KINDS, *_NO_JSON)
    for number, place in enumerate(_places(answers)):
        for value in kinds[number % 5 :: 5]:
            odd.write_bytes(forge(data, partial(_put_in_header, place, value)))
            try:
                checkpoint = load_checkpoint(odd)
            except CheckpointError as exc:
                assert "\n" not in str(exc)  # noqa: PT017 - either this or a card
            else:
                _render(checkpoint)


def test_whatever_the_figures_are_there_is_a_card(whole: Checkpoint) -> None:
    for part in _FOR_PEOPLE:
        document = json.dumps(getattr(whole, part))
        for number, place in enumerate(_places(json.loads(document))):
            for value in _KINDS[number % 7 :: 7]:
                changed = json.loads(document)
                _put(changed, place, value)
                _render(_with(whole, part, changed))


def test_absurd_figures_have_a_card_and_no_report(whole: Checkpoint, tmp_path: Path) -> None:
    absurd = replace(whole, metrics=ABSURD, provenance=ABSURD)
    _render(absurd)
    with pytest.raises(TrainingError, match="figures"):
        write_report(tmp_path / "report.html", absurd, None)


def test_figures_that_cannot_be_drawn_are_one_sentence(whole: Checkpoint, tmp_path: Path) -> None:
    metrics = copy.deepcopy(dict(whole.metrics))
    metrics["figures"]["scores"] = {"right": [], "wrong": []}
    with pytest.raises(WhiskerError, match="cannot be drawn"):
        write_report(tmp_path / "report.html", replace(whole, metrics=metrics), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": {"b": NaN}}', "NaN in its header"),
        ('{"a": [-Infinity]}', "-Infinity in its header"),
        ('{"a": 1e999}', "inf in its header, which is too large"),
        ('{"a": 9007199254740993}', "too large"),
        ('{"a": ' + "9" * 5000 + "}", "not a JSON object"),
        ('{"a": "\\udc00"}', "not Unicode"),
        ('{"\\udc00": 1}', "not Unicode"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 levels"),
        ('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}", "not a JSON object"),
        ("[1]", "not a JSON object"),
    ],
)
def test_json_that_no_reader_may_meet_is_refused(text: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        parse_object(text)


def test_generated_golden_pictures_are_small_and_costly_ones_are_not() -> None:
    require_small(golden_pictures())
    for picture in (scan_bomb(64, 9), scan_bomb(600, 1), b"GIF89a", b""):
        with pytest.raises(CheckpointError, match="golden picture 0"):
            require_small([picture])


def test_number_that_is_none_is_saved_as_null(whole: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(replace(whole, metrics={"test": {"accuracy": float("nan")}}), tmp_path / "c.safetensors")
    assert load_checkpoint(tmp_path / "c.safetensors").metrics == {"test": {"accuracy": None}}


def _with(checkpoint: Checkpoint, part: str, document: dict[str, Any]) -> Checkpoint:
    return replace(checkpoint, metrics=document) if part == "metrics" else replace(checkpoint, provenance=document)


def _places(document: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """List where the values of a document are; of each list, those in its first item."""
    items = document.items() if isinstance(document, dict) else enumerate(document[:1])
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*above, key))


def _put_in_header(place: tuple[str | int, ...], value: Any, header: dict[str, Any], _: dict[str, Tensor]) -> None:
    _put(header, place, value)


def _put(document: Any, place: tuple[str | int, ...], value: Any) -> None:
    *above, last = place
    for key in above:
        document = document[key]
    if value is _ABSENT:
        del document[last]
    else:
        document[last] = value


def _render(checkpoint: Checkpoint) -> None:
    """Do what the service does to show a checkpoint, after its worker has sent it as JSON, and what training says."""
    card = cast("CheckpointCard", json.loads(json.dumps(_card(checkpoint))))
    page = _templates.get_template("card.html").render(name=card["name"], version="0", **describe(card))
    (page + json.dumps(card, allow_nan=False, ensure_ascii=False)).encode()
    advise(summarise(checkpoint))


def _card(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "device": "cpu",
        "engine": "torch",
        "task": checkpoint.task,
        "classes": list(checkpoint.classes),
        "preprocessing": asdict(checkpoint.preprocessing),
        "network": checkpoint.network.to_json(),
        "temperature": checkpoint.temperature,
        "unsure": checkpoint.thresholds.unsure,
        "shown": checkpoint.thresholds.shown,
        "label_thresholds": None,
        "knows_novelty": checkpoint.novelty is not None,
        "has_heat_maps": True,
        "metrics": dict(checkpoint.metrics),
        "provenance": dict(checkpoint.provenance),
    }
