"""Quantisation to int8: convolutions and matrices in 8 bits, after training, without changing the weights stored.

Activations get one scale a layer, from the range seen on training photos; weights get one a channel, from themselves
(Jacob et al. 2018, with the scheme of Krishnamoorthi 2018 for convolutions). The last layer stays in float32: it
costs nothing and decides the answer.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from whisker.model.checkpoint.contents import Range
from whisker.model.engines.graph import fold
from whisker.model.engines.torch_engine import FoldedEngine
from whisker.model.errors import EngineError
from whisker.model.networks.base import Network

_LEVELS = 255  # steps of an activation's 8 bits
MAX_WEIGHT = 127  # symmetric, so that 0 stays 0 and -w mirrors w
MAX_NARROW_WEIGHT = 63  # of 7 bits: the sum of two products, up to 2 * 255 * 63, fits into 16 bits


class Quantized(nn.Module):
    """A convolution or a matrix whose input and weights are rounded to 8 bits, computed in float: a simulation."""

    def __init__(self, layer: nn.Conv2d | nn.Linear, bounds: Range, max_weight: int = MAX_WEIGHT) -> None:
        super().__init__()
        self.layer, self.max_weight = layer, max_weight
        low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)  # 0 must be exact: convolutions pad with it
        self.scale = max(high - low, 1e-6) / _LEVELS
        self.zero_point = round(-low / self.scale)
        largest = layer.weight.detach().abs().flatten(1).amax(1)
        self.weight_scale = nn.Buffer(largest.clamp_min(1e-12) / max_weight)  # [channels out]

    @property
    def input_bounds(self) -> Range:
        """Return the lowest and highest input that 8 bits can represent."""
        return -self.zero_point * self.scale, (_LEVELS - self.zero_point) * self.scale

    @property
    def largest_weight(self) -> Tensor:
        """Return the largest absolute weight of each output channel: `[channels out]`."""
        return self.weight_scale * self.max_weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, _LEVELS)
        zeros = torch.zeros_like(self.weight_scale, dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(
            self.layer.weight, self.weight_scale, zeros, 0, -self.max_weight, self.max_weight
        )
        if isinstance(self.layer, nn.Conv2d):
            stride, padding, groups = self.layer.stride, self.layer.padding, self.layer.groups
            return functional.conv2d(x, weight, self.layer.bias, stride, padding, groups=groups)
        return functional.linear(x, weight, self.layer.bias)


class SimulatedInt8Engine(FoldedEngine):
    """Answer as an int8 engine does, but in float32 arithmetic: for measuring what int8 costs, on any device."""

    def __init__(
        self, network: Network, device: str, ranges: Mapping[str, Range], *, max_weight: int = MAX_WEIGHT
    ) -> None:
        super().__init__(network, device, torch.float32)
        quantize(self._graph, ranges, max_weight)


def quantize(graph: fx.GraphModule, ranges: Mapping[str, Range], max_weight: int) -> None:
    """Replace each convolution and matrix of a folded graph by its quantised self, with weights up to `max_weight`.

    Raises `EngineError` if one of them has no range.
    """
    for name, layer in _layers(graph):
        if name not in ranges:
            raise EngineError(f"the checkpoint has no range for the inputs of {name}")
        graph.set_submodule(name, Quantized(layer, ranges[name], max_weight))


@torch.inference_mode()
def measure_ranges(network: Network, batches: Iterable[Tensor]) -> dict[str, Range]:
    """Find the lowest and highest input of each layer over float32 batches `[N, 3, H, W]` in 0..1."""
    graph = fold(network)
    ranges: dict[str, Range] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def widen(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = (float(bound) for bound in inputs[0].aminmax())
            known = ranges.get(name, (low, high))
            ranges[name] = (min(low, known[0]), max(high, known[1]))

        return widen

    for name, layer in _layers(graph):
        layer.register_forward_pre_hook(watch(name))
    for batch in batches:
        graph(network.normalization(batch))
    return ranges


def _layers(graph: fx.GraphModule) -> list[tuple[str, nn.Conv2d | nn.Linear]]:
    return [(name, layer) for name, layer in graph.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
