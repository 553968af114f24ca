"""An inference worker in which some pictures do what hostile ones may do to a decoder, or to the network."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from whisker.app.inference.wire import ANSWERED, FRAME
from whisker.app.inference.worker import main
from whisker.model.answers.decision_rule import Prediction
from whisker.model.predictor import Predictor
from whisker.model.preprocessing import Picture, Preprocessing

KILLER, SLEEPER, BABBLER, BOASTER = b"ends the process", b"never decodes", b"says nonsense", b"says too much"
GLUTTON = b"wants memory"
RAISER, HANGER = (1, 2, 3), (3, 2, 1)  # colours of pictures that the network raises and hangs for
_read = Preprocessing.read
_predict_pixels = Predictor.predict_pixels


def _read_frailly(preprocessing: Preprocessing, data: bytes, **limits: Any) -> Picture:
    if data == KILLER:
        os._exit(11)
    if data == GLUTTON:
        bytearray(8_000_000_000)
    if data == BABBLER:
        os.write(int(sys.argv[1]), FRAME.pack(ANSWERED, 2) + b"{}")
    if data == BOASTER:
        os.write(int(sys.argv[1]), FRAME.pack(ANSWERED, 2**32 - 1))
    while data in (SLEEPER, BABBLER, BOASTER):
        time.sleep(1)
    return _read(preprocessing, data, **limits)


def _predict_frailly(
    predictor: Predictor, pixels: Sequence[NDArray[np.uint8]], explain: Sequence[int], **wanted: Any
) -> list[Prediction]:
    colours = {tuple(picture[0, 0].tolist()) for picture in pixels}
    if RAISER in colours:
        raise RuntimeError("out of memory")
    while HANGER in colours:
        time.sleep(1)
    return _predict_pixels(predictor, pixels, explain, **wanted)


if __name__ == "__main__":
    with (
        patch.object(Preprocessing, "read", _read_frailly),
        patch.object(Predictor, "predict_pixels", _predict_frailly),
    ):
        main()
