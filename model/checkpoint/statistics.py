"""Statistics of the training photos' features: what classes can be added by later, without the photos.

No statistic of features is of fewer than four photos: features of a single photo would tell what it showed. Beside them
are the logits of single photos, which tell no more than an answer does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whisker.model.checkpoint.json_object import refuse

MIN_PHOTOS = 4  # different ones, that any stored average is of
PREFIX = "statistics."
_HALVED = ("means", "factors", "logits")  # written as float16
_NAMES = ("counts", "means", "factors", "noise", "logits", "labels")


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """A normal distribution of the features of each class, and answers for photos that were held out.

    `counts` `[C]` are training photos, `means` `[C, F]` the means of their features; a class of fewer than four
    different photos has a count of 0. All classes share a covariance of low rank plus a diagonal: the features vary by
    `factors` `[R, F]` times R standard normal numbers, plus `noise` `[F]` times F others. `logits` `[M, C]` are answers
    by networks that had not seen the photo, `labels` `[M]` its class.
    """

    counts: NDArray[np.int64]
    means: NDArray[np.float32]
    factors: NDArray[np.float32]
    noise: NDArray[np.float32]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def check_width(self, features: int) -> None:
        """Refuse statistics of another number of features than the network has."""
        if len(self.noise) != features:
            refuse(f"has statistics of {len(self.noise)} features, where its network has {features}")

    def to_tensors(self) -> dict[str, Tensor]:
        """Give the tensors that a file holds."""
        tensors = {f"{PREFIX}{name}": torch.from_numpy(getattr(self, name)) for name in _NAMES}
        return {
            name: tensor.half() if name.removeprefix(PREFIX) in _HALVED else tensor for name, tensor in tensors.items()
        }


def read_statistics(tensors: Mapping[str, Tensor], classes: int) -> ClassStatistics | None:
    """Read the statistics from a file's tensors, `None` if there are none; refuse damaged ones."""
    found = {name: tensors[PREFIX + name] for name in _NAMES if PREFIX + name in tensors}
    if not found:
        return None
    if found.keys() != set(_NAMES):
        refuse("has only some of its statistics of the training photos")
    _check_shapes(found, classes)
    if not all(torch.isfinite(tensor).all() for tensor in found.values()):
        refuse("has NaN or infinity in its statistics of the training photos")
    labels, counts = found["labels"].long(), found["counts"].long()
    if ((labels < 0) | (labels >= classes)).any() or (counts < 0).any():
        refuse("has statistics of classes that it does not know")
    floats = {name: found[name].float().numpy() for name in ("means", "factors", "noise", "logits")}
    return ClassStatistics(counts=counts.numpy(), labels=labels.numpy(), **floats)


def _check_shapes(found: Mapping[str, Tensor], classes: int) -> None:
    features, answers = found["noise"].numel(), found["labels"].numel()
    if not found["factors"].dim():
        refuse("has statistics of the training photos in the wrong shape")
    expected = {
        "counts": (classes,),
        "means": (classes, features),
        "factors": (len(found["factors"]), features),
        "noise": (features,),
        "logits": (answers, classes),
        "labels": (answers,),
    }
    if any(tuple(found[name].shape) != shape for name, shape in expected.items()):
        refuse("has statistics of the training photos in the wrong shape")
