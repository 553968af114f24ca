"""The labels that are most likely wrong, according to a checkpoint's outputs for the photos.

Two rankings, which find different faults, are merged into one. The first finds photos of another class: the label's
probability is low compared with that of another class, both relative to the usual probabilities of these classes. It
also estimates the number of such photos (confident learning: Northcutt, Jiang & Chuang 2021, Journal of Artificial
Intelligence Research 70). The second finds photos of no class, whose probabilities mean little: their features are far
from those of photos with the same label (k nearest neighbours). Both rankings overlook wrong labels of photos that the
checkpoint was trained on, because it has learned them.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 30  # nearest photos of the same label in a distance; 10 to 300 find about the same faults
_COMPARED_AT_ONCE = 1024  # photos, with all others of their label


@dataclass(frozen=True, slots=True)
class Doubts:
    """N photos, ranked: `order` has their positions, the most doubtful first. The other fields are in their own order.

    `suggested` is the most likely class of each photo, which may be its label. `atypical` tells whether the photo owes
    its rank to being unlike its class. `joint` `[K, K]` estimates how many photos with label i are of class j.
    """

    order: NDArray[np.int64]
    suggested: NDArray[np.int64]
    atypical: NDArray[np.bool_]
    joint: NDArray[np.float64]


def find_doubtful(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], ood_scores: NDArray[np.floating] | None = None
) -> Doubts:
    """Rank the labels `[N]` by how doubtful `probabilities` `[N, K]` and, if given, `ood_scores` `[N]` make them.

    `ood_scores` is any measure that grows as a photo is less like those of its label. The ranking alternates between
    the photos of smallest margin and those of highest OOD score, which avoids weighting one measure against the other.
    It takes as many of the former as `joint` estimates to be of another class, and then only the latter.
    """
    rows = np.arange(len(labels))
    excess = probabilities - _usual_confidence(probabilities, labels)
    own, others = excess[rows, labels], excess.copy()
    others[rows, labels] = -np.inf
    suggested = _likely_classes(probabilities, excess)
    joint = _estimate_joint(labels, suggested, excess)
    margin_ranks = _ranks(own - others.max(1))
    if ood_scores is None:
        return Doubts(np.argsort(margin_ranks), suggested, np.zeros(len(labels), np.bool_), joint)
    mislabelled = round(float(joint.sum() - joint.trace()))
    margin_ranks[margin_ranks >= mislabelled] += len(margin_ranks)
    ood_ranks = _ranks(-ood_scores)
    order = np.lexsort((np.maximum(margin_ranks, ood_ranks), np.minimum(margin_ranks, ood_ranks)))
    return Doubts(order, suggested, ood_ranks < margin_ranks, joint)


def label_distances(features: Tensor, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Measure the mean cosine distance, 0..2, of each of the features `[N, F]` to the nearest of its label: `[N]`.

    The distance of a class's only photo is 0.
    """
    unit = functional.normalize(features, dim=1)
    distances = np.zeros(len(labels), np.float32)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distances[members] = _distances_within(unit[torch.from_numpy(members)])
    return distances


def _distances_within(unit: Tensor) -> NDArray[np.float32]:
    """Measure the mean cosine distance of unit vectors `[N, F]` to their nearest neighbours."""
    neighbours = min(NEIGHBOURS, len(unit) - 1)
    if not neighbours:
        return np.zeros(len(unit), np.float32)
    means = []
    for start in range(0, len(unit), _COMPARED_AT_ONCE):
        similarity = unit[start : start + _COMPARED_AT_ONCE] @ unit.T
        similarity.diagonal(start).fill_(-torch.inf)  # a photo is not its own neighbour
        means.append(similarity.topk(neighbours, dim=1).values.mean(1))
    distances: NDArray[np.float32] = 1 - torch.cat(means).numpy()
    return distances


def _usual_confidence(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average each class's probability over the photos of its label; a class without photos gets the others' mean."""
    classes = probabilities.shape[1]
    sums = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=classes)
    counts = np.bincount(labels, minlength=classes)
    usual = sums / np.maximum(counts, 1)
    usual[counts == 0] = usual[counts > 0].mean()
    return usual


def _likely_classes(probabilities: NDArray[np.floating], excess: NDArray[np.floating]) -> NDArray[np.int64]:
    """Choose the likeliest of the classes whose usual probability is reached, or, if there are none, of all."""
    reached = np.where(excess >= 0, probabilities, -np.inf)
    none = ~(excess >= 0).any(1)
    classes: NDArray[np.int64] = np.where(none, probabilities.argmax(1), reached.argmax(1))
    return classes


def _estimate_joint(
    labels: NDArray[np.int64], suggested: NDArray[np.int64], excess: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Count by label and class the photos that reach a usual probability; scale the counts to all photos of a label."""
    classes = excess.shape[1]
    joint = np.zeros((classes, classes))
    reached = np.flatnonzero((excess >= 0).any(1))
    np.add.at(joint, (labels[reached], suggested[reached]), 1)
    uncounted = np.flatnonzero(joint.sum(1) == 0)
    joint[uncounted, uncounted] = 1
    joint *= (np.bincount(labels, minlength=classes) / joint.sum(1))[:, None]
    return joint


def _ranks(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Rank each value, 0..N-1, in ascending order."""
    ranks = np.empty(len(values), np.int64)
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return ranks
