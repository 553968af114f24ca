"""Pretrained weights to start from: a Whisker checkpoint, or a file with common names; and how they are taken over."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from whisker.model import NetworkConfig, load_checkpoint
from whisker.model.checkpoint.file import is_checkpoint
from whisker.model.errors import ConfigError
from whisker.model.networks.base import Network
from whisker.training.errors import TrainingError
from whisker.training.pretrained.names import infer_network
from whisker.training.progress import Progress

# The normalisation of torchvision's and timm's ImageNet weights, RGB in 0..1.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MAX_NAMES = 4  # of tensors, listed on the screen


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights by name, their network, and the classes of its last layer if they are known.

    `source` says in a few words what they are, `sha256` is that of their file. `normalization` is the mean and the
    deviation of each channel, RGB in 0..1, that the network was trained with.
    """

    weights: Mapping[str, Tensor]
    network: NetworkConfig
    classes: tuple[str, ...] = ()
    own: bool = False  # a Whisker checkpoint
    source: str = ""
    sha256: str = ""
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = (_IMAGENET_MEAN, _IMAGENET_STD)


def file_digest(path: Path | None) -> str:
    """Hash a file's content with SHA-256; return "" for no file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def read_pretrained(path: Path) -> Pretrained:
    """Read a safetensors file, and infer the network of its weights.

    Raises `TrainingError` if it is not a safetensors file or not of a network that Whisker builds, and
    `CheckpointError` if it is a damaged Whisker checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            own = is_checkpoint(file.metadata() or {})
            weights = {} if own else {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as exc:
        raise TrainingError(f"{path} is not a readable safetensors file: --pretrained needs one.") from exc
    if own:
        checkpoint = load_checkpoint(path)
        return Pretrained(
            checkpoint.state,
            checkpoint.network,
            checkpoint.classes,
            own=True,
            source=f"the checkpoint {checkpoint.name}",
            sha256=checkpoint.sha256,
        )
    try:
        return Pretrained(weights, infer_network(weights), source=f"the weights {path.name}", sha256=file_digest(path))
    except ConfigError as exc:
        raise TrainingError(f"{path} cannot be used as pretrained weights: {exc}") from exc


def apply_pretrained(network: Network, pretrained: Pretrained, classes: Sequence[str], progress: Progress) -> None:
    """Copy the tensors with fitting name and shape, and report the others; raise `TrainingError` if none fits.

    The last layer is copied only if its classes are known to be the same. Weights that are not from a Whisker
    checkpoint bring ImageNet's normalisation.
    """
    state = network.state_dict()
    weights = dict(pretrained.weights)
    if pretrained.classes != tuple(classes):
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
    fitting = {name: weights[name] for name in state if name in weights and weights[name].shape == state[name].shape}
    if not any(tensor.ndim > 1 for tensor in fitting.values()):
        raise TrainingError("No weights of the --pretrained file fit this network.")
    network.load_state_dict(state | fitting)
    if not pretrained.own and network.normalization.channels == len(_IMAGENET_MEAN):
        mean, std = (torch.tensor(values) for values in pretrained.normalization)
        network.normalization.mean.copy_(mean)
        network.normalization.std.copy_(std)
    new = [name for name in state if name not in fitting and not name.startswith("normalization.")]
    unused = sorted(pretrained.weights.keys() - fitting.keys())
    progress.say(
        f"Pretrained: {len(fitting)} of {len(state)} tensors used; newly initialised: {_list(new)}; "
        f"not used: {_list(unused)}; normalisation: {'as in that checkpoint' if pretrained.own else 'of ImageNet'}."
    )


def _list(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
        or "none"
    )
