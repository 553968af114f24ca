"""The names of tensors in others' files, and ours: from a state dict to a network's configuration and weights."""

import re
from collections.abc import Mapping

from torch import Tensor

from whisker.model.errors import ConfigError
from whisker.model.networks.config import PUBLISHED, STAGES, NetworkConfig

_LITE_LAYERS = {  # of the original EfficientNet code for PyTorch, in most blocks
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_LITE_FIRST_LAYERS = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "fc"}


def rename_lite(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give an EfficientNet-Lite's tensors our names, which are timm's; blocks are numbered by stage."""
    blocks = len({name.split(".")[1] for name in state if name.startswith("_blocks.")})
    depths = next(depth for _, _, _, depth in PUBLISHED.values() if sum(depth) == blocks)
    places = [(stage, block) for stage, depth in enumerate(depths) for block in range(depth)]
    renamed = {}
    for name, tensor in state.items():
        first, *rest = name.split(".")
        if first == "_blocks":
            stage, block = places[int(rest[0])]
            layers = _LITE_LAYERS if stage else _LITE_FIRST_LAYERS
            renamed[f"blocks.{stage}.{block}.{layers[rest[1]]}.{rest[2]}"] = tensor
        else:
            renamed[f"{_LITE_ENDS[first]}.{rest[0]}"] = tensor
    return renamed


def infer_network(weights: Mapping[str, Tensor]) -> NetworkConfig:
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
