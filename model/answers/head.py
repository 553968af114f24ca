"""The last layer of every network, in float32 and on one thread, whatever engine has computed the features."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from whisker.model.errors import InferenceError


@dataclass(frozen=True, slots=True)
class Head:
    """The last layer, from features to logits: weight float32 `[classes, F]`, bias `[classes]`."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits `[N, classes]`; raise `InferenceError` if one is NaN or infinite."""
        with np.errstate(all="ignore"), one_thread():  # the result is checked
            logits: NDArray[np.float32] = features @ self.weight.T + self.bias
        if not np.isfinite(logits).all():
            raise InferenceError("The network's answer is not a finite number.")
        return logits


def one_thread() -> AbstractContextManager[object]:
    """Compute on the calling thread alone within this context; entering it costs some microseconds."""
    limit: AbstractContextManager[object] = _openblas().limit(limits=1)
    return limit


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")  # found once: that takes milliseconds
