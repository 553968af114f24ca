"""PyTorch's files of weights: converted without executing anything, or refused in one sentence."""

import argparse
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.pretrained.reference import others
from tests.training.pretrained.reference.others import SHALLOW
from whisker.training.errors import TrainingError
from whisker.training.pretrained.state_dicts import convert_state_dict
from whisker.training.pretrained.weights import read_pretrained

ROOT = Path(__file__).parents[3]
RESNET = dict(others.resnet(SHALLOW, 8))
NAME = f"a ResNet of bottleneck blocks, width 8 and depth {SHALLOW}"


@pytest.fixture
def pth(tmp_path: Path) -> Path:
    return tmp_path / "resnet.pth"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "resnet.safetensors"


class Malicious:
    """Pickled, this creates a file as soon as it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize(
    "content",
    [
        RESNET,
        {"state_dict": RESNET, "epoch": 90},
        {"model": RESNET, "optimizer": {"state": {}, "param_groups": []}},
        {"model_state_dict": {f"module.{name}": tensor for name, tensor in RESNET.items()}},
        {"state_dict": {"model": RESNET}},
        {name: nn.Parameter(tensor, requires_grad=False) for name, tensor in RESNET.items()},
    ],
    ids=["bare", "state_dict", "model", "module", "nested", "parameters"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dict_is_converted(content: Any, zipped: bool, pth: Path, out: Path) -> None:  # noqa: FBT001
    torch.save(content, pth, _use_new_zipfile_serialization=zipped)
    assert convert_state_dict(pth, out).name == NAME
    converted = load_file(out)
    assert converted.keys() == RESNET.keys()
    assert all(torch.equal(tensor, RESNET[name]) for name, tensor in converted.items())
    assert read_pretrained(out).source == f"{NAME}, resnet.safetensors"


def test_names_and_precision_are_kept(pth: Path, out: Path) -> None:
    theirs = {name: tensor.half() for name, tensor in others.convnext_torchvision(40, SHALLOW).items()}
    torch.save(theirs, pth)
    convert_state_dict(pth, out)
    converted = load_file(out)
    assert converted.keys() == theirs.keys()
    assert converted["features.0.0.weight"].dtype == torch.float16


def test_tensors_that_share_memory_are_converted(pth: Path, out: Path) -> None:
    shared = RESNET | {"head.weight": RESNET["fc.weight"], "head.bias": RESNET["fc.weight"].T}
    torch.save(shared, pth)
    convert_state_dict(pth, out)
    assert torch.equal(load_file(out)["head.bias"], RESNET["fc.weight"].T)


@pytest.mark.parametrize("zipped", [True, False])
def test_malicious_pickle_is_refused_unexecuted(zipped: bool, pth: Path, out: Path, tmp_path: Path) -> None:  # noqa: FBT001
    mark = tmp_path / "executed"
    torch.save(RESNET | {"evil": Malicious(mark)}, pth, _use_new_zipfile_serialization=zipped)
    with pytest.raises(TrainingError, match=r"holds Python objects \(\w+\.mkdir\) besides tensors, .* could run code"):
        convert_state_dict(pth, out)
    assert not mark.exists()
    assert not out.exists()
    torch.load(pth, weights_only=False)  # the proof that it is malicious
    assert mark.exists()


class Whole(nn.Module):
    """A network that somebody saves as a whole."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x)
        return out


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def script() -> bytes:
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(Whole(), torch.rand(1, 2)), file)  # type: ignore[no-untyped-call]
    return file.getvalue()


def itself() -> dict[str, Any]:
    content: dict[str, Any] = {}
    content["model"] = content
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(Whole()), r"holds Python objects \([\w.]+Whole\) .*: with the program that made it, save the weights"),
        (saved({"args": argparse.Namespace()}), r"holds Python objects \(argparse.Namespace\) .*model.state_dict\(\)"),
        (saved(torch.optim.SGD([torch.zeros(1)], 0.1).state_dict()), "holds an optimizer's state"),
        (saved(torch.zeros(3)), "holds a Tensor, not a state dict"),
        (saved([RESNET]), "holds a list, not a state dict"),
        (saved({"net": RESNET}), r"holds more than a state dict \('net' is a dict\)"),
        (saved({7: torch.zeros(1)}), r"holds more than a state dict \(7 is a"),
        (
            saved({"conv1.weight": torch.zeros(2).to_sparse()}),
            r"'conv1.weight' is a torch.float32 tensor of another kind",
        ),
        (saved({"conv1.weight": torch.zeros(2, dtype=torch.complex64)}), "a torch.complex64 tensor of another kind"),
        (saved({"conv1.weight": torch.zeros(1).expand(10**7, 10**6)}), "a torch.float32 tensor of another kind"),
        (
            saved({"conv1.weight": torch.zeros(2, dtype=torch.uint8).view(torch.bits8)}),
            "torch.bits8 tensor of another",
        ),
        (saved(itself()), "holds a dict, not a state dict"),
        (saved({"cls_token": torch.zeros(1)}), "cannot be used as pretrained weights: it is a vision transformer"),
        (pickle.dumps({"conv1.weight": [1.0]}), "is not a readable file of PyTorch: download it again"),
        (saved(RESNET)[:5000], "is not a readable file of PyTorch: download it again"),
        (b"\x80\x02", "is not a readable file of PyTorch: download it again"),
        (b"hello", "is neither a file of PyTorch nor ONNX; a safetensors file goes to --pretrained as it is"),
        (b"", "is neither a file of PyTorch nor ONNX"),
    ],
)
def test_anything_else_is_refused(content: bytes, message: str, pth: Path, out: Path) -> None:
    pth.write_bytes(content)
    with pytest.raises(TrainingError, match=message) as caught:
        convert_state_dict(pth, out)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_program_is_refused(pth: Path, out: Path) -> None:
    pth.write_bytes(script())
    with pytest.raises(TrainingError, match="holds a TorchScript program, which is not loaded"):
        convert_state_dict(pth, out)


def test_damaged_files_are_refused_or_read_but_never_crash(pth: Path, out: Path) -> None:
    whole = saved({"conv1.weight": torch.zeros(2)})
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for position in torch.randint(len(whole), (4,), generator=generator).tolist():
            damaged[position] ^= 1 + position % 255
        pth.write_bytes(damaged)
        with pytest.raises(TrainingError):
            convert_state_dict(pth, out)


def test_files_that_are_there_or_not(pth: Path, out: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"resnet\.pth does not exist: name a file of weights"):
        convert_state_dict(pth, out)
    with pytest.raises(TrainingError, match="is a folder: name a file of weights"):
        convert_state_dict(tmp_path, out)
    torch.save(RESNET, pth)
    with pytest.raises(TrainingError, match=r"name ends in \.safetensors, not"):
        convert_state_dict(pth, tmp_path / "resnet.bin")
    with pytest.raises(TrainingError, match="cannot be written: No such file"):
        convert_state_dict(pth, tmp_path / "absent" / "resnet.safetensors")
    out.write_text("an hour's work")
    with pytest.raises(TrainingError, match="exists: choose another name with --out, or replace it with --overwrite"):
        convert_state_dict(pth, out)
    assert out.read_text() == "an hour's work"
    convert_state_dict(pth, out, overwrite=True)
    assert load_file(out).keys() == RESNET.keys()
    assert {file.name for file in tmp_path.iterdir()} == {"resnet.pth", "resnet.safetensors"}


def test_command_says_what_it_recognised(pth: Path, out: Path) -> None:
    torch.save(RESNET, pth)
    command = [sys.executable, "-m", "whisker", "import", str(pth), "--out", str(out)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    said = " ".join(ended.stdout.split())
    assert f"Recognised {NAME}. Wrote {out}." in said
    assert "Start from it: whisker train photos --pretrained" in said
    assert out.is_file()
