"""Colours that are named by numbers (ITU-T H.273, or PNG's gAMA) as profiles of the International Color Consortium."""

import struct
from collections.abc import Sequence
from functools import lru_cache

_SRGB = 1
# Primaries in XYZ, adapted to D50, as ICC profiles have them: of sRGB, Display P3, and BT.2020
_PRIMARIES: dict[int, Sequence[tuple[float, float, float]]] = {
    _SRGB: ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)),
    12: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),
    9: ((0.67348, 0.27904, -0.00194), (0.16566, 0.67534, 0.02998), (0.12505, 0.04562, 0.79686)),
}
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # of type 3


@lru_cache
def numbered_profile(primaries: int) -> bytes:
    """Make a profile of the primaries with a number, with the curve of sRGB; empty for sRGB's and unknown ones."""
    if primaries not in _PRIMARIES or primaries == _SRGB:
        return b""
    return _write(primaries, b"para" + bytes(4) + struct.pack(">HH", 3, 0) + b"".join(map(_fixed, _SRGB_CURVE)))


@lru_cache
def gamma_profile(gamma: float, *, is_grey: bool) -> bytes:
    """Make a profile of sRGB's primaries, or of grey, with a curve that is a power of `gamma`."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(gamma)
    return _write(None if is_grey else _SRGB, curve)


def _write(primaries: int | None, curve: bytes) -> bytes:
    """Write a profile of primaries or, without them, of grey."""
    tags = {b"wtpt": _xyz(_D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
        tags |= zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, _PRIMARIES[primaries]), strict=True)
    start, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(content), len(value))
        content += value
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(content), b"", 0x04200000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50)) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + content


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65_536))


def _xyz(value: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, value))
