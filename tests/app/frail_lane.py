"""A lane in which some pictures do what hostile ones may do to a decoder."""

import os
import sys
import time
from typing import Any
from unittest.mock import patch

from app import lane
from model.preprocessing import Picture, Preprocessing

KILLER, SLEEPER, BABBLER, BOASTER = b"ends the process", b"never decodes", b"says nonsense", b"says too much"
GLUTTON = b"wants memory"
_read = Preprocessing.read


def _read_frailly(preprocessing: Preprocessing, data: bytes, **limits: Any) -> Picture:
    if data == KILLER:
        os._exit(11)
    if data == GLUTTON:
        bytearray(8_000_000_000)
    if data == BABBLER:
        os.write(int(sys.argv[1]), lane.LENGTH.pack(2) + b"{}")
    if data == BOASTER:
        os.write(int(sys.argv[1]), lane.LENGTH.pack(2**32 - 1))
    while data in (SLEEPER, BABBLER, BOASTER):
        time.sleep(1)
    return _read(preprocessing, data, **limits)


if __name__ == "__main__":
    with patch.object(Preprocessing, "read", _read_frailly):
        lane.main()
