"""A predictor: from pictures to predictions, with an engine that is ready. Needs no PyTorch itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule, HeatMap, Prediction, Scores, Verdict
from whisker.model.answers.heat_map import class_activation_map
from whisker.model.answers.kinds import BEST_CLASS, NO_CLASS
from whisker.model.engines.base import Engine, Prepare
from whisker.model.errors import NoHeatMapError
from whisker.model.preprocessing import Preprocessing


class Predictor:
    """Classify pictures. Not thread-safe: one thread owns a predictor."""

    def __init__(self, engine: Engine, preprocessing: Preprocessing, decision_rule: DecisionRule) -> None:
        self._engine = engine
        self._lone_engine: Engine | None = None
        self._decision_rule = decision_rule
        self.preprocessing = preprocessing  # the one way from a file's bytes to pixels

    def prepare_for_lone(self, threads: int, prepare: Prepare) -> None:
        """Prepare to compute a lone picture with so many threads, if the engine can; another thread may do this."""
        engine = self._engine.with_threads(threads, prepare)
        if engine is not None:
            engine.warm_up_features(self.preprocessing.size)
            self._lone_engine = engine

    @property
    def classes(self) -> tuple[str, ...]:
        """List the class names, sorted; column `i` of the logits is `classes[i]`."""
        return self._decision_rule.classes

    def predict(self, pictures: Sequence[bytes]) -> list[Prediction]:
        """Classify encoded pictures; raise a `PictureError` for the first that cannot be used."""
        return self.predict_pixels([self.preprocessing.decode(picture) for picture in pictures])

    def predict_pixels(
        self,
        pixels: Sequence[NDArray[np.uint8]],
        explain: Sequence[int] | None = None,
        *,
        with_features: bool = False,
        is_lone: bool = False,
    ) -> list[Prediction]:
        """Classify pictures that `preprocessing` has decoded, each uint8 `[size, size, 3]` RGB.

        `explain` has for each picture the index of the class to draw a heat map for, `BEST_CLASS` or `NO_CLASS`. The
        threads that were prepared for a lone picture compute it if it `is_lone`. Raises `NoHeatMapError` if there is to
        be a heat map and the network has no feature map.
        """
        if not pixels:
            return []
        wants_maps = explain is not None and max(explain) > NO_CLASS
        engine = self._lone_engine if is_lone and self._lone_engine is not None else self._engine
        outputs = engine.run(pixels, with_maps=wants_maps)
        predictions = self._decision_rule.predictions(self._decision_rule.scores(outputs))
        if with_features:
            predictions = [replace(it, features=row) for it, row in zip(predictions, outputs.features, strict=True)]
        if explain is None or not wants_maps:
            return predictions
        if outputs.maps is None:
            raise NoHeatMapError("This network has no feature map, so there are no heat maps.")
        return [*map(self._explain, predictions, outputs.maps, explain)]

    def scores(self, pixels: Sequence[NDArray[np.uint8]]) -> Scores:
        """Compute calibrated probabilities and unknown scores."""
        return self._decision_rule.scores(self._engine.run(pixels))

    def verdicts(self, scores: Scores) -> list[Verdict]:
        """Decide each verdict: unknown by the unknown score, otherwise confident or unsure by the probabilities."""
        return self._decision_rule.verdicts(scores)

    def predict_each(
        self,
        pixels: Sequence[NDArray[np.uint8]],
        explain: Sequence[int] | None = None,
        *,
        with_features: bool = False,
        is_lone: bool = False,
    ) -> list[Prediction | Exception]:
        """Classify as `predict_pixels` does; if that fails, classify each alone, so that none fails for a neighbour."""
        try:
            return [*self.predict_pixels(pixels, explain, with_features=with_features, is_lone=is_lone)]
        except Exception as exc:  # noqa: BLE001 - whatever it is, the caller gets it for the picture that it belongs to
            if len(pixels) == 1:
                return [exc]
            each = [NO_CLASS] * len(pixels) if explain is None else explain
            return [
                outcome
                for picture, one in zip(pixels, each, strict=True)
                for outcome in self.predict_each([picture], [one], with_features=with_features)
            ]

    def _explain(self, prediction: Prediction, maps: NDArray[np.float32], explain: int) -> Prediction:
        if explain == NO_CLASS:
            return prediction
        index = self.classes.index(prediction.label) if explain == BEST_CLASS else explain
        heat = class_activation_map(maps, self._decision_rule.evidence_weights(self._engine.head, index))
        return replace(prediction, heat_map=HeatMap(self.classes[index], heat))
