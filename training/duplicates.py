"""Groups of photos that are the same picture, so that no picture stands on both sides of a split.

Exact: equal bytes. Near: the same picture scaled, compressed again, slightly recoloured or mirrored. Candidates are
found by a difference hash (64 bits, Krawetz 2013) and confirmed by the correlation of 16 x 16 grey thumbnails. A crop
of a part of another photo is not found.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from model.network import LUMA

HASH_BITS = 10  # of 64 may differ in a candidate
CORRELATION = 0.96  # a candidate's thumbnails must agree this well
_CHUNK = 512


def group_duplicates(pixels: NDArray[np.uint8], rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.int64]:
    """Give each photo its group: photos with equal numbers are duplicates or near-duplicates of each other.

    `pixels` is uint8 `[M, H, W, 3]`, `rows` the N of them to look at, `digests` the hash of each of these files.
    Returns int64 `[N]`; a group's number is the position of its first photo. Compares all pairs:
    9 s for 22,568 photos on two cores.
    """
    parents = np.arange(len(rows))
    first: dict[str, int] = {}
    for index, digest in enumerate(digests):
        _join(parents, first.setdefault(digest, index), index)
    thumbnails = _thumbnails(pixels, rows)
    for mirrored in (False, True):
        for left, right in _similar(thumbnails, mirrored=mirrored):
            _join(parents, left, right)
    return np.array([_root(parents, index) for index in range(len(parents))], dtype=np.int64)


def _thumbnails(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shrink to grey float32 `[N, 16, 16]`."""
    luma = torch.tensor(LUMA)
    thumbnails = np.empty((len(rows), 16, 16), np.float32)
    for start in range(0, len(rows), _CHUNK):
        grey = torch.from_numpy(pixels[rows[start : start + _CHUNK]]).float() @ luma  # [n, H, W]
        small = functional.interpolate(grey[:, None], (16, 16), mode="bilinear", antialias=True)
        thumbnails[start : start + _CHUNK] = small[:, 0].numpy()
    return thumbnails


def _similar(thumbnails: NDArray[np.float32], *, mirrored: bool) -> list[tuple[int, int]]:
    """List the pairs whose hashes are close and whose thumbnails correlate."""
    others = thumbnails[:, :, ::-1] if mirrored else thumbnails
    left_hashes, right_hashes = _hashes(thumbnails), _hashes(others)
    pairs = []
    for start in range(0, len(thumbnails), _CHUNK):
        distances = np.bitwise_count(left_hashes[start : start + _CHUNK, None] ^ right_hashes[None, start:])
        rows, columns = np.nonzero(distances <= HASH_BITS)
        rows, columns = rows + start, columns + start
        keep = rows < columns
        pairs += _confirmed(thumbnails, others, rows[keep], columns[keep])
    return pairs


def _confirmed(
    left: NDArray[np.float32], right: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> list[tuple[int, int]]:
    correlation = (_standardised(left[rows]) * _standardised(right[columns])).mean(axis=(1, 2))
    agree = correlation >= CORRELATION
    return list(zip(rows[agree].tolist(), columns[agree].tolist(), strict=True))


def _standardised(thumbnails: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = thumbnails - thumbnails.mean(axis=(1, 2), keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=(1, 2), keepdims=True))
    standardised: NDArray[np.float32] = centred / np.maximum(deviation, 1.0)  # flat pictures correlate with nothing
    return standardised


def _hashes(thumbnails: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Hash each thumbnail: one bit for each of 8 x 8 cells that is darker than its right neighbour."""
    cells = torch.from_numpy(np.ascontiguousarray(thumbnails))[:, None]
    cells = functional.interpolate(cells, (8, 9), mode="bilinear", antialias=True)[:, 0]  # [N, 8, 9]
    bits = (cells[:, :, :-1] < cells[:, :, 1:]).flatten(1).numpy()  # [N, 64]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _root(parents: NDArray[np.int64], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]  # halve the path for the next look-up
        index = int(parents[index])
    return index


def _join(parents: NDArray[np.int64], left: int, right: int) -> None:
    low, high = sorted((_root(parents, left), _root(parents, right)))
    parents[high] = low
