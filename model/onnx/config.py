"""The configuration of an imported ONNX graph: what leads from a picture to its input, and what its output is."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from whisker.model.errors import ConfigError
from whisker.model.plain_text import is_safe

FAMILY = "onnx"  # in a header, where other networks have theirs
Layout = Literal["NCHW", "NHWC"]
Order = Literal["rgb", "bgr"]
Scale = Literal["0..1", "0..255"]
Output = Literal["logits", "probabilities"]
Gives = Literal["features", "logits", "probabilities"]
Triple = tuple[float, float, float]

MIN_SIZE, MAX_SIZE = 32, 512  # pixels
_MAX_NAME = 255  # characters
_MAX_NUMBER = 1e6  # of a mean or a deviation
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "layout": get_args(Layout),
    "order": get_args(Order),
    "scale": get_args(Scale),
    "gives": get_args(Gives),
}


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """Describe how an ONNX graph is used: its input, and the tensor that is read from it.

    A picture becomes float32 of the `scale`, in the `order` of channels; then `mean` is subtracted, and the result is
    divided by `std`: both in that order, and on that scale. `tensor` is the name of the tensor that is read, and
    `gives` what that is: `features` before a last linear layer, which the checkpoint has as its own; `logits`; or
    `probabilities`, whose logarithm is taken. `batches` tells whether the graph takes several pictures at once.

    Raises `ConfigError` for a value out of range.
    """

    channels: ClassVar[int] = 3
    has_feature_map: ClassVar[bool] = False  # a graph of any kind: where a feature comes from is not known
    is_dense: ClassVar[bool] = False

    size: int
    tensor: str = "output"
    gives: Gives = "logits"
    layout: Layout = "NCHW"
    order: Order = "rgb"
    scale: Scale = "0..1"
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    batches: bool = True
    multiply_adds: int = 0  # a picture, of convolutions and matrices

    def __post_init__(self) -> None:
        _require(
            type(self.size) is int and MIN_SIZE <= self.size <= MAX_SIZE,
            f"size is {MIN_SIZE} to {MAX_SIZE} pixels",
            self.size,
        )
        _require(is_tensor_name(self.tensor), f"tensor is a name of 1 to {_MAX_NAME} printable characters", self.tensor)
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            _require(isinstance(value, str) and value in choices, f"{name} is one of {', '.join(choices)}", value)
        _require(_is_triple(self.mean), f"mean is three numbers of at most {_MAX_NUMBER:,.0f}", self.mean)
        _require(
            _is_triple(self.std) and all(value > 0 for value in self.std), "std is three numbers above 0", self.std
        )
        _require(isinstance(self.batches, bool), "batches is true or false", self.batches)
        _require(type(self.multiply_adds) is int and self.multiply_adds >= 0, "multiply_adds is 0 or more", None)

    @property
    def has_features(self) -> bool:
        """Tell whether what is read are features, by which photos can be compared."""
        return self.gives == "features"

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object that `from_json` reads."""
        return {"family": FAMILY, "channels": self.channels, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a configuration from its JSON object, in which a tuple has become a list."""
        rest = {name: value for name, value in values.items() if name not in ("family", "channels")}
        triples = {name: tuple(rest[name]) for name in ("mean", "std")}
        return cls(**{**rest, **triples})


def is_tensor_name(value: object) -> bool:
    """Tell whether a header can hold the name of a tensor."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_NAME and is_safe(value)


def _is_triple(values: object) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == 3
        and all(type(value) in (int, float) and math.isfinite(value) and abs(value) <= _MAX_NUMBER for value in values)
    )


def _require(condition: bool, rule: str, value: object) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise ConfigError(f"The ONNX graph's {rule}, not {reprlib.repr(value)}.")
