"""Pretrained weights to start from: a Whisker checkpoint, or a file with common names; and how they are taken over."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from whisker.model import Checkpoint, NetworkConfig, load_checkpoint
from whisker.model.checkpoint.file import is_checkpoint
from whisker.model.errors import ConfigError
from whisker.model.networks.base import Network
from whisker.model.networks.build import require_trainable
from whisker.training.errors import TrainingError
from whisker.training.pretrained.recognition import IMAGENET, ChannelStatistics, recognise
from whisker.training.pretrained.state_dicts import is_pickled
from whisker.training.progress import Progress

_MAX_NAMES = 4  # of tensors, listed on the screen
_ODD_NUMBERS = (RuntimeError, TypeError, ValueError)  # what PyTorch raises for kinds of numbers that it lacks


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights by name, their network, and the classes of its last layer if they are known.

    `source` says in a few words what they are, `sha256` is that of their file, and `revision` the commit of a file from
    the Hugging Face Hub. `normalization` is the mean and the deviation of each channel, RGB in 0..1, that the network
    was trained with.
    """

    weights: Mapping[str, Tensor]
    network: NetworkConfig
    classes: tuple[str, ...] = ()
    own: bool = False  # a Whisker checkpoint
    source: str = ""
    sha256: str = ""
    normalization: ChannelStatistics = IMAGENET
    revision: str = ""


def file_digest(path: Path | None) -> str:
    """Hash a file's content with SHA-256; return "" for no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def read_pretrained(path: Path) -> Pretrained:
    """Read a safetensors file, and recognise the network of its weights.

    Raises `TrainingError` if it is not a safetensors file or not of a network that Whisker builds, and
    `CheckpointError` if it is a damaged Whisker checkpoint.
    """
    state = read_safetensors(path)
    if state is None:
        return weights_of(load_checkpoint(path))
    try:
        found = recognise(state)
    except ConfigError as exc:
        raise TrainingError(f"{path} cannot be used as pretrained weights: {exc}") from exc
    return Pretrained(
        found.weights,
        found.network,
        source=f"{found.name}, {path.name}",
        sha256=file_digest(path),
        normalization=found.normalization,
    )


def weights_of(checkpoint: Checkpoint) -> Pretrained:
    """Take the weights of a Whisker checkpoint; raise `ConfigError` if it holds an imported graph."""
    return Pretrained(
        checkpoint.state,
        require_trainable(checkpoint.network),
        checkpoint.classes,
        own=True,
        source=f"Whisker checkpoint {checkpoint.name}",
        sha256=checkpoint.sha256,
    )


def read_safetensors(path: Path) -> dict[str, Tensor] | None:
    """Read the tensors of a safetensors file as float32; return `None` if it is a Whisker checkpoint.

    Raises `TrainingError` if it is not a safetensors file.
    """
    if not path.is_file():
        kind = (
            "is a folder, not a file of weights" if path.is_dir() else "does not exist: check the path of --pretrained"
        )
        raise TrainingError(f"{path} {kind}.")
    try:
        if is_pickled(path):
            words = shlex.join(("whisker", "import", str(path), "--out", f"{path.stem}.safetensors"))
            raise TrainingError(f"{path} is a file of PyTorch: convert it with `{words}`, and start from that.")
        with safe_open(path, framework="pt") as file:
            if is_checkpoint(file.metadata() or {}):
                return None
            return {name: _as_float(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, *_ODD_NUMBERS, OSError) as exc:
        raise TrainingError(f"{path} is not a readable safetensors file: --pretrained needs one.") from exc


def _as_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def apply_pretrained(network: Network, pretrained: Pretrained, classes: Sequence[str], progress: Progress) -> None:
    """Copy the tensors with fitting name and shape, and report the others; raise `TrainingError` if none fits.

    The last layer is copied only if its classes are known to be the same. Weights that are not from a Whisker
    checkpoint bring the normalisation that they were trained with.
    """
    state = network.state_dict()
    weights = dict(pretrained.weights)
    if pretrained.classes != tuple(classes):
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
    fitting = {name: weights[name] for name in state if name in weights and weights[name].shape == state[name].shape}
    if not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise TrainingError("No weights of the --pretrained file fit this network.")
    network.load_state_dict(state | fitting)
    if not pretrained.own and network.normalization.channels == len(IMAGENET[0]):
        mean, std = (torch.tensor(values) for values in pretrained.normalization)
        network.normalization.mean.copy_(mean)
        network.normalization.std.copy_(std)
    origin = "of ImageNet" if pretrained.normalization == IMAGENET else "of the original training"
    new = [name for name in state if name not in fitting and not name.startswith("normalization.")]
    unused = sorted(pretrained.weights.keys() - fitting.keys())
    last = pretrained.classes != tuple(classes)
    fresh, left = ([name for name in names if not last or not name.startswith("fc.")] for names in (new, unused))
    progress.say(
        f"Pretrained: {len(fitting)} of {len(state)} tensors are taken over. "
        + ("The last layer starts anew, as it is for other classes. " if last else "")
        + (f"Not in that file, and so initialised at random: {_list(fresh)}. " if fresh else "")
        + (f"Not used, as this network has no such part: {_list(left)}. " if left else "")
        + f"Normalization: {'as in that checkpoint' if pretrained.own else origin}."
    )


def _list(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
        or "none"
    )
