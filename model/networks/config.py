"""The configuration of a network: everything needed to build it."""

import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

from whisker.model.errors import ConfigError

Family = Literal["mlp", "cnn", "resnet", "efficientnet-lite", "mobilenetv3", "convnext"]
Activation = Literal["relu", "sigmoid", "relu6", "hardswish", "gelu"]
Variant = Literal[
    "d",
    "original",
    "bottleneck",
    "bottleneck-d",
    "lite0",
    "lite1",
    "lite2",
    "large",
    "small",
    "atto",
    "femto",
    "pico",
    "nano",
    "tiny",
]

STAGES = 4  # of a network from scratch; each halves the resolution and doubles the channels (He et al. 2015)
_MAX_DEPTH = 64
_BASIC_ACTIVATIONS: tuple[Activation, ...] = ("relu", "sigmoid")


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a family may be: its variants and activations, and the pixels that a size is a multiple of."""

    variants: tuple[Variant, ...]
    activations: tuple[Activation, ...] = _BASIC_ACTIVATIONS
    uneven: bool = True  # whether stages may differ in depth
    size_step: int = 1
    epsilons: tuple[float, ...] = ()  # of batch-norm, besides the family's own
    has_feature_map: bool = True  # whether features are the mean of a map


class Published(NamedTuple):
    """A published shape: its width is the only one, and its depth that of the original."""

    family: Family
    activation: Activation
    width: int
    depth: tuple[int, ...]


_RULES: Mapping[Family, _Rules] = {
    "mlp": _Rules(("d",), uneven=False, has_feature_map=False),
    "cnn": _Rules(("d",), uneven=False),
    "resnet": _Rules(("d", "original", "bottleneck", "bottleneck-d")),
    # TensorFlow pads odd and even sizes differently: multiples of 32 stay even through all five halvings.
    "efficientnet-lite": _Rules(("lite0", "lite1", "lite2"), ("relu6",), size_step=32),
    # torchvision's weights were trained with TensorFlow's epsilon, timm's with PyTorch's.
    "mobilenetv3": _Rules(("large", "small"), ("hardswish",), epsilons=(1e-3,), has_feature_map=False),
    # Patches of 4 pixels, halved three times: of other sizes, a margin would go unseen.
    "convnext": _Rules(("atto", "femto", "pico", "nano", "tiny"), ("gelu",), size_step=32, has_feature_map=False),
}
PUBLISHED: Mapping[Variant, Published] = {
    "lite0": Published("efficientnet-lite", "relu6", 32, (1, 2, 2, 3, 3, 4, 1)),
    "lite1": Published("efficientnet-lite", "relu6", 32, (1, 3, 3, 4, 4, 5, 1)),
    "lite2": Published("efficientnet-lite", "relu6", 32, (1, 3, 3, 4, 4, 5, 1)),
    "large": Published("mobilenetv3", "hardswish", 16, (1, 2, 3, 4, 2, 3)),
    "small": Published("mobilenetv3", "hardswish", 16, (1, 2, 3, 2, 3)),
    "atto": Published("convnext", "gelu", 40, (2, 2, 6, 2)),
    "femto": Published("convnext", "gelu", 48, (2, 2, 6, 2)),
    "pico": Published("convnext", "gelu", 64, (2, 2, 6, 2)),
    "nano": Published("convnext", "gelu", 80, (2, 2, 8, 2)),
    "tiny": Published("convnext", "gelu", 96, (3, 3, 9, 3)),
}


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Describe a network completely; equal configurations build networks of equal shapes.

    `width` is the units of a hidden layer (mlp) or the channels of the first stage (others). `depth` is the hidden
    layers (mlp), the convolutions a stage (cnn) or the blocks a stage (others; a number for each stage where they
    differ). `channels` is what the first layer sees: 3 for colour, 1 for grayscale (the input is RGB in both cases).
    `size` is the side in pixels. `variant` is a family's shape: for residual networks ResNet-D, or the original with a
    7x7 stem, of basic or of bottleneck blocks; for other families the name of a published network. `epsilon` is what
    batch-norm adds to the variance; `None` stands for the family's own.

    Raises `ConfigError` for a value out of range.
    """

    family: Family = "resnet"
    activation: Activation = "relu"
    width: int = 32
    depth: int | tuple[int, ...] = 2
    channels: Literal[1, 3] = 3
    size: int = 128
    variant: Variant = "d"
    epsilon: float | None = None

    def __post_init__(self) -> None:
        _require(
            isinstance(self.family, str) and self.family in _RULES, f"family is one of {', '.join(_RULES)}", self.family
        )
        rules = _RULES[self.family]
        known = get_args(Variant) if self.variant not in get_args(Variant) else rules.variants
        _require(self.variant in known, f"variant is one of {', '.join(known)}", self.variant)
        _require(
            self.activation in rules.activations,
            f"activation is one of {', '.join(rules.activations)}",
            self.activation,
        )
        if self.variant in PUBLISHED:
            width = PUBLISHED[self.variant].width
            _require(_is_int(self.width, width, width), f"width is {width}", self.width)
        else:
            _require(_is_int(self.width, 2, 2048) and self.width % 2 == 0, "width is an even 2 to 2048", self.width)
        _require(self._depth_is_valid(rules), self._depth_rule(rules), self.depth)
        is_channels = _is_int(self.channels, 1, 3) and self.channels in (1, 3)
        _require(is_channels, "channels is 1 (grayscale) or 3 (colour)", self.channels)
        _require(_is_int(self.size, 32, 512), "size is 32 to 512 pixels", self.size)
        _require(self.size % rules.size_step == 0, f"size is a multiple of {rules.size_step} pixels", self.size)
        epsilons = (None, *rules.epsilons)
        _require(self.epsilon in epsilons, f"epsilon is one of {', '.join(map(str, epsilons))}", self.epsilon)

    @classmethod
    def published(cls, variant: Variant, size: int) -> Self:
        """Describe a network of a published shape, in colour."""
        shape = PUBLISHED[variant]
        return cls(shape.family, shape.activation, shape.width, shape.depth, 3, size, variant)

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object that `from_json` reads; what only some networks have is left out of others."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration from its JSON object, in which a tuple has become a list."""
        depth = values["depth"]
        return cls(**{**values, "depth": tuple(depth) if isinstance(depth, list) else depth})

    @property
    def depths(self) -> tuple[int, ...]:
        """Give the depth of each stage."""
        return self.depth if isinstance(self.depth, tuple) else (self.depth,) * self._stages

    @property
    def size_step(self) -> int:
        """Give the number of pixels that a size is a multiple of."""
        return _RULES[self.family].size_step

    @property
    def has_feature_map(self) -> bool:
        """Tell whether features are the mean of a map of the picture's places, as heat maps need."""
        return _RULES[self.family].has_feature_map

    @property
    def _stages(self) -> int:
        return len(PUBLISHED[self.variant].depth) if self.variant in PUBLISHED else STAGES

    @property
    def is_dense(self) -> bool:
        """Tell whether convolutions mix all channels: those that do not, depthwise ones, gain little by few bits.

        In int8, OpenVINO is several times as fast for the former and a seventh faster for the latter; PyTorch's
        bfloat16 is slower than float32 for the latter (docs/adr/0018).
        """
        return self.family in ("mlp", "cnn", "resnet")

    def _depth_is_valid(self, rules: _Rules) -> bool:
        uniform = not isinstance(self.depth, tuple)
        stages_fit = uniform or (rules.uneven and len(self.depths) == self._stages)
        return stages_fit and all(_is_int(depth, 1, _MAX_DEPTH) for depth in self.depths)

    def _depth_rule(self, rules: _Rules) -> str:
        each = f", or {self._stages} such numbers, one for each stage" if rules.uneven else ""
        return f"depth is 1 to {_MAX_DEPTH}{each}"


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _require(condition: bool, rule: str, value: object) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigError(f"The network's {rule}, not {reprlib.repr(value)}.")
