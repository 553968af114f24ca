"""Fit the novelty measure (`whisker.model.answers.novelty`): prototypes, threshold and, from outliers, direction."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whisker.model.answers.novelty import UNKNOWN_SCORE, Novelty, distances
from whisker.training.calibration.thresholds import Choice, choose_unknown_threshold

MIN_OUTLIERS = 50  # with fewer, a direction would fit these few photos and no others
_PROTOTYPES = 256  # shared by the classes
_MIN_PHOTOS = 4  # of a prototype, except in classes with fewer: none must be a single photo's
_NEIGHBOURS = 3  # nearest prototypes that are averaged, where every class has many; of few, the nearest one
_MANY = 32  # prototypes of a class
_ROUNDS = 10  # of k-means
_FOLDS = 5
_PENALTY = 0.01  # on the squared length of the direction, in deviations of the features


@dataclass(frozen=True, slots=True)
class NoveltyFit:
    """The measure, whether its false-alarm rate is guaranteed, and what unrelated photos were good for.

    `outlier_scores` `[M]` are of outliers that were not used to fit them. `caught` is how many of them the measure
    with a direction and the one without called unknown; it is `None` where there was nothing to choose between. `seen`
    tells whether the features were trained on the photos that the threshold is chosen by.
    """

    novelty: Novelty
    guaranteed: bool
    outlier_scores: NDArray[np.float32] | None = None
    caught: tuple[int, int] | None = None
    seen: bool = False

    @property
    def refused(self) -> bool:
        """Tell whether outliers were left out because they made the measure no better."""
        return self.caught is not None and self.caught[0] <= self.caught[1]


@dataclass(frozen=True, slots=True)
class KnownPhotos:
    """Features float32 `[N, F]` of photos of known classes, their labels `[N]`, and what is held out to measure with.

    That is either `validation`, features of other photos, or `folds` `[N]`, in which each photo is held out once. Where
    features were trained on the photos, `distances` `[N]` are what `held_out_distances` gives with networks that were
    not.
    """

    features: Tensor
    labels: NDArray[np.int64]
    validation: Tensor | None = None
    folds: NDArray[np.int64] | None = None
    distances: NDArray[np.float32] | None = None

    def held_out_scores(self, outliers: Tensor | None) -> NDArray[np.float32]:
        """Give OOD scores of photos that the measure was not fitted to, with a direction if there are `outliers`."""
        if self.validation is not None:
            return _measure(self.features, self.labels, outliers).ood_scores(self.validation.numpy())
        assert self.folds is not None  # noqa: S101 - one of the two is there
        if outliers is None and self.distances is not None:
            return self.distances
        scores = np.empty(len(self.labels), np.float32)
        for fold in np.unique(self.folds):
            kept = self.folds != fold
            features, held = self.features[torch.from_numpy(kept)], self.features[torch.from_numpy(~kept)]
            measure = _measure(features, self.labels[kept], outliers)
            scores[~kept] = measure.ood_scores(held.numpy())
            if self.distances is not None:  # the part of the score that is known without the photo
                seen = held_out_distances(features, self.labels[kept], held)
                scores[~kept] += measure.distance_weight * (self.distances[~kept] - seen)
        return scores


def held_out_distances(features: Tensor, labels: NDArray[np.int64], held_out: Tensor) -> NDArray[np.float32]:
    """Measure how far features `[n, F]` of photos held out are from those `[N, F]` of others, with `labels` `[N]`."""
    return _measure(features, labels, None).ood_scores(held_out.numpy())


def fit_novelty(
    known: KnownPhotos, *, false_alarms: float, outliers: Tensor | None = None, groups: NDArray[np.int64] | None = None
) -> NoveltyFit:
    """Fit the measure on features; choose the threshold on photos that are held out.

    At most a share `false_alarms` of known photos must be called unknown. `outliers` `[M, F]` are features of
    unrelated photos, `groups` `[M]` the numbers of those that must stay together. With at least `MIN_OUTLIERS`, a
    direction is fitted, too, and kept if it catches more of the outliers that are held out, kind by kind.
    """
    base = _with_threshold(known, None, false_alarms)
    if outliers is None:
        return base
    plain = base.novelty.scores(outliers.numpy())
    if len(outliers) < MIN_OUTLIERS or groups is None:
        return replace(base, outlier_scores=plain)
    held_out = np.empty(len(outliers), np.float32)
    folds = _outlier_folds(outliers, groups)
    if len(np.unique(folds)) == 1:  # they are all alike
        return replace(base, outlier_scores=plain)
    for fold in np.unique(folds):
        kept = torch.from_numpy(folds != fold)
        part = _with_threshold(known, outliers[kept], false_alarms)
        held_out[~kept.numpy()] = part.novelty.scores(outliers[~kept].numpy())
    caught = int((held_out > UNKNOWN_SCORE).sum()), int((plain > UNKNOWN_SCORE).sum())
    if caught[0] <= caught[1]:
        return replace(base, outlier_scores=plain, caught=caught)
    return replace(_with_threshold(known, outliers, false_alarms), outlier_scores=held_out, caught=caught)


def _outlier_folds(outliers: Tensor, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide outliers into folds of different kinds: by their groups or, if each is its own group, by clusters.

    What is learnt from some kinds must help with others: photos of one kind on both sides would hide that it does not.
    """
    if len(np.unique(groups)) < len(groups):
        return groups % _FOLDS
    unit = functional.normalize(outliers, dim=1)
    centres = unit[torch.linspace(0, len(unit) - 1, _FOLDS).long()]
    for _ in range(_ROUNDS):
        centres = _average_nearest(unit, centres)
    folds: NDArray[np.int64] = (unit @ centres.T).argmax(1).numpy()
    return folds


def _with_threshold(known: KnownPhotos, outliers: Tensor | None, false_alarms: float) -> NoveltyFit:
    ood_scores = known.held_out_scores(outliers)
    choice: Choice = choose_unknown_threshold(ood_scores, false_alarms)
    measure = _measure(known.features, known.labels, outliers)
    return NoveltyFit(
        replace(measure, typical=float(np.median(ood_scores)), threshold=choice.threshold), choice.guaranteed
    )


def _measure(features: Tensor, labels: NDArray[np.int64], outliers: Tensor | None) -> Novelty:
    unit = functional.normalize(features, dim=1)
    base = _distance_measure(unit, labels)
    return base if outliers is None else _add_direction(base, unit, outliers)


def _distance_measure(unit: Tensor, labels: NDArray[np.int64]) -> Novelty:
    classes = np.unique(labels)
    prototypes = [
        cluster(unit[torch.from_numpy(labels == label)], max_clusters=max(1, _PROTOTYPES // len(classes)))
        for label in classes
    ]
    neighbours = _NEIGHBOURS if min(len(own) for own in prototypes) >= _MANY else 1
    rounded = torch.cat(prototypes).half().float().numpy()  # as a checkpoint keeps them
    direction = np.zeros(unit.shape[1], np.float32)
    return Novelty(rounded, direction, neighbours, distance_weight=1.0, typical=0.0, threshold=0.0)


def cluster(unit: Tensor, max_clusters: int) -> Tensor:
    """Average unit vectors `[N, F]` in at most `max_clusters` clusters (spherical k-means, Dhillon & Modha 2001).

    Clusters with too few photos are dropped, and their photos join others: the clusters that stay only grow.
    """
    count = max(1, min(max_clusters, len(unit) // _MIN_PHOTOS))
    centres = unit[torch.linspace(0, len(unit) - 1, count).long()]
    for _ in range(_ROUNDS):
        centres = _average_nearest(unit, centres)
    sizes = (unit @ centres.T).argmax(1).bincount(minlength=count)
    return _average_nearest(unit, centres[sizes >= min(_MIN_PHOTOS, len(unit))])


def _average_nearest(unit: Tensor, centres: Tensor) -> Tensor:
    """Move each centre to the average of the vectors nearest to it; a centre without any stays."""
    sums = torch.zeros_like(centres).index_add_(0, (unit @ centres.T).argmax(1), unit)
    empty = sums.norm(dim=1, keepdim=True) == 0
    return functional.normalize(torch.where(empty, centres, sums), dim=1)


def _add_direction(base: Novelty, known_unit: Tensor, outliers: Tensor) -> Novelty:
    """Separate known photos from outliers, weighted equally, by a logistic regression on features and distance."""
    other_unit = functional.normalize(outliers, dim=1)
    inputs = torch.cat([_regressors(base, known_unit), _regressors(base, other_unit)]).double()
    targets = torch.cat([torch.zeros(len(known_unit)), torch.ones(len(other_unit))]).double()
    weights = torch.where(targets > 0, 0.5 / len(other_unit), 0.5 / len(known_unit))
    deviation = inputs.std(0).clamp(min=1e-9)
    coefficients = _logistic_regression((inputs - inputs.mean(0)) / deviation, targets, weights) / deviation
    return replace(base, direction=coefficients[:-1].float().numpy(), distance_weight=float(coefficients[-1]))


def _regressors(base: Novelty, unit: Tensor) -> Tensor:
    far = torch.from_numpy(distances(unit.numpy(), base.prototypes, base.neighbours))
    return torch.cat([unit, far[:, None]], dim=1)


def _logistic_regression(inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Minimise the weighted cross-entropy with an L2 penalty; return the coefficients without the intercept."""
    parameters = torch.zeros(inputs.shape[1] + 1, dtype=inputs.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = inputs @ parameters[:-1] + parameters[-1]
        losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        loss = (losses * weights).sum() + _PENALTY * parameters[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return parameters.detach()[:-1]
