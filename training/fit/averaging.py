"""Averaged weights: the mean of the last epoch's weights is a better network than the last weights.

(Polyak & Juditsky 1992; as an exponential mean with batch-norm re-estimated: Izmailov et al. 2018.)
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `averaged`, batch-norm's statistics included, towards `network` by a part `1 - decay` of the way."""
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recompute batch-norm's statistics over `batches` of input, for weights that no batch has gone through."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
    network.train()
    for x in batches:
        network(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
