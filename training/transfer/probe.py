"""A linear probe: a regularised logistic regression on frozen features, the last layer of a network."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.head import Head
from whisker.training.config import TransferRecipe

_DEFAULTS = TransferRecipe()
_MAX_ITERATIONS = 200
_TOLERANCE = 1e-5  # of the gradient


@dataclass(frozen=True, slots=True)
class ProbeData:
    """Features float32 `[V, N, F]` of N photos in V views (as they are, mirrored), their labels `[N]`, and classes."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: int

    def take(self, rows: NDArray[np.int64]) -> "ProbeData":
        """Keep the photos `rows`."""
        return ProbeData(self.features[:, rows], self.labels[rows], self.classes)


def fit_probe(data: ProbeData, *, penalty: float = _DEFAULTS.penalty, balance: float = _DEFAULTS.balance) -> Head:
    """Fit the last layer to the features: multinomial logistic regression with an L2 penalty, by L-BFGS.

    A class of n photos counts in proportion to n to the power `1 - balance`. Every class in `data.labels` needs a
    photo; a class without one gets a bias that never wins.
    """
    targets = torch.from_numpy(np.tile(data.labels, len(data.features)))
    class_weights = _class_weights(data, balance)

    def loss(logits: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, class_weights)

    return fit_head(data.features, lambda x: minimise(x, data.classes, loss, penalty))


def fit_head(features: NDArray[np.float32], fit: Callable[[Tensor], Tensor]) -> Head:
    """Fit a last layer to features `[V, N, F]`, given a function that fits one to features of another scale.

    That function takes features `[V * N, f]` whose total variance is 1, and returns weights `[classes, f + 1]`, the
    biases last.
    """
    views, photos, width = features.shape
    x = torch.from_numpy(features.reshape(views * photos, width))
    mean = x.mean(0)
    x = x - mean
    scale = x.square().sum(1).mean().sqrt().clamp(min=1e-12)  # root of the total variance
    basis = _span(x)
    reduced = x if basis is None else x @ basis
    weights = fit(reduced / scale) / scale
    weight, bias = weights[:, :-1], weights[:, -1] * scale
    if basis is not None:
        weight = weight @ basis.T
    bias = bias - weight @ mean
    return Head(weight.numpy(), bias.numpy())


def _span(x: Tensor) -> Tensor | None:
    """Find an orthonormal basis `[F, N]` of fewer rows than columns of `x` `[N, F]`; `None` for others.

    With a penalty on their squares, the best weights are combinations of the rows: outside their span they are zero.
    """
    return None if len(x) >= x.shape[1] else torch.linalg.qr(x.T)[0]


def _class_weights(data: ProbeData, balance: float) -> Tensor:
    counts = torch.from_numpy(np.bincount(data.labels, minlength=data.classes)).float()
    return counts.clamp(min=1) ** -balance


def minimise(x: Tensor, classes: int, loss_of: Callable[[Tensor], Tensor], penalty: float) -> Tensor:
    """Minimise a loss of logits `[N, classes]` plus `penalty` times half the squared weights, without the biases.

    `x` is `[N, F]`; returns `[classes, F + 1]`, the biases last.
    """
    parameters = torch.zeros(classes, x.shape[1] + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [parameters], max_iter=_MAX_ITERATIONS, tolerance_grad=_TOLERANCE, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = torch.addmm(parameters[:, -1], x, parameters[:, :-1].T)
        loss = loss_of(logits) + penalty / 2 * parameters[:, :-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return parameters.detach()
