"""A predictor: pictures in, answers out, with an engine that is ready. Needs no PyTorch of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.answers import Judge, Prediction, Scores, Verdict
from model.engine import Engine
from model.preprocessing import Preprocessing


class Predictor:
    """Answer for pictures. Not thread-safe: one thread owns a predictor."""

    def __init__(self, engine: Engine, preprocessing: Preprocessing, judge: Judge) -> None:
        self._engine = engine
        self._judge = judge
        self.preprocessing = preprocessing  # the one way from a file's bytes to pixels

    @property
    def classes(self) -> tuple[str, ...]:
        """List the class names, sorted; column `i` of the logits is `classes[i]`."""
        return self._judge.classes

    def predict(self, pictures: Sequence[bytes]) -> list[Prediction]:
        """Classify encoded pictures; raise a `PictureError` for the first that cannot be used."""
        return self.predict_pixels([self.preprocessing.decode(picture) for picture in pictures])

    def predict_pixels(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Prediction]:
        """Classify pictures that `preprocessing` has decoded, each uint8 `[size, size, 3]` RGB."""
        return self._judge.predictions(self.scores(pixels)) if pixels else []

    def scores(self, pixels: Sequence[NDArray[np.uint8]]) -> Scores:
        """Compute probabilities, the softmax of the logits over the temperature, and unknown scores."""
        return self._judge.scores(self._engine.run(pixels))

    def verdicts(self, scores: Scores) -> list[Verdict]:
        """Judge each answer: unknown by its unknown score, or else confident or unsure by its best probability."""
        return self._judge.verdicts(scores)

    def predict_each(self, pixels: Sequence[NDArray[np.uint8]]) -> list[Prediction | Exception]:
        """Classify as `predict_pixels`; if that fails, each picture alone, so that none fails for its neighbour."""
        try:
            return [*self.predict_pixels(pixels)]
        except Exception as exc:  # noqa: BLE001 - whatever it is, the caller gets it for the picture that it belongs to
            if len(pixels) == 1:
                return [exc]
            return [outcome for picture in pixels for outcome in self.predict_each([picture])]
