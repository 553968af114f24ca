"""The order in which photos are shown: interesting ones first, but not twenty of a kind in a row.

The next photo is the one with the largest product of interest and distance to what was shown or labelled before. The
distance is that of the core-set approach, which takes the photo farthest from its nearest centre (k-center greedy,
Sener and Savarese 2018), by the network's features.
"""

import numpy as np
from numpy.typing import NDArray

from whisker.app.review.rated import Rated
from whisker.model.answers.descriptor import read_descriptors

_LEAST = 1e-3  # interest of a photo whose answer is certain: then distance alone decides


def next_photos(waiting: list[Rated], done: list[Rated], count: int) -> list[int]:
    """Choose up to `count` of the photos that wait, by index, best first; skipped ones come after all others."""
    if not waiting:
        return []
    unit = _unit(waiting)
    models = np.unique([it.model for it in waiting], return_inverse=True)[1]
    interest = np.array([it.interest for it in waiting]) + _LEAST
    skips = np.array([it.skips for it in waiting])
    far = nearest_distances(waiting, done)
    chosen = list[int]()
    while len(chosen) < min(count, len(waiting)):
        value = interest * far - 2 * skips
        value[chosen] = -np.inf
        best = int(value.argmax())
        chosen.append(best)
        far = np.where(models == models[best], np.minimum(far, _distance(unit @ unit[best])), far)
    return chosen


def nearest_distances(photos: list[Rated], others: list[Rated]) -> NDArray[np.float32]:
    """Measure how far each photo is from the nearest of the others, 0 to 1, and 1 if none is comparable."""
    far = np.ones(len(photos), np.float32)
    for model in {it.model for it in photos} & {it.model for it in others}:
        here = [at for at, it in enumerate(photos) if it.model == model]
        there = [it for it in others if it.model == model]
        far[here] = _distance((_unit([photos[at] for at in here]) @ _unit(there).T).max(1))
    return far


def _unit(photos: list[Rated]) -> NDArray[np.float32]:
    return read_descriptors(b"".join(it.descriptor for it in photos))


def _distance(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    distances: NDArray[np.float32] = np.clip(1 - cosines, 0, 1)
    return distances
