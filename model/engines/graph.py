"""A network as a flat graph of layers, with batch-norms folded: what engines compile and quantisation changes."""

import copy
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from whisker.model.networks.base import Network


class _Embedding(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.network.embed_and_map(x)


def fold(network: Network) -> fx.GraphModule:
    """Trace a copy of `network` from normalised pictures, float32 `[N, channels, H, W]`, to features and their map.

    They are `[N, F]`, and `[N, F, h, w]` or `None`, as of `embed_and_map`. A batch-norm after a convolution becomes
    part of its weights: both are linear. Layers keep their names.
    """
    embedding = _Embedding(copy.deepcopy(network).eval().requires_grad_(requires_grad=False))
    embedding.network.set_submodule("normalization", nn.Identity())
    traced = fx.symbolic_trace(embedding)
    for node in traced.graph.nodes:
        layer = traced.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(layer, nn.BatchNorm2d):
            convolution = node.args[0]
            fused = fuse_conv_bn_eval(cast(nn.Conv2d, traced.get_submodule(convolution.target)), layer)
            traced.set_submodule(convolution.target, fused)
        if isinstance(layer, nn.BatchNorm2d | nn.Identity):
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
        convolution = cast(nn.Conv2d, traced.get_submodule(node.args[0].target))
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        convolution.weight.mul_(scale.view(-1, 1, 1, 1))
        norm.bias.sub_(norm.running_mean * scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1)
