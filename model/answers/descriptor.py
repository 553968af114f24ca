"""Descriptors: a picture's features in 128 bytes, to tell how alike two pictures are.

Features are projected on random signs, which keeps the angles between them nearly as they are (Achlioptas 2003), and
rounded to 8 bits. Only descriptors of one checkpoint can be compared: another network's features mean something else.
"""

import functools

import numpy as np
from numpy.typing import NDArray

DESCRIPTOR_BYTES = 128
_SEED = 0
_LARGEST = 127  # of a signed byte


def describe_features(features: NDArray[np.float32]) -> bytes:
    """Turn the features `[F]` of a picture into its descriptor."""
    projected = features @ _signs(len(features))
    largest = max(float(np.abs(projected).max()), 1e-12)
    return (projected * (_LARGEST / largest)).round().astype(np.int8).tobytes()


def read_descriptors(descriptors: bytes) -> NDArray[np.float32]:
    """Turn N descriptors, one after the other, into rows of length one, float32 `[N, 128]`."""
    rows = np.frombuffer(descriptors, np.int8).reshape(-1, DESCRIPTOR_BYTES).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return unit


@functools.lru_cache(maxsize=1)
def _signs(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(_SEED).choice(np.array([-1, 1], np.float32), (count, DESCRIPTOR_BYTES))
