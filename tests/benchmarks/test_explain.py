"""Whether heat maps tell what an answer depends on, asked of a network that looks at every place by itself."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.explain import find_telling
from whisker.model import Preprocessing
from whisker.model.answers.head import Head
from whisker.model.answers.single_label import SingleLabelRule
from whisker.model.engines.base import Engine
from whisker.model.predictor import Predictor

PLACES, SIDE = 4, 8  # in each direction; pixels of a place


class Brightness(Engine):
    """Have one feature, the mean brightness, and map it truly (`sign` 1) or the wrong way round (-1)."""

    def __init__(self, sign: int) -> None:
        super().__init__(Head(np.array([[6.0], [-6.0]], np.float32), np.array([-3.0, 3.0], np.float32)), "cpu")
        self._sign = np.float32(sign)

    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        bright = batch.astype(np.float32).mean(3) / 255
        maps = bright.reshape(len(batch), 1, PLACES, SIDE, PLACES, SIDE).mean((3, 5))
        return maps.mean((2, 3)), self._sign * maps if with_maps else None


@pytest.mark.parametrize(("sign", "told"), [(1, True), (-1, False)])
def test_maps_are_telling_if_they_show_what_counts(sign: int, *, told: bool) -> None:
    rng = np.random.default_rng(0)
    bases = [40, 60, 180, 200]  # dark and bright pictures, whose places differ
    places = [np.clip(base + rng.integers(-40, 40, (PLACES, PLACES, 1)), 0, 255) for base in bases]
    pictures = [place.repeat(SIDE, 0).repeat(SIDE, 1).repeat(3, 2).astype(np.uint8) for place in places]
    rule = SingleLabelRule(("bright", "dark"), 1.0, None, 0.5)
    predictor = Predictor(Brightness(sign), Preprocessing(PLACES * SIDE), rule)
    assert [it.label for it in predictor.predict_pixels(pictures)] == ["dark", "dark", "bright", "bright"]
    assert find_telling(predictor, pictures) == [told] * len(pictures)
