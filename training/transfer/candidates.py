"""What may become the final network: the probe, and averages with fine-tuned weights; and which of them is best."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from whisker.training.calibration.thresholds import fit_temperature

PROBE = 0.0  # the share of tuned weights in the probe


@dataclass(frozen=True, slots=True)
class Candidate:
    """A share of tuned weights, and how good answers for held-out photos were with it.

    `likelihood` is the mean negative log-likelihood at the best temperature.
    """

    share: float
    accuracy: float
    likelihood: float

    @property
    def name(self) -> str:
        """Name the candidate for people."""
        if self.share == PROBE:
            return "Linear probe"
        return "Fine-tuned" if self.share == 1 else f"Fine-tuned, averaged with the probe ({self.share:.0%})"


def judge(logits: Mapping[float, NDArray[np.float32]], labels: NDArray[np.int64]) -> list[Candidate]:
    """Judge logits `[N, classes]` for held-out photos, by the share of tuned weights."""
    return [_judge(share, values, labels) for share, values in logits.items()]


def choose(candidates: list[Candidate]) -> Candidate:
    """Choose the most accurate candidate among those that are no less likely than the probe.

    Accuracy alone is chance where photos are few: likelihood tells sooner that a network has got worse.
    """
    probe = next(candidate for candidate in candidates if candidate.share == PROBE)
    worthy = [candidate for candidate in candidates if candidate.likelihood <= probe.likelihood]
    return max(worthy, key=lambda candidate: (candidate.accuracy, -candidate.likelihood))


def _judge(share: float, logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Candidate:
    values, targets = torch.from_numpy(logits), torch.from_numpy(labels)
    scaled = values / fit_temperature(values, targets)
    return Candidate(
        share, float((values.argmax(1) == targets).float().mean()), float(functional.cross_entropy(scaled, targets))
    )
