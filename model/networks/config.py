"""The configuration of a network: everything needed to build it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from whisker.model.errors import ConfigError

Family = Literal["mlp", "cnn", "resnet", "efficientnet-lite"]
Activation = Literal["relu", "sigmoid", "relu6"]
Variant = Literal["d", "original", "lite0", "lite1", "lite2"]

STAGES = 4  # of a network from scratch; each halves the resolution and doubles the channels (He et al. 2015)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a family may be: its variants and activations, stages, and the pixels that a size is a multiple of."""

    variants: tuple[Variant, ...]
    activations: tuple[Activation, ...] = ("relu", "sigmoid")
    stages: int = STAGES
    uneven: bool = False  # whether stages may differ in depth
    width: int | None = None  # the only width there is
    size_step: int = 1


_RULES: Mapping[Family, _Rules] = {
    "mlp": _Rules(("d",)),
    "cnn": _Rules(("d",)),
    "resnet": _Rules(("d", "original"), uneven=True),
    # TensorFlow pads odd and even sizes differently: multiples of 32 stay even through all five halvings.
    "efficientnet-lite": _Rules(("lite0", "lite1", "lite2"), ("relu6",), stages=7, uneven=True, width=32, size_step=32),
}
PUBLISHED: Mapping[Variant, tuple[Family, Activation, int, tuple[int, ...]]] = {
    "lite0": ("efficientnet-lite", "relu6", 32, (1, 2, 2, 3, 3, 4, 1)),
    "lite1": ("efficientnet-lite", "relu6", 32, (1, 3, 3, 4, 4, 5, 1)),
    "lite2": ("efficientnet-lite", "relu6", 32, (1, 3, 3, 4, 4, 5, 1)),
}


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Describe a network completely; equal configurations build networks of equal shapes.

    `width` is the units of a hidden layer (mlp) or the channels of the first stage (others). `depth` is the hidden
    layers (mlp), the convolutions a stage (cnn) or the blocks a stage (others; a number for each stage where they
    differ). `channels` is what the first layer sees: 3 for colour, 1 for grayscale (the input is RGB in both cases).
    `size` is the side in pixels. `variant` is a family's shape: for residual networks ResNet-D, or the original with a
    7x7 stem; for an EfficientNet-Lite its number.

    Raises `ConfigError` for a value out of range.
    """

    family: Family = "resnet"
    activation: Activation = "relu"
    width: int = 32
    depth: int | tuple[int, ...] = 2
    channels: Literal[1, 3] = 3
    size: int = 128
    variant: Variant = "d"

    def __post_init__(self) -> None:
        _require(self.family in _RULES, f"family is one of {', '.join(_RULES)}", self.family)
        rules = _RULES[self.family]
        known = get_args(Variant) if self.variant not in get_args(Variant) else rules.variants
        _require(self.variant in known, f"variant is one of {', '.join(known)}", self.variant)
        _require(
            self.activation in rules.activations,
            f"activation is one of {', '.join(rules.activations)}",
            self.activation,
        )
        if rules.width is None:
            _require(_is_int(self.width, 2, 2048) and self.width % 2 == 0, "width is an even 2 to 2048", self.width)
        else:
            _require(self.width == rules.width, f"width is {rules.width}", self.width)
        _require(self._depth_is_valid(rules), _depth_rule(rules), self.depth)
        _require(self.channels in (1, 3), "channels is 1 (grayscale) or 3 (colour)", self.channels)
        _require(_is_int(self.size, 32, 512), "size is 32 to 512 pixels", self.size)
        _require(self.size % rules.size_step == 0, f"size is a multiple of {rules.size_step} pixels", self.size)

    @classmethod
    def published(cls, variant: Variant, size: int) -> Self:
        """Describe a network of a published shape, in colour."""
        family, activation, width, depth = PUBLISHED[variant]
        return cls(family, activation, width, depth, 3, size, variant)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration from its JSON object, in which a tuple has become a list."""
        depth = values["depth"]
        return cls(**{**values, "depth": tuple(depth) if isinstance(depth, list) else depth})

    @property
    def depths(self) -> tuple[int, ...]:
        """Give the depth of each stage."""
        return self.depth if isinstance(self.depth, tuple) else (self.depth,) * _RULES[self.family].stages

    @property
    def size_step(self) -> int:
        """Give the number of pixels that a size is a multiple of."""
        return _RULES[self.family].size_step

    @property
    def has_feature_map(self) -> bool:
        """Tell whether features belong to places of the picture, as heat maps need."""
        return self.family != "mlp"

    @property
    def gains_by_int8(self) -> bool:
        """Tell whether int8 is much faster than bfloat16: for dense convolutions, not for depthwise ones."""
        return self.family in ("mlp", "cnn", "resnet")

    def _depth_is_valid(self, rules: _Rules) -> bool:
        uniform = not isinstance(self.depth, tuple)
        stages_fit = uniform or (rules.uneven and len(self.depths) == rules.stages)
        return stages_fit and all(_is_int(depth, 1, 32) for depth in self.depths)


def _depth_rule(rules: _Rules) -> str:
    each = f", or {rules.stages} such numbers, one for each stage" if rules.uneven else ""
    return f"depth is 1 to 32{each}"


def _is_int(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _require(condition: bool, rule: str, value: object) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigError(f"The network's {rule}, not {value!r}.")
