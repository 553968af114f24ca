"""The novelty measure of an extended checkpoint: prototypes of the new classes beside the old ones.

With more prototypes, and no more neighbours to average, a picture is never farther than before. So at a threshold that
is no lower, no more photos of the old classes are called unknown: what was shown of them stays shown.
"""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from whisker.model.answers.novelty import Novelty
from whisker.training.calibration.novelty import cluster
from whisker.training.calibration.thresholds import Choice, choose_unknown_threshold

_PROTOTYPES = 256  # shared by the classes


def extend_novelty(
    novelty: Novelty,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    folds: NDArray[np.int64],
    *,
    false_alarms: float,
    classes: int,
) -> tuple[Novelty, Choice, NDArray[np.float32]]:
    """Add prototypes of features `[N, F]` of new classes; return the OOD scores `[N]` of photos held out, too.

    `folds` `[N]` says with which others each photo is held out. The choice tells whether the threshold keeps the rate
    of `false_alarms` of the new classes.
    """
    scores = np.empty(len(labels), np.float32)
    for fold in np.unique(folds):
        held = folds == fold
        scores[held] = _add(novelty, features[~held], labels[~held], classes).ood_scores(features[held])
    choice = choose_unknown_threshold(scores, false_alarms)
    extended = _add(novelty, features, labels, classes)
    return replace(extended, threshold=max(novelty.threshold, choice.threshold)), choice, scores


def _add(novelty: Novelty, features: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> Novelty:
    unit = functional.normalize(torch.from_numpy(features), dim=1)
    added = [
        cluster(unit[torch.from_numpy(labels == label)], max_clusters=max(1, _PROTOTYPES // classes))
        for label in np.unique(labels)
    ]
    prototypes = np.concatenate([novelty.prototypes, torch.cat(added).half().float().numpy()])
    return replace(novelty, prototypes=prototypes, neighbours=min(novelty.neighbours, *map(len, added)))
