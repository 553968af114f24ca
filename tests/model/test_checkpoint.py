import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import model.checkpoint as checkpoint_module
from model import Checkpoint, load_checkpoint, save_checkpoint
from model.errors import CheckpointError


@pytest.fixture
def path(untrained: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(untrained, tmp_path / "c.safetensors")
    return tmp_path / "c.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None], *, seal: bool = True) -> None:
    """Change header and tensors as somebody with the right tools would; `seal` makes the digest right again."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["whisker"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    if seal:
        header.pop("digest", None)
        header["digest"] = checkpoint_module.content_digest(header, tensors)
    save_file(tensors, path, metadata={"whisker": json.dumps(header)})


def test_round_trip_keeps_everything(untrained: Checkpoint, path: Path) -> None:
    loaded = load_checkpoint(path)
    for field in ("name", "network", "preprocessing", "classes", "temperature", "thresholds", "metrics", "provenance"):
        assert getattr(loaded, field) == getattr(untrained, field)
    assert loaded.state.keys() == untrained.state.keys()
    assert all(torch.equal(loaded.state[name], untrained.state[name]) for name in loaded.state)
    assert loaded.golden is not None
    assert untrained.golden is not None
    assert loaded.golden.pictures == untrained.golden.pictures
    assert len(loaded.sha256) == 64


def test_same_checkpoint_saves_to_the_same_bytes(untrained: Checkpoint, path: Path, tmp_path: Path) -> None:
    save_checkpoint(untrained, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_failed_save_keeps_the_old_file(untrained: Checkpoint, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_module, "save_file", full_disk)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(replace(untrained, name="new"), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_checkpoint_without_golden_answers_is_not_saved(untrained: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="golden"):
        save_checkpoint(replace(untrained, golden=None), tmp_path / "c.safetensors")


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint file at "):
        load_checkpoint(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 a pickled checkpoint", b"\xff" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(tmp_path / "c")


def test_plain_weights_are_refused(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="no Whisker header"):
        load_checkpoint(tmp_path / "c")


def test_header_that_is_not_json_is_refused(tmp_path: Path) -> None:
    for header in ("{", "[1]"):
        save_file({"fc.weight": torch.zeros(2, 2)}, tmp_path / "c", metadata={"whisker": header})
        with pytest.raises(CheckpointError, match="not a JSON object"):
            load_checkpoint(tmp_path / "c")


def test_truncated_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


def test_every_flipped_byte_of_the_weights_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for position in range(len(whole) - 1, len(whole) // 4, -len(whole) // 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match="changed or damaged"):
            load_checkpoint(path)


def test_changed_header_is_noticed(path: Path) -> None:
    rewrite(path, lambda header, _: header.update(temperature=2.0), seal=False)
    with pytest.raises(CheckpointError, match="changed or damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, _: h.update(format_version=99), "newer than"),
        (lambda h, _: h.pop("format_version"), "no format version"),
        (lambda h, _: h.pop("classes"), "lacks 'classes'"),
        (lambda h, _: h.update(classes=["b", "a"]), "not sorted"),
        (lambda h, _: h.update(classes=["a"]), "two or more"),
        (lambda h, _: h.update(classes=["a", 1]), "not text"),
        (lambda h, _: h.update(temperature=0), "temperature of 0"),
        (lambda h, _: h.update(temperature=float("nan")), "temperature of nan"),
        (lambda h, _: h["thresholds"].update(unsure=2), "threshold of 2"),
        (lambda h, _: h["network"].update(family="transformer"), "family is one of"),
        (lambda h, _: h["network"].update(surprise=1), "field of the wrong kind"),
        (lambda h, _: h["preprocessing"].update(resize="crop"), "resize method 'crop'"),
        (lambda h, _: h.update(metrics=3), "field of the wrong kind"),
        (lambda _, t: t.pop("fc.bias"), "lacks the tensor 'fc.bias'"),
        (lambda _, t: t.update(surprise=torch.zeros(1)), "'surprise' that its network lacks"),
        (lambda _, t: t.update({"fc.bias": torch.zeros(3)}), r"'fc.bias' as torch.float32 \[3\]"),
        (lambda _, t: t.update({"fc.bias": torch.zeros(2).half()}), "torch.float16"),
        (lambda _, t: t.update({"fc.bias": torch.tensor([1.0, float("nan")])}), "NaN or infinity in 'fc.bias'"),
        (lambda _, t: t.pop("golden.probabilities"), "no golden answers"),
        (lambda _, t: t.pop("golden.picture.3"), "lacks golden picture 3"),
    ],
)
def test_file_that_does_not_fit_is_refused(
    path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], None], message: str
) -> None:
    rewrite(path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"The checkpoint {path} ")
    assert str(caught.value).count("\n") == 0
