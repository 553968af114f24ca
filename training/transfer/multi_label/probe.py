"""A linear probe of photos with any number of labels: a logistic regression for each label."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.head import Head
from whisker.training.transfer.cross_validation import TrainAndAnswer
from whisker.training.transfer.probe import fit_head, minimise


@dataclass(frozen=True, slots=True)
class LabelProbeData:
    """Features float32 `[V, N, F]` of N photos in V views, and their labels, bool `[N, classes]`."""

    features: NDArray[np.float32]
    present: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> "LabelProbeData":
        """Keep the photos `rows`."""
        return LabelProbeData(self.features[:, rows], self.present[rows])


def fit_label_probe(data: LabelProbeData, *, penalty: float, balance: float) -> Head:
    """Fit the last layer to the features: a logistic regression with an L2 penalty for each label, by L-BFGS.

    Of a label, n photos with it, or without it, count in proportion to n to the power `1 - balance`: of a rare label, a
    penalised fit would else see little but the photos without it. That alone would make rare labels look likelier than
    they are, so the bias is corrected for it (King & Zeng 2001).
    """
    targets = torch.from_numpy(np.tile(data.present, (len(data.features), 1))).float()
    log_weights = -balance * torch.from_numpy(_log_counts(data.present))  # [2, classes]: with the label, without it
    weights = torch.where(targets > 0, log_weights[0].exp(), log_weights[1].exp())
    weights = weights / weights.sum(0)

    def loss(logits: Tensor) -> Tensor:
        return (weights * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")).sum()

    # A sigmoid's weights are the difference of two classes' weights in a softmax, where their penalty is half of this.
    head = fit_head(data.features, lambda x: minimise(x, targets.shape[1], loss, penalty / 2))
    return Head(head.weight, head.bias - (log_weights[0] - log_weights[1]).numpy())


def label_probe_runner(data: LabelProbeData, *, penalty: float, balance: float) -> TrainAndAnswer:
    """Make the run of a linear probe, the one candidate."""

    def run(train: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.float32]:
        return fit_label_probe(data.take(train), penalty=penalty, balance=balance).logits(data.features[0, held])[None]

    return run


def _log_counts(present: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Count the photos with each label and without it, at least 1, as logarithms: `[2, classes]`."""
    having = present.sum(0)
    counts = np.maximum(np.stack([having, len(present) - having]), 1)
    logarithms: NDArray[np.float32] = np.log(counts).astype(np.float32)
    return logarithms
