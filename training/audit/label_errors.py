"""Which labels are most likely wrong, judged by what a checkpoint makes of the photos.

Two lists are made, and shuffled into one, for they find different faults. A photo may be of another class: its label's
probability is low beside that of another, both compared with what is usual for photos of these labels, and how many
such photos there are is estimated, too (confident learning: Northcutt, Jiang & Chuang 2021, Journal of Artificial
Intelligence Research 70). Or it may be of no class at all, with a probability that says little: its features are far
from those of photos with the same label (k nearest neighbours). Both are too kind to photos that the checkpoint was
trained on, whose wrong labels it has learnt.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

NEIGHBOURS = 30  # photos of the same label that one is compared with; 10 to 300 find about the same
_CHUNK = 1024  # photos compared with all others at once


@dataclass(frozen=True, slots=True)
class Doubts:
    """The N photos ranked: their positions `order`, the most doubtful first; the rest is by position.

    `suggested` is the class the photo counts as, which may be its label, and `strange` tells that it stands where it
    does for being unlike its class. `joint` `[K, K]` estimates how many photos with label i are of class j.
    """

    order: NDArray[np.int64]
    suggested: NDArray[np.int64]
    strange: NDArray[np.bool_]
    joint: NDArray[np.float64]


def find_doubtful(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], ood_scores: NDArray[np.floating] | None = None
) -> Doubts:
    """Rank the labels `[N]` by how doubtful `probabilities` `[N, K]` and, where given, `ood_scores` `[N]` make them.

    `ood_scores` is any measure that grows as a photo is less like those of its label. The first places are taken in
    turn from the photos of least margin and the strangest, so that neither measure has to be weighed against the other.
    The former are as many as `joint` estimates to be of another class; after them come only the strangest.
    """
    rows = np.arange(len(labels))
    excess = probabilities - _usual_confidence(probabilities, labels)
    own, others = excess[rows, labels], excess.copy()
    others[rows, labels] = -np.inf
    suggested = _counted_as(probabilities, excess)
    joint = _estimate_joint(labels, suggested, excess)
    places = _places(own - others.max(1))
    if ood_scores is None:
        return Doubts(np.argsort(places), suggested, np.zeros(len(labels), np.bool_), joint)
    mistaken = round(float(joint.sum() - joint.trace()))
    places[places >= mistaken] += len(places)
    strange_places = _places(-ood_scores)
    order = np.lexsort((np.maximum(places, strange_places), np.minimum(places, strange_places)))
    return Doubts(order, suggested, strange_places < places, joint)


def label_distances(features: Tensor, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Give each of the features `[N, F]` its mean cosine distance 0..2 to the nearest others of its label: `[N]`.

    A photo alone in its class has nothing to be compared with: its distance is 0.
    """
    unit = functional.normalize(features, dim=1)
    distances = np.zeros(len(labels), np.float32)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        distances[members] = _distances_within(unit[torch.from_numpy(members)])
    return distances


def _distances_within(unit: Tensor) -> NDArray[np.float32]:
    """Compare unit vectors `[N, F]` with their nearest others."""
    neighbours = min(NEIGHBOURS, len(unit) - 1)
    if not neighbours:
        return np.zeros(len(unit), np.float32)
    means = []
    for start in range(0, len(unit), _CHUNK):
        similarity = unit[start : start + _CHUNK] @ unit.T
        similarity.diagonal(start).fill_(-torch.inf)  # a photo is no neighbour of itself
        means.append(similarity.topk(neighbours, dim=1).values.mean(1))
    distances: NDArray[np.float32] = 1 - torch.cat(means).numpy()
    return distances


def _usual_confidence(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average each class's probability over the photos of its label; one without photos has the mean of the rest."""
    classes = probabilities.shape[1]
    sums = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=classes)
    counts = np.bincount(labels, minlength=classes)
    usual = sums / np.maximum(counts, 1)
    usual[counts == 0] = usual[counts > 0].mean()
    return usual


def _counted_as(probabilities: NDArray[np.floating], excess: NDArray[np.floating]) -> NDArray[np.int64]:
    """Take the likeliest of the classes whose usual probability is reached, or of all where none is."""
    reached = np.where(excess >= 0, probabilities, -np.inf)
    none = ~(excess >= 0).any(1)
    classes: NDArray[np.int64] = np.where(none, probabilities.argmax(1), reached.argmax(1))
    return classes


def _estimate_joint(
    labels: NDArray[np.int64], suggested: NDArray[np.int64], excess: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Count the photos that reach a class's usual probability by label and class, scaled to all photos of a label."""
    classes = excess.shape[1]
    joint = np.zeros((classes, classes))
    reached = np.flatnonzero((excess >= 0).any(1))
    np.add.at(joint, (labels[reached], suggested[reached]), 1)
    uncounted = np.flatnonzero(joint.sum(1) == 0)
    joint[uncounted, uncounted] = 1
    joint *= (np.bincount(labels, minlength=classes) / joint.sum(1))[:, None]
    return joint


def _places(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Give each value its place 0..N-1 in ascending order."""
    places = np.empty(len(values), np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return places
