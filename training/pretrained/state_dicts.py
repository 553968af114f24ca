"""PyTorch's pickled files of weights: read without executing anything in them, and converted to safetensors."""

import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from whisker.model.atomic_write import atomic_write
from whisker.model.errors import ConfigError
from whisker.training.errors import TrainingError
from whisker.training.pretrained.names import unwrap
from whisker.training.pretrained.recognition import Recognised, recognise

_KEYS = ("state_dict", "model_state_dict", "model")  # under which training programs save a state dict
_MAX_NESTING = 4
_INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
# What a damaged file makes PyTorch's restricted unpickler raise, as found by damaging files at random.
_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_SAVE_AGAIN = (
    "with the program that made it, save the weights alone, `torch.save(model.state_dict(), 'weights.pth')`, and "
    "import that file"
)


def is_pickled(path: Path) -> bool:
    """Tell whether a file begins like those of `torch.save`; raises `OSError`."""
    with path.open("rb") as file:
        start = file.read(9)
    is_safetensors = start[8:] == b"{"  # after the header's length, whose first byte may be any
    return not is_safetensors and start.startswith((_ZIP, _PICKLE))


def convert_state_dict(path: Path, out: Path, *, overwrite: bool = False) -> Recognised:
    """Convert a state dict saved by PyTorch to a safetensors file; return what was recognised.

    Nothing in the file is executed. Raises `TrainingError` if it is anything else, or of no network that Whisker
    builds, or if `out` exists or cannot be written.
    """
    if out.suffix != ".safetensors":
        raise TrainingError(f"The converted file's name ends in .safetensors, not {out}: see --out.")
    if out.exists() and not overwrite:
        raise TrainingError(f"{out} exists: choose another name with --out, or replace it with --overwrite.")
    state = read_state_dict(path)
    try:
        recognised = recognise(state)
    except ConfigError as exc:
        raise TrainingError(f"{path} cannot be used as pretrained weights: {exc}") from exc
    # safetensors refuses tensors that share memory, or that are views.
    tensors = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}
    try:
        with atomic_write(out) as temporary:
            temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    except OSError as exc:
        raise TrainingError(f"{out} cannot be written: {exc.strerror}.") from exc
    return recognised


def read_state_dict(path: Path) -> Mapping[str, Tensor]:
    """Read the state dict in a file of `torch.save`, without what training programs put around it.

    Raises `TrainingError` if the file is anything else.
    """
    if not path.is_file():
        raise TrainingError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}: name a file of weights.")
    try:
        pickled = is_pickled(path)
    except OSError as exc:
        raise TrainingError(f"{path} cannot be read: {exc.strerror}.") from exc
    if not pickled:
        raise TrainingError(
            f"{path} is neither a file of PyTorch nor ONNX; a safetensors file goes to --pretrained as it is."
        )
    return _plain_tensors(path, _find_state(path, _load(path)))


def _load(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles of other programs, which are refused if they hold more
            return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as exc:
        if "TorchScript" in str(exc):
            raise TrainingError(f"{path} holds a TorchScript program, which is not loaded: {_SAVE_AGAIN}.") from exc
        if found := re.search(r"GLOBAL ([\w.]+)", str(exc)):
            raise TrainingError(
                f"{path} holds Python objects ({found[1]}) besides tensors, and loading them could run code: "
                f"{_SAVE_AGAIN}."
            ) from exc
        raise TrainingError(f"{path} is not a readable file of PyTorch: download it again.") from exc


def _find_state(path: Path, content: Any) -> Mapping[Any, Any]:
    for _ in range(_MAX_NESTING):  # a pickle may hold itself
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _KEYS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            return content
        content = inner
    raise TrainingError(f"{path} holds a {type(content).__name__}, not a state dict: {_SAVE_AGAIN}.")


def _plain_tensors(path: Path, state: Mapping[Any, Any]) -> Mapping[str, Tensor]:
    if "param_groups" in state:
        raise TrainingError(f"{path} holds an optimizer's state, not a network's weights: {_SAVE_AGAIN}.")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or not _is_plain(value):
            kind = type(value).__name__ if not isinstance(value, Tensor) else f"{value.dtype} tensor of another kind"
            raise TrainingError(f"{path} holds more than a state dict ({name!r} is a {kind}): {_SAVE_AGAIN}.")
    return unwrap(state)


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is ordinary numbers, all of them in memory: not quantised, sparse, complex or repeated."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return False
    numbers = tensor.is_floating_point() or tensor.dtype in _INTEGERS
    return numbers and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
