"""A classifier exported for processes without PyTorch, which answer alike with a third of the memory."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule
from whisker.model.answers.head import Head
from whisker.model.checkpoint.golden import check_golden_answers
from whisker.model.engines.base import OnnxModel, OpenVinoModel
from whisker.model.predictor import Predictor
from whisker.model.preprocessing import Preprocessing

_COMMON_BATCH = 4  # compiled besides the largest, which few pictures cannot fill


@dataclass(frozen=True, slots=True)
class ExportedClassifier:
    """Everything needed to classify pictures, and golden pictures, as encoded files, with their expected answers."""

    openvino_model: OpenVinoModel | OnnxModel
    head: Head
    preprocessing: Preprocessing
    decision_rule: DecisionRule
    golden: tuple[tuple[bytes, ...], NDArray[np.float32]]
    tolerance: float

    def open(self, *, threads: int, largest: int) -> tuple[Predictor, dict[int, float]]:
        """Compile it for batches up to `largest`, verify it and warm it up; return it and the seconds per batch size.

        Raises `CheckpointError` if the golden answers differ here.
        """
        from whisker.model.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - an optional dependency

        sizes = {1, min(_COMMON_BATCH, largest), largest}
        engine = OpenVinoEngine(self.openvino_model, self.head, threads=threads, batch_sizes=sorted(sizes))
        predictor = Predictor(engine, self.preprocessing, self.decision_rule)
        pictures, expected = self.golden
        answers = predictor.scores([self.preprocessing.decode(picture) for picture in pictures])
        check_golden_answers(expected, answers.probabilities, tolerance=self.tolerance)
        return predictor, engine.warm_up(self.preprocessing.size)
