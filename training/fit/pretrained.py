"""Pretrained weights to fine-tune: a Whisker checkpoint, or any ResNet-18 or -34 with the common names."""

import hashlib
import re
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
from whisker.model.networks.config import STAGES
from whisker.training.errors import TrainingError
from whisker.training.progress import Progress

# The normalisation of torchvision's and timm's ImageNet weights, RGB in 0..1.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MAX_NAMES = 4  # of tensors, listed on the screen


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Weights by name, their network, and the classes of its last layer if they are known."""

    weights: Mapping[str, Tensor]
    network: NetworkConfig
    classes: tuple[str, ...] = ()
    own: bool = False  # a Whisker checkpoint


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
        return Pretrained(checkpoint.state, checkpoint.network, checkpoint.classes, own=True)
    try:
        return Pretrained(weights, _infer_network(weights))
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
        network.normalization.mean.copy_(torch.tensor(_IMAGENET_MEAN))
        network.normalization.std.copy_(torch.tensor(_IMAGENET_STD))
    new = [name for name in state if name not in fitting and not name.startswith("normalization.")]
    unused = sorted(pretrained.weights.keys() - fitting.keys())
    progress.say(
        f"Pretrained: {len(fitting)} of {len(state)} tensors used; newly initialised: {_list(new)}; "
        f"not used: {_list(unused)}; normalisation: {'as in that checkpoint' if pretrained.own else 'of ImageNet'}."
    )


def _infer_network(weights: Mapping[str, Tensor]) -> NetworkConfig:
    """Infer a residual network from its tensors; raise `ConfigError` unless it is one of basic blocks."""
    deep, plain = weights.get("conv1.0.weight"), weights.get("conv1.weight")
    stem = plain if deep is None else deep
    numbers = [_count_blocks(weights, stage) for stage in range(1, STAGES + 1)]
    if stem is None or stem.ndim != 4 or not all(numbers):
        raise ConfigError("it lacks the names of a ResNet (conv1, layer1.0.conv1 to layer4, fc).")
    if "layer1.0.conv3.weight" in weights:
        raise ConfigError("it is a ResNet of bottleneck blocks, such as ResNet-50; only ResNet-18 and -34 fit.")
    width = weights["layer1.0.conv1.weight"].shape[0]
    if stem.shape[1] not in (1, 3):
        raise ConfigError(f"its first layer takes {stem.shape[1]} channels, but a photo has 3 or, in grayscale, 1.")
    return NetworkConfig(
        width=width,
        depth=tuple(numbers),
        channels=1 if stem.shape[1] == 1 else 3,
        variant="original" if deep is None else "d",
    )


def _count_blocks(weights: Mapping[str, Tensor], stage: int) -> int:
    return len({match[1] for name in weights if (match := re.match(rf"layer{stage}\.(\d+)\.conv1\.weight$", name))})


def _list(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")
        or "none"
    )
