"""Numbers in a stream of bits, as video codecs write them."""


class Bits:
    """Read bits, the highest of each byte first; raises `IndexError` at the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def take(self, count: int) -> int:
        """Read a number of so many bits."""
        if self._at + count > len(self._bits):
            raise IndexError
        bits = self._bits[self._at : self._at + count]
        self._at += count
        return int(bits or "0", 2)

    def flag(self) -> bool:
        return self.take(1) == 1

    def exp_golomb(self) -> int:
        """Read a number in the Exponential-Golomb code (ITU-T H.265, 9.2)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
