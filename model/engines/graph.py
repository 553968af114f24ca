"""A network as a flat graph of layers, with batch-norms folded: what engines compile and quantisation changes."""

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from whisker.model.networks.base import Network
from whisker.model.networks.convnext import ChannelNorm, LayerScale


class _Embedding(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.network.embed_and_map(x)


class _Tracer(fx.Tracer):
    """Keep our own layers whole, as PyTorch's are: engines have an operation for each."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChannelNorm | LayerScale) or super().is_leaf_module(m, module_qualified_name)


def fold(network: Network) -> fx.GraphModule:
    """Trace a copy of `network` from normalised pictures, float32 `[N, channels, H, W]`, to features and their map.

    They are `[N, F]`, and `[N, F, h, w]` or `None`, as of `embed_and_map`. A batch-norm or a layer scale after a
    convolution becomes part of its weights: all are linear. Layers keep their names.
    """
    embedding = _Embedding(copy.deepcopy(network).eval().requires_grad_(requires_grad=False))
    embedding.network.set_submodule("normalization", nn.Identity())
    traced = fx.GraphModule(embedding, _Tracer().trace(embedding))
    for node in traced.graph.nodes:
        layer = traced.get_submodule(node.target) if node.op == "call_module" else None
        before = _convolution_before(node, traced)
        if isinstance(layer, nn.BatchNorm2d) and before is not None:
            traced.set_submodule(node.args[0].target, fuse_conv_bn_eval(before, layer))
        elif isinstance(layer, LayerScale) and before is not None:
            _scale(before, layer.weight)
        elif not isinstance(layer, nn.Identity):
            continue
        node.replace_all_uses_with(node.args[0])
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


@torch.no_grad()
def absorb_batch_norms(network: Network) -> None:
    """Move batch-norms' scales into the convolutions before them, in place; what is left of a batch-norm is its bias.

    The network computes the same as before. Trained on with frozen statistics, its weights are as those of `fold`.
    """
    traced = fx.symbolic_trace(_Embedding(network))
    for node in traced.graph.nodes:
        norm = traced.get_submodule(node.target) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            continue
        convolution = _convolution_before(node, traced)
        if convolution is None or convolution.bias is not None:
            continue
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        convolution.weight.mul_(scale.view(-1, 1, 1, 1))
        norm.bias.sub_(norm.running_mean * scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)


def _convolution_before(node: fx.Node, traced: fx.GraphModule) -> nn.Conv2d | None:
    """Find the convolution whose output `node` takes."""
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or source.op != "call_module":
        return None
    layer = traced.get_submodule(str(source.target))
    return layer if isinstance(layer, nn.Conv2d) else None


def _scale(convolution: nn.Conv2d, factors: Tensor) -> None:
    """Multiply each output channel of a convolution by its factor: `[channels out]`."""
    convolution.weight.mul_(factors.view(-1, 1, 1, 1))
    if convolution.bias is not None:
        convolution.bias.mul_(factors)
