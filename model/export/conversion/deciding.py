"""The decision rule as layers: from features to probabilities, unknown score, verdict and labels.

What `whisker.model.answers` computes in NumPy, in PyTorch's operations that every converter knows.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from whisker.model.answers.decision_rule import VERDICTS, DecisionRule
from whisker.model.answers.multi_label import LIKELY, MultiLabelRule
from whisker.model.answers.novelty import TYPICAL_SCORE, UNKNOWN_SCORE, Novelty
from whisker.model.answers.single_label import SingleLabelRule

_CONFIDENT, _UNSURE, _UNKNOWN = (VERDICTS.index(verdict) for verdict in ("confident", "unsure", "unknown"))


class Deciding(nn.Module):
    """Decide as a checkpoint's rule does; outputs are in the order of `Manifest.outputs`."""

    thresholds: Tensor
    guaranteed: Tensor

    def __init__(self, last_layer: nn.Linear, rule: DecisionRule) -> None:
        super().__init__()
        self.last_layer = last_layer
        self.temperature = rule.temperature
        self.is_multi_label = isinstance(rule, MultiLabelRule)
        self.novelty = None if rule.novelty is None else Unlikeness(rule.novelty)
        thresholds, guaranteed = _thresholds(rule)
        self.register_buffer("thresholds", torch.tensor(thresholds), persistent=False)
        self.register_buffer("guaranteed", torch.tensor(guaranteed), persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        scaled = self.last_layer(features) / self.temperature
        probabilities = torch.sigmoid(scaled) if self.is_multi_label else torch.softmax(scaled, 1)
        labels = probabilities >= self.thresholds  # [N, classes]
        if self.is_multi_label:
            doubts = (~labels & (probabilities >= LIKELY)) | (labels & ~self.guaranteed)
            sure = doubts.sum(1) == 0
        else:
            sure = (labels & self.guaranteed).sum(1) > 0
        verdict = torch.where(sure, _CONFIDENT, _UNSURE)
        outputs = [probabilities]
        if self.novelty is not None:
            unknown = self.novelty(features)
            outputs.append(unknown)
            verdict = torch.where(unknown > UNKNOWN_SCORE, _UNKNOWN, verdict)
        outputs.append(verdict.to(torch.int32))
        return (*outputs, labels) if self.is_multi_label else (*outputs,)


class Unlikeness(nn.Module):
    """The unknown scores of features, as of `Novelty.scores`."""

    prototypes: Tensor
    direction: Tensor

    def __init__(self, novelty: Novelty) -> None:
        super().__init__()
        self.neighbours, self.weight, self.threshold = novelty.neighbours, novelty.distance_weight, novelty.threshold
        self.slope = math.log(1 / TYPICAL_SCORE - 1) / max(novelty.threshold - novelty.typical, 1e-6)
        self.register_buffer("prototypes", torch.from_numpy(novelty.prototypes.T.copy()), persistent=False)
        self.register_buffer("direction", torch.from_numpy(novelty.direction.copy()).view(-1, 1), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        unit = features / torch.linalg.vector_norm(features, dim=1, keepdim=True).clamp(min=1e-12)
        left = unit @ self.prototypes  # [N, prototypes]
        nearest = []
        for _ in range(self.neighbours):  # TopK is a sort in LiteRT, which its runtime lacks
            best = left.argmax(1, keepdim=True)
            nearest.append(left.gather(1, best))
            left = torch.where(torch.arange(left.shape[1]) == best, -2.0, left)  # below any cosine
        far = 1 - torch.cat(nearest, 1).mean(1)
        score = self.weight * far + (unit @ self.direction).squeeze(1)
        return 0.5 + 0.5 * torch.tanh(self.slope / 2 * (score - self.threshold))


def _thresholds(rule: DecisionRule) -> tuple[list[float], list[bool]]:
    """Give each class's threshold, as the float32 that the rule's comparison is with, and whether it is relied on."""
    if isinstance(rule, MultiLabelRule):  # compares in float64: the next float32 that is not below it
        return [_round_up(threshold) for threshold in rule.thresholds], [*rule.guaranteed]
    assert isinstance(rule, SingleLabelRule)  # noqa: S101 - there are two rules
    return [float(np.float32(rule.unsure))] * len(rule.classes), [rule.shown] * len(rule.classes)


def _round_up(threshold: float) -> float:
    near = np.float32(threshold)
    return float(near if float(near) >= threshold else np.nextafter(near, np.float32(2)))
