"""Averaged weights: the mean over the last epochs is usually more accurate than the last weights.

The method is from Polyak & Juditsky 1992; re-estimating batch-norm is from Izmailov et al. 2018. The mean here is
exponential.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `averaged`, including batch-norm's statistics, by a fraction `1 - decay` of the way towards `network`."""
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Recompute batch-norm's statistics on `batches` of input, for weights that have not seen any batch."""
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
