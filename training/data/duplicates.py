"""Groups of photos that look the same, so that no picture stands on both sides of a split.

Exact: equal bytes. Near: the same picture scaled, compressed again, made darker or lighter, or mirrored. Candidates are
found by a difference hash (64 bits, Krawetz 2013) and confirmed by the correlation of 32 x 32 colour thumbnails. A crop
of a part of another photo is not found.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

HASH_BITS = 10  # of 64 may differ in a candidate
CORRELATION = 0.98  # a candidate's thumbnails must agree this well
_SIDE = 32
_CHUNK = 512  # photos compared with all others at once
_SLICE = 4096  # candidates confirmed at once: 100 MB
_FLAT = 2.0  # a thumbnail of less deviation shows nothing that could be compared


def group_duplicates(pixels: NDArray[np.uint8], rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.int64]:
    """Give each photo its group: photos with equal numbers are duplicates or near-duplicates of each other.

    `pixels` is uint8 `[M, H, W, 3]`, `rows` the N of them to look at, `digests` the hash of each of these files.
    Returns int64 `[N]`; a group's number is the position of its first photo. Compares all pairs.
    """
    first: dict[str, int] = {}
    groups = np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], dtype=np.int64)
    thumbnails = _thumbnails(pixels, rows)
    hashes = _hashes(thumbnails)
    worth_comparing = thumbnails.std(axis=(1, 2, 3)) >= _FLAT
    for others in (thumbnails, np.ascontiguousarray(thumbnails[:, :, ::-1])):
        for pairs in _candidates(hashes, _hashes(others), worth_comparing):
            # A burst of alike photos has many pairs, of which few are not yet joined.
            left, right = pairs[:, groups[pairs[0]] != groups[pairs[1]]]
            alike = _correlation(thumbnails[left], others[right]) >= CORRELATION
            for pair in zip(left[alike].tolist(), right[alike].tolist(), strict=True):
                low, high = sorted(groups[list(pair)])
                groups[groups == high] = low
    return groups


def _thumbnails(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Shrink to uint8 `[N, 32, 32, 3]`."""
    thumbnails = np.empty((len(rows), _SIDE, _SIDE, 3), np.uint8)
    for start in range(0, len(rows), _CHUNK):
        x = torch.from_numpy(pixels[rows[start : start + _CHUNK]]).permute(0, 3, 1, 2)
        small = functional.interpolate(x, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        thumbnails[start : start + _CHUNK] = small.permute(0, 2, 3, 1).numpy()
    return thumbnails


def _hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hash each thumbnail: one bit for each of 8 x 8 cells whose right neighbour is lighter."""
    cells = torch.from_numpy(thumbnails).float().mean(3)[:, None]  # [N, 1, 32, 32]
    cells = functional.interpolate(cells, (8, 9), mode="bilinear", antialias=True)[:, 0]  # [N, 8, 9]
    bits = (cells[:, :, :-1] < cells[:, :, 1:]).flatten(1).numpy()  # [N, 64]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _candidates(
    left: NDArray[np.uint64], right: NDArray[np.uint64], worth_comparing: NDArray[np.bool_]
) -> Iterator[NDArray[np.int64]]:
    """List the pairs, the left before the right, whose hashes are close, as slices `[2, n]`."""
    for start in range(0, len(left), _CHUNK):
        distances = np.bitwise_count(left[start : start + _CHUNK, None] ^ right[None, start:])
        rows, columns = np.nonzero(distances <= HASH_BITS)
        rows, columns = rows + start, columns + start
        keep = (rows < columns) & worth_comparing[rows] & worth_comparing[columns]
        pairs = np.stack([rows[keep], columns[keep]])
        for piece in range(0, pairs.shape[1], _SLICE):
            yield pairs[:, piece : piece + _SLICE]


def _correlation(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Correlate thumbnails `[n, 32, 32, 3]` pair by pair, all three colours together: hue counts as much as shape."""
    a, b = (x.reshape(len(x), 3 * _SIDE**2).astype(np.float32) for x in (left, right))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    correlation: NDArray[np.float32] = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return correlation
