import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from whisker.model import (
    Checkpoint,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.contents import HeldOut
from whisker.model.checkpoint.integrity import content_digest
from whisker.model.errors import CheckpointError
from whisker.model.networks.build import require_trainable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def path(untrained: Checkpoint, tmp_path: Path) -> Path:
    save_checkpoint(untrained, tmp_path / "c.safetensors")
    return tmp_path / "c.safetensors"


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object], *, seal: bool = True) -> None:
    """Change header and tensors as somebody with the right tools would; `seal` makes the digest right again."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["whisker"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header, tensors)
    if seal:
        header.pop("digest", None)
        header["digest"] = content_digest(header, tensors)
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


def test_depth_of_each_stage_and_variant_survive_the_file(tmp_path: Path) -> None:
    config = NetworkConfig(width=2, depth=(1, 2, 1, 1), size=32, variant="original")
    state = build_network(config, 2).state_dict()
    checkpoint = with_golden_answers(Checkpoint("c", config, Preprocessing(32), ("a", "b"), state))
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    assert load_checkpoint(tmp_path / "c.safetensors").network == config


@pytest.fixture
def novel(untrained: Checkpoint, tmp_path: Path) -> Path:
    """Write a checkpoint with a measure of novelty: five prototypes of 16 features."""
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.nn.functional.normalize(torch.randn((5, 16), generator=generator))
    direction = (torch.arange(16) / 7).numpy()
    novelty = Novelty(prototypes.numpy(), direction, neighbours=3, distance_weight=0.7, typical=0.125, threshold=0.5)
    save_checkpoint(replace(untrained, novelty=novelty), tmp_path / "novel.safetensors")
    return tmp_path / "novel.safetensors"


def test_novelty_survives_the_file(novel: Path) -> None:
    novelty = load_checkpoint(novel).novelty
    assert novelty is not None
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.nn.functional.normalize(torch.randn((5, 16), generator=generator))
    np.testing.assert_allclose(novelty.prototypes, prototypes, atol=5e-4)  # halves in the file
    assert novelty.prototypes.dtype == novelty.direction.dtype == np.float32
    assert (novelty.direction == (torch.arange(16) / 7).numpy()).all()
    assert (novelty.neighbours, novelty.distance_weight, novelty.typical, novelty.threshold) == (3, 0.7, 0.125, 0.5)


def test_saving_what_was_loaded_changes_nothing(novel: Path, tmp_path: Path) -> None:
    save_checkpoint(load_checkpoint(novel), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == novel.read_bytes()


def test_checkpoint_of_a_version_without_novelty_loads(path: Path) -> None:
    def strip(header: dict[str, Any], _: dict[str, Tensor]) -> None:
        del header["novelty"], header["network"]["variant"]

    rewrite(path, strip)
    checkpoint = load_checkpoint(path)
    assert checkpoint.novelty is None
    assert require_trainable(checkpoint.network).variant == "d"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, t: t.pop("novelty.prototypes"), "lacks the tensors of its novelty measure"),
        (lambda _, t: t.pop("novelty.direction"), "lacks the tensors of its novelty measure"),
        (lambda _, t: t.update({"novelty.prototypes": torch.ones(16)}), "in the wrong shape"),
        (lambda _, t: t.update({"novelty.direction": torch.ones(15)}), "in the wrong shape"),
        (lambda _, t: t.update({"novelty.direction": torch.ones(1, 16)}), "in the wrong shape"),
        (
            lambda _, t: t.update({"novelty.prototypes": torch.ones(5, 8), "novelty.direction": torch.ones(8)}),
            "prototypes of 8 features, where its network has 16",
        ),
        (lambda _, t: t["novelty.prototypes"][0].fill_(float("nan")), "NaN or infinity in its novelty measure"),
        (lambda _, t: t["novelty.direction"][3:].fill_(float("inf")), "NaN or infinity in its novelty measure"),
        (lambda h, _: h["novelty"].update(neighbours=0), "compares with 0 prototypes, where it has 5"),
        (lambda h, _: h["novelty"].update(neighbours=6), "compares with 6 prototypes, where it has 5"),
        (lambda h, _: h["novelty"].update(neighbours=2.5), "compares with 2.5 prototypes"),
        (lambda h, _: h["novelty"].update(threshold=float("nan")), "NaN in its header, where a number belongs"),
        (lambda h, _: h["novelty"].update(typical="low"), "'low' as its typical, where a number"),
        (lambda h, _: h["novelty"].pop("distance_weight"), "lacks 'distance_weight' in its header"),
        (lambda h, _: h.update(novelty=[3]), r"\[3\] as its novelty measure, where an object belongs"),
    ],
)
def test_damaged_novelty_is_one_sentence(
    novel: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object], message: str
) -> None:
    rewrite(novel, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(novel)
    assert str(caught.value).startswith(f"The checkpoint {novel} ")
    assert str(caught.value).count("\n") == 0


@pytest.fixture
def held_out(untrained: Checkpoint, tmp_path: Path) -> Path:
    """Write a checkpoint with answers for three held-out photos, in two repeats."""
    logits = np.array([[[1, 2], [3, 4], [5, 6]], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]], np.float32)
    folds, distances = np.array([[0, 1, 2], [1, 0, 1]]), np.array([0.25, 0.5, 0.125], np.float32)
    save_checkpoint(replace(untrained, held_out=HeldOut(logits, folds, distances)), tmp_path / "held-out.safetensors")
    return tmp_path / "held-out.safetensors"


def test_answers_for_held_out_photos_survive_the_file(held_out: Path, untrained: Checkpoint) -> None:
    checkpoint = load_checkpoint(held_out)
    assert checkpoint.held_out is not None
    assert checkpoint.held_out.repeats == 2
    assert checkpoint.held_out.logits.dtype == np.float32
    np.testing.assert_array_equal(checkpoint.held_out.logits[0], [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_allclose(checkpoint.held_out.logits[1, 2], [0.5, 0.6], atol=1e-3)  # halves in the file
    np.testing.assert_array_equal(checkpoint.held_out.folds, [[0, 1, 2], [1, 0, 1]])
    np.testing.assert_array_equal(checkpoint.held_out.distances, [0.25, 0.5, 0.125])
    assert checkpoint.state.keys() == untrained.state.keys()


def test_distances_are_optional(held_out: Path) -> None:
    rewrite(held_out, lambda _, tensors: tensors.pop("held_out.distances"))
    checkpoint = load_checkpoint(held_out)
    assert checkpoint.held_out is not None
    assert checkpoint.held_out.distances is None


def test_saving_held_out_answers_that_were_loaded_changes_nothing(held_out: Path, tmp_path: Path) -> None:
    save_checkpoint(load_checkpoint(held_out), tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == held_out.read_bytes()


def test_checkpoint_of_photos_that_were_set_aside_has_no_held_out_answers(path: Path) -> None:
    assert load_checkpoint(path).held_out is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, t: t.update({"held_out.logits": torch.ones(3, 2)}), "held-out photos in the wrong shape"),
        (lambda _, t: t.update({"held_out.logits": torch.ones(2, 3, 4)}), "held-out photos in the wrong shape"),
        (lambda _, t: t.update({"held_out.folds": torch.ones(2, 4)}), "held-out photos in the wrong shape"),
        (lambda _, t: t["held_out.logits"][1].fill_(float("nan")), "NaN or infinity in its answers for held-out"),
        (lambda _, t: t.update({"held_out.distances": torch.ones(2)}), "distances of held-out photos that are not one"),
        (lambda _, t: t["held_out.distances"].fill_(float("inf")), "distances of held-out photos that are not one"),
    ],
)
def test_damaged_answers_for_held_out_photos_are_one_sentence(
    held_out: Path, change: Callable[[dict[str, Any], dict[str, Tensor]], object], message: str
) -> None:
    rewrite(held_out, change)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(held_out)


def test_same_checkpoint_saves_to_the_same_bytes(untrained: Checkpoint, path: Path, tmp_path: Path) -> None:
    save_checkpoint(untrained, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_full_disk_keeps_the_old_file(path: Path) -> None:
    """In a process of its own, for which the disk is full after half of the file."""
    before = path.read_bytes()
    script = """
import dataclasses, resource, signal, sys
from pathlib import Path
from model import load_checkpoint, save_checkpoint
from whisker.model.errors import CheckpointError
path = Path(sys.argv[1])
checkpoint = dataclasses.replace(load_checkpoint(path), name="new")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that the write fails, as on a full disk, and nothing is killed
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, unlimited[1]))
try:
    save_checkpoint(checkpoint, path)
except CheckpointError as error:
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)  # coverage writes its own file at the end
    sys.exit(f"refused: {error}")
"""
    ended = subprocess.run(  # noqa: S603
        [sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stderr.startswith(f"refused: The checkpoint {path} cannot be written: ")
    assert ended.stderr.count("\n") == 1
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
        (lambda h, _: h.update(temperature=float("nan")), "NaN in its header"),
        (lambda h, _: h["thresholds"].update(unsure=2), "threshold of 2"),
        (lambda h, _: h["network"].update(family="transformer"), "family is one of"),
        (lambda h, _: h["network"].update(surprise=1), "field of the wrong kind"),
        (lambda h, _: h["preprocessing"].update(resize="stretch"), "resize method 'stretch'"),
        (lambda h, _: h.update(metrics=3), "3 as its metrics, where an object belongs"),
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


def test_checkpoint_can_be_read_by_whoever_may_read_new_files(path: Path) -> None:
    """The user of the Docker image is another than the one who trained."""
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode
