"""Which network a state dict is of: its configuration, inferred from its tensors, and its weights under our names."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from whisker.model.errors import ConfigError
from whisker.model.networks.build import build_network
from whisker.model.networks.config import PUBLISHED, STAGES, NetworkConfig, Variant
from whisker.training.pretrained.names import rename_convnext, rename_lite, rename_mobilenet, rename_timm, unwrap
from whisker.training.pretrained.unsupported import SUPPORTED, describe_unsupported

ChannelStatistics: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each channel
IMAGENET: ChannelStatistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # of timm's and torchvision's weights
HALF: ChannelStatistics = ((0.5,) * 3, (0.5,) * 3)  # of timm's weights that come from TensorFlow
_PIXELS: ChannelStatistics = (
    (127 / 255,) * 3,
    (128 / 255,) * 3,
)  # the original EfficientNet-Lite's (pixel - 127) / 128

_SIZE = 224  # pixels, that most ImageNet weights were trained at
_BASIC_SIZE = 128  # of small residual networks, which are made for speed
_LITE_SIZE = 256  # the closest to 240 and 260 that EfficientNet-Lite1 and -2 may have
_FOREIGN_PARTS = {"features", "_blocks"}  # what is left of their names was not renamed
_RESNETS: Mapping[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "ResNet-18",
    ("basic", (3, 4, 6, 3)): "ResNet-34",
    ("bottleneck", (2, 2, 2, 2)): "ResNet-26",
    ("bottleneck", (3, 4, 6, 3)): "ResNet-50",
    ("bottleneck", (3, 4, 23, 3)): "ResNet-101",
    ("bottleneck", (3, 8, 36, 3)): "ResNet-152",
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """A network that Whisker builds: what people call it, its configuration, and its weights under our names.

    `normalization` is the one that its usual weights were trained with, RGB in 0..1.
    """

    name: str
    network: NetworkConfig
    weights: Mapping[str, Tensor]
    normalization: ChannelStatistics = IMAGENET


def recognise(state: Mapping[str, Tensor]) -> Recognised:
    """Recognise the network of a state dict; a last layer may be absent, or of any kind.

    Raises `ConfigError`, with the end of a sentence that begins with the file, if Whisker does not build it.
    """
    state = unwrap(state)
    for name, read in _READERS.items():
        if name in state:
            recognised = read(state)
            _require_fit(recognised)
            return recognised
    raise ConfigError(describe_unsupported(state))


def fit_size(network: NetworkConfig, size: int) -> int:
    """Give the size in pixels closest to `size` that a network may have."""
    step = network.size_step
    return min(512 // step * step, max(-(-32 // step) * step, round(size / step) * step))


def _read_resnet(state: Mapping[str, Tensor]) -> Recognised:
    deep, bottleneck = "conv1.0.weight" in state, "layer1.0.conv3.weight" in state
    variants: tuple[Variant, Variant] = ("bottleneck", "bottleneck-d") if bottleneck else ("original", "d")
    depth = tuple(_count(state, rf"layer{stage}\.(\d+)\.conv1\.") for stage in range(1, STAGES + 1))
    config = NetworkConfig(
        width=_filters(state, "layer1.0.conv1.weight").shape[0],
        depth=depth,
        channels=_channels(state, "conv1.0.weight" if deep else "conv1.weight"),
        size=_SIZE if bottleneck else _BASIC_SIZE,
        variant=variants[deep],
    )
    kind = "bottleneck" if bottleneck else "basic"
    known = _RESNETS.get((kind, depth)) if config.width == 64 else None
    name = known or f"a ResNet of {kind} blocks, width {config.width} and depth {depth}"
    return Recognised(name + ("-D" if known and deep else ""), config, state)


def _read_timm_mobile(state: Mapping[str, Tensor]) -> Recognised:
    """Tell MobileNetV3 from EfficientNet-Lite: it has no batch-norm after its last convolution."""
    if "bn2.weight" not in state:
        return _mobilenet(rename_timm(state), "timm")
    return _lite(rename_timm(state), HALF)


def _lite(weights: Mapping[str, Tensor], normalization: ChannelStatistics) -> Recognised:
    if any(re.search(r"\._?se[._]", name) for name in weights):
        raise ConfigError(f"it is an EfficientNet with squeeze-and-excitation; {SUPPORTED}.")
    depth = _depths(weights, "blocks", r"\.(\d+)\.conv_dw\.")
    variant: Variant = "lite1" if depth == PUBLISHED["lite1"].depth else "lite0"
    widened = weights.get("blocks.2.0.conv_pwl.weight")
    if widened is not None and widened.shape[:1] == (48,):  # 1.1 times 40, rounded to a multiple of 8
        variant = "lite2"
    network = _published(variant, depth, _channels(weights, "conv_stem.weight"))
    return Recognised(f"EfficientNet-{variant.capitalize()}", network, weights, normalization)


def _mobilenet(weights: Mapping[str, Tensor], origin: Literal["timm", "torchvision"]) -> Recognised:
    variant: Variant = "large" if "blocks.6.0.conv.weight" in weights else "small"
    depth = _depths(weights, "blocks", r"\.(\d+)\.conv_dw\.")
    epsilon = 1e-3 if origin == "torchvision" else None
    network = _published(variant, depth, _channels(weights, "conv_stem.weight"), epsilon)
    return Recognised(f"MobileNetV3 {variant.capitalize()} of {origin}", network, weights)


def _convnext(weights: Mapping[str, Tensor]) -> Recognised:
    if any(".grn." in name for name in weights):
        raise ConfigError(f"it is a ConvNeXt V2; {SUPPORTED}.")
    width = _filters(weights, "stem.0.weight").shape[0]
    variants = {shape.width: variant for variant, shape in PUBLISHED.items() if shape.family == "convnext"}
    if width not in variants:
        raise ConfigError(f"it is like a ConvNeXt of width {width}; {SUPPORTED}.")
    variant = variants[width]
    depth = _depths(weights, "stages", r"\.blocks\.(\d+)\.conv_dw\.")
    known = depth == PUBLISHED[variant].depth
    name = f"ConvNeXt {variant.capitalize()}" if known else f"a ConvNeXt of width {width} and depth {depth}"
    return Recognised(name, _published(variant, depth, _channels(weights, "stem.0.weight")), weights)


# By a tensor that only this network has.
_READERS: Mapping[str, Callable[[Mapping[str, Tensor]], Recognised]] = {
    "layer1.0.conv1.weight": _read_resnet,
    "blocks.0.0.conv_dw.weight": _read_timm_mobile,
    "_blocks.0._depthwise_conv.weight": lambda state: _lite(rename_lite(state), _PIXELS),
    "features.1.block.0.0.weight": lambda state: _mobilenet(rename_mobilenet(state), "torchvision"),
    "stages.0.blocks.0.conv_dw.weight": lambda state: _convnext(rename_timm(state)),
    "features.1.0.layer_scale": lambda state: _convnext(rename_convnext(state)),
}


def _published(
    variant: Variant, depth: tuple[int, ...], channels: Literal[1, 3], epsilon: float | None = None
) -> NetworkConfig:
    shape = PUBLISHED[variant]
    size = _LITE_SIZE if variant in ("lite1", "lite2") else _SIZE
    return NetworkConfig(shape.family, shape.activation, shape.width, depth, channels, size, variant, epsilon)


def _channels(weights: Mapping[str, Tensor], name: str) -> Literal[1, 3]:
    """Give the channels that a first convolution takes."""
    channels = _filters(weights, name).shape[1]
    if channels == 1:
        return 1
    if channels == 3:
        return 3
    raise ConfigError(f"its first layer takes {channels} channels, but a photo has 3 or, in grayscale, 1.")


def _filters(weights: Mapping[str, Tensor], name: str) -> Tensor:
    """Give the weights of a convolution: `[out, in, k, k]`."""
    if name not in weights or weights[name].ndim != 4:
        raise ConfigError(f"it has no convolution {name}; {SUPPORTED}.")
    return weights[name]


def _depths(weights: Mapping[str, Tensor], stages: str, block: str) -> tuple[int, ...]:
    """Count the blocks of each stage."""
    counts = [_count(weights, rf"{stages}\.{stage}{block}") for stage in range(_count(weights, rf"{stages}\.(\d+)\."))]
    return tuple(count for count in counts if count)


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in weights if (match := re.match(pattern, name))})


def _require_fit(recognised: Recognised) -> None:
    """Refuse weights that lack a tensor, or have one of another shape, or further ones within the network's parts."""
    with torch.device("meta"):
        expected = build_network(recognised.network, 2).state_dict()
    weights = recognised.weights
    needed = [name for name in expected if not re.match(r"fc\.|normalization\.|.*num_batches_tracked$", name)]
    parts = {name.partition(".")[0] for name in needed} | _FOREIGN_PARTS
    for name in needed:
        if name not in weights:
            raise ConfigError(f"it is like {recognised.name}, but lacks {name}; {SUPPORTED}.")
        theirs, ours = tuple(weights[name].shape), tuple(expected[name].shape)
        if theirs != ours:
            raise ConfigError(f"it is like {recognised.name}, but {name} is {theirs}, not {ours}; {SUPPORTED}.")
        if not weights[name].is_floating_point():
            kind = str(weights[name].dtype).removeprefix("torch.")
            raise ConfigError(f"it is like {recognised.name}, but {name} holds {kind}, not weights; {SUPPORTED}.")
        if not weights[name].is_meta and not weights[name].float().isfinite().all():
            raise ConfigError(f"{name} has values that are not finite numbers: the file is damaged or not trained.")
    for name in sorted(weights):
        if name not in expected and name.partition(".")[0] in parts:
            raise ConfigError(f"it is like {recognised.name}, but also has {name}; {SUPPORTED}.")
