"""The size of an AV1 picture as its decoder takes it (AV1 Bitstream & Decoding Process, 5.3 to 5.5)."""

from collections.abc import Iterator

from whisker.model.structure.bits import Bits

_SEQUENCE = 1  # a kind of unit
_HEADER_BYTES = 200  # in which the size is
_MAX_UNITS = 1_000


def sequence_sizes(units: bytes) -> list[tuple[int, int]]:
    """List the sizes in a picture's sequence headers; raise `IndexError` for what makes no sense."""
    return [_read_size(content) for kind, content in _units(units) if kind == _SEQUENCE]


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(_MAX_UNITS):
        if at >= len(data):
            return
        head = data[at]
        at += 2 if head & 4 else 1  # with an extension
        length = len(data) - at
        if head & 2:
            length, at = _read_length(data, at)
        yield head >> 3 & 15, data[at : at + min(length, _HEADER_BYTES)]
        at += length
    raise IndexError


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, the lowest first; return it, and where it ends."""
    length = 0
    for place in range(8):
        byte = data[at + place]
        length |= (byte & 127) << 7 * place
        if byte < 128:
            return length, at + place + 1
    raise IndexError


def _read_size(header: bytes) -> tuple[int, int]:
    bits = Bits(header)
    bits.take(4)  # profile, and whether it is a still picture
    if bits.flag():  # a short header
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(width_bits) + 1, bits.take(height_bits) + 1


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.flag():  # timing
        bits.take(64)
        if bits.flag():
            bits.exp_golomb()
        if bits.flag():  # a model of the decoder
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    has_delay = bits.flag()
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # its level has a tier
            bits.flag()
        if delay_bits and bits.flag():
            bits.take(2 * delay_bits + 1)
        if has_delay and bits.flag():
            bits.take(4)
