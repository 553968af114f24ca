"""The size of an HEVC picture as its decoder takes it (ITU-T H.265, 7.3.2.2)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from whisker.model.structure.bits import Bits

_FIRST_ARRAY = 22  # bytes of a decoder's configuration (ISO/IEC 14496-15, 8.3.3.1) before its parameter sets
_SEQUENCE_SET, _SETS = 33, range(32, 35)  # kinds of units: parameters of a sequence, and of anything
_SET_BYTES = 200  # in which the size is
_MAX_UNITS = 5_000
_SEPARATE_PLANES = 3


@lru_cache(1)  # which all tiles of a picture share
def sequence_sizes(configuration: bytes) -> Sequence[tuple[int, int]]:
    """List the sizes in the parameter sets of a configuration; raise `IndexError` if it makes no sense."""
    return [_read_size(unit) for unit in _sets(configuration) if unit[0] >> 1 & 63 == _SEQUENCE_SET]


def holds_sets(units: bytes, configuration: bytes) -> bool:
    """Tell whether a picture's bytes hold parameter sets, which would count in place of the configuration's."""
    prefix, at = 1 + (configuration[21] & 3), 0
    for _ in range(_MAX_UNITS):
        start = at + prefix
        if start >= len(units):
            return False
        if units[start] >> 1 & 63 in _SETS:
            return True
        at = start + int.from_bytes(units[at:start])
    return True


def _sets(configuration: bytes) -> Iterator[bytes]:
    at = _FIRST_ARRAY + 1
    for _ in range(configuration[_FIRST_ARRAY]):
        count = int.from_bytes(configuration[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            length = int.from_bytes(configuration[at : at + 2])
            at += 2
            if not length or at + length > len(configuration):
                raise IndexError
            yield configuration[at : at + length]
            at += length


def _read_size(unit: bytes) -> tuple[int, int]:
    bits = Bits(unit[2:_SET_BYTES].replace(b"\0\0\3", b"\0\0"))
    bits.take(4)  # its video's parameters
    layers = bits.take(3)
    bits.take(1 + 96)  # profile, tier and level
    _skip_layers(bits, layers)
    bits.exp_golomb()  # its number
    if bits.exp_golomb() == _SEPARATE_PLANES:
        bits.flag()
    return bits.exp_golomb(), bits.exp_golomb()


def _skip_layers(bits: Bits, layers: int) -> None:
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)
