"""Groups of photos that look the same: each group must stay within one split.

Exact duplicates have equal bytes. Near-duplicates are the same picture scaled, recompressed, made darker or lighter, or
mirrored. A difference hash (64 bits, Krawetz 2013) finds candidates, and the correlation of 32 x 32 colour thumbnails
confirms them. Crops of a part of another photo are not found.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

FLAT_DEVIATION = 2.0  # standard deviation of pixel values, 0..255, below which a thumbnail shows a plain colour
_MAX_HASH_BITS = 10  # of 64 that may differ in a candidate
_MIN_CORRELATION = 0.98  # of the thumbnails of duplicates
_THUMBNAIL_SIDE = 32  # pixels
_COMPARED_AT_ONCE = 512  # photos, with all others
_CONFIRMED_AT_ONCE = 4096  # candidates: 100 MB


def group_duplicates(pixels: NDArray[np.uint8], rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.int64]:
    """Assign a group number to each photo: photos with equal numbers are duplicates or near-duplicates of each other.

    `pixels` is uint8 `[M, H, W, 3]`, `rows` the N of them to compare, `digests` the hashes of their files. Returns
    int64 `[N]`; a group's number is the position of its first photo. Compares all pairs.
    """
    first: dict[str, int] = {}
    groups = np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], dtype=np.int64)
    thumbnails = _thumbnails(pixels, rows)
    hashes = _hashes(thumbnails)
    worth_comparing = thumbnails.std(axis=(1, 2, 3)) >= FLAT_DEVIATION
    for others in (thumbnails, np.ascontiguousarray(thumbnails[:, :, ::-1])):
        for pairs in _candidates(hashes, _hashes(others), worth_comparing):
            # In a burst of similar photos most pairs are joined already: compare only the others.
            left, right = pairs[:, groups[pairs[0]] != groups[pairs[1]]]
            similar = _correlation(thumbnails[left], others[right]) >= _MIN_CORRELATION
            for pair in zip(left[similar].tolist(), right[similar].tolist(), strict=True):
                low, high = sorted(groups[list(pair)])
                groups[groups == high] = low
    return groups


def _thumbnails(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Shrink to uint8 `[N, 32, 32, 3]`."""
    thumbnails = np.empty((len(rows), _THUMBNAIL_SIDE, _THUMBNAIL_SIDE, 3), np.uint8)
    for start in range(0, len(rows), _COMPARED_AT_ONCE):
        x = torch.from_numpy(pixels[rows[start : start + _COMPARED_AT_ONCE]]).permute(0, 3, 1, 2)
        small = functional.interpolate(x, (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE), mode="bilinear", antialias=True)
        thumbnails[start : start + _COMPARED_AT_ONCE] = small.permute(0, 2, 3, 1).numpy()
    return thumbnails


def _hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hash each thumbnail: a bit for each of 8 x 8 cells tells whether its right neighbour is lighter."""
    cells = torch.from_numpy(thumbnails).float().mean(3)[:, None]  # [N, 1, 32, 32]
    cells = functional.interpolate(cells, (8, 9), mode="bilinear", antialias=True)[:, 0]  # [N, 8, 9]
    bits = (cells[:, :, :-1] < cells[:, :, 1:]).flatten(1).numpy()  # [N, 64]
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _candidates(
    left: NDArray[np.uint64], right: NDArray[np.uint64], worth_comparing: NDArray[np.bool_]
) -> Iterator[NDArray[np.int64]]:
    """Yield the pairs whose hashes are close, the lower position first, in pieces `[2, n]`."""
    for start in range(0, len(left), _COMPARED_AT_ONCE):
        distances = np.bitwise_count(left[start : start + _COMPARED_AT_ONCE, None] ^ right[None, start:])
        rows, columns = np.nonzero(distances <= _MAX_HASH_BITS)
        rows, columns = rows + start, columns + start
        keep = (rows < columns) & worth_comparing[rows] & worth_comparing[columns]
        pairs = np.stack([rows[keep], columns[keep]])
        for piece in range(0, pairs.shape[1], _CONFIRMED_AT_ONCE):
            yield pairs[:, piece : piece + _CONFIRMED_AT_ONCE]


def _correlation(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Correlate thumbnails `[n, 32, 32, 3]` pair by pair, over all colours at once: hue counts as much as shape."""
    a, b = (x.reshape(len(x), 3 * _THUMBNAIL_SIDE**2).astype(np.float32) for x in (left, right))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    correlation: NDArray[np.float32] = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return correlation
