"""A network exported for OpenVINO, which is optional: only `whisker.model.engines.choice` imports this module."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]
import torch
from openvino import opset14 as ops
from torch import Tensor, fx, nn

from whisker.model.checkpoint.contents import Quantization
from whisker.model.engines.base import OpenVinoModel
from whisker.model.engines.graph import fold
from whisker.model.engines.openvino_graph import take_apart
from whisker.model.engines.quantization import MAX_WEIGHT, Quantized, quantize
from whisker.model.errors import EngineError
from whisker.model.networks.base import Network, Normalization
from whisker.model.networks.convnext import ChannelNorm

_Node = Any  # openvino.Node: its stubs do not cover what operations take
_ACTIVATIONS: Mapping[type[nn.Module], Callable[[_Node], _Node]] = {
    nn.ReLU: ops.relu,
    nn.ReLU6: lambda x: ops.clamp(x, 0.0, 6.0),
    nn.Sigmoid: ops.sigmoid,
    nn.Hardswish: ops.hswish,
    nn.Hardsigmoid: ops.hsigmoid,
    nn.GELU: lambda x: ops.gelu(x, "ERF"),
}
_OPERATORS: Mapping[Callable[..., Any], Callable[[_Node, _Node], _Node]] = {
    operator.add: ops.add,
    operator.mul: ops.multiply,
}


def export_openvino_model(
    network: Network, size: int, quantization: Quantization | None = None, *, max_weight: int = MAX_WEIGHT
) -> OpenVinoModel:
    """Export a forward pass: uint8 pictures `[N, size, size, 3]` in, features `[N, F]` and their maps out.

    A network without feature maps has the one output alone. With a `quantization` it computes in int8, with weights up
    to `max_weight`. Raises `EngineError` for a layer without ranges, or a layer or an operation of an unknown kind.
    """
    graph = fold(network)
    if quantization is not None:
        quantize(graph, quantization.ranges, max_weight)
    return take_apart(_build(graph, network.normalization, size))


def _build(graph: fx.GraphModule, normalization: Normalization, size: int) -> openvino.Model:
    """Translate a normalisation and a folded graph to OpenVINO, for one picture, uint8 `[1, size, size, 3]`."""
    pictures = ops.parameter([1, size, size, 3], np.uint8)
    x = ops.convert(ops.transpose(pictures, [0, 3, 1, 2]), np.float32)
    features, maps = _Translator(graph).run(_normalize(normalization, ops.divide(x, np.float32(255))))
    outputs = [ops.result(output) for output in (features, maps) if output is not None]
    return openvino.Model(outputs, [pictures])


class _Translator(fx.Interpreter):
    """Run a folded graph with OpenVINO's nodes in place of tensors."""

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Node:
        del kwargs  # our networks give their layers one input, and nothing by name
        return _translate(self.fetch_attr(target), args[0])

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Node:
        del kwargs
        if target not in _OPERATORS:
            raise EngineError(f"the export does not support the operation {getattr(target, '__name__', target)}")
        return _OPERATORS[target](*args)

    def call_method(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Node:
        del kwargs
        if target != "flatten":
            raise EngineError(f"the export does not support the operation {target}")
        return ops.reshape(args[0], [0, -1], special_zero=True)  # 0: as it is


def _translate(layer: nn.Module, x: _Node) -> _Node:
    match layer:
        case Quantized():
            low, high = (np.float32(bound) for bound in layer.input_bounds)
            return _apply(layer.layer, ops.fake_quantize(x, low, high, low, high, 256), _quantized_weight(layer))
        case nn.Conv2d() | nn.Linear():
            return _apply(layer, x, _constant(layer.weight))
        case _ if type(layer) in _ACTIVATIONS:
            return _ACTIVATIONS[type(layer)](x)
        case ChannelNorm():
            return _channel_norm(layer, x)
        case nn.ZeroPad2d():
            return _pad(layer, x)
        case nn.MaxPool2d() | nn.AvgPool2d() | nn.AdaptiveAvgPool2d():
            return _pool(layer, x)
        case _:
            raise EngineError(f"the export does not support the layer {type(layer).__name__}")


def _normalize(layer: Normalization, x: _Node) -> _Node:
    if layer.channels == 1:
        x = ops.reduce_sum(ops.multiply(x, _constant(layer.luma)), [1], keep_dims=True)
    mean, std = (_constant(values.view(1, -1, 1, 1)) for values in (layer.mean, layer.std))
    return ops.divide(ops.subtract(x, mean), std)


def _quantized_weight(layer: Quantized) -> _Node:
    """Give the weights as 8 bits and a scale for each channel: a quarter of the memory that floats would take."""
    weight = layer.layer.weight
    scale = layer.weight_scale.view(-1, *[1] * (weight.dim() - 1))  # [channels out, 1, ...]
    steps = (weight.detach() / scale).round().clamp(-layer.max_weight, layer.max_weight).to(torch.int8)
    return ops.multiply(ops.convert(_constant(steps), np.float32), _constant(scale))


def _apply(layer: nn.Conv2d | nn.Linear, x: _Node, weight: _Node) -> _Node:
    if isinstance(layer, nn.Linear):
        return ops.add(ops.matmul(x, weight, transpose_a=False, transpose_b=True), _constant(layer.bias))
    padding = [int(side) for side in layer.padding]
    geometry = [list(layer.stride), padding, padding, [1, 1]]
    if layer.groups == 1:
        out = ops.convolution(x, weight, *geometry)
    else:  # [channels out, 1, k, k] -> [groups, channels out of a group, 1, k, k]
        shape = [layer.groups, layer.out_channels // layer.groups, *layer.weight.shape[1:]]
        out = ops.group_convolution(x, ops.reshape(weight, shape, special_zero=False), *geometry)
    assert layer.bias is not None  # noqa: S101 - folding has given every convolution one
    return ops.add(out, _constant(layer.bias.view(1, -1, 1, 1)))


def _channel_norm(layer: ChannelNorm, x: _Node) -> _Node:
    weight, bias = (_constant(values.view(1, -1, 1, 1)) for values in (layer.weight, layer.bias))
    normal = ops.mvn(x, [1], normalize_variance=True, eps=layer.eps, eps_mode="INSIDE_SQRT")
    return ops.add(ops.multiply(normal, weight), bias)


def _pad(layer: nn.ZeroPad2d, x: _Node) -> _Node:
    left, right, top, bottom = layer.padding
    return ops.pad(x, [0, 0, top, left], [0, 0, bottom, right], "constant", np.float32(0))


def _pool(layer: nn.MaxPool2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d, x: _Node) -> _Node:
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        same = layer.output_size == x.shape[2]  # the fully connected network's, at its own size
        return x if same else ops.reduce_mean(x, [2, 3], keep_dims=True)
    kernel, stride, padding = ([int(value)] * 2 for value in (layer.kernel_size, layer.stride, layer.padding))  # type: ignore[arg-type]
    rounding = "ceil_torch" if layer.ceil_mode else "floor"
    if isinstance(layer, nn.MaxPool2d):
        return ops.max_pool(x, stride, [1, 1], padding, padding, kernel, rounding).output(0)
    return ops.avg_pool(x, stride, padding, padding, kernel, not layer.count_include_pad, rounding)


def _constant(values: Tensor) -> _Node:
    return ops.constant(values.detach().numpy())
