"""A classifier exported for processes without PyTorch, which answer alike with a third of the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import DecisionRule
from whisker.model.answers.head import Head
from whisker.model.checkpoint.golden import check_golden_answers
from whisker.model.engines.base import Compiled, OnnxModel, OpenVinoModel, Prepare
from whisker.model.predictor import Predictor
from whisker.model.preprocessing import Preprocessing

_COMMON_BATCH = 4  # compiled besides the largest, which few pictures cannot fill


@dataclass(frozen=True, slots=True)
class ExportedClassifier:
    """Everything needed to classify pictures, and golden pictures, as encoded files, with their expected answers.

    Once compiled it serves this machine alone: `openvino_model` then holds what OpenVINO has made of it for each batch
    size.
    """

    openvino_model: OpenVinoModel | OnnxModel | Compiled
    head: Head
    preprocessing: Preprocessing
    decision_rule: DecisionRule
    golden: tuple[tuple[bytes, ...], NDArray[np.float32]]
    tolerance: float

    def compiled(self, *, threads: int, largest: int) -> "ExportedClassifier":
        """Compile it for processes of this machine that open it for batches up to `largest`."""
        from whisker.model.engines.openvino_engine import compile_model  # noqa: PLC0415 - an optional dependency

        assert not isinstance(self.openvino_model, Mapping)  # noqa: S101 - it is compiled once
        compiled = compile_model(self.openvino_model, threads=threads, batch_sizes=batch_sizes(largest))
        return replace(self, openvino_model=compiled)

    def open(self, *, threads: int, largest: int, prepare: Prepare | None = None) -> tuple[Predictor, dict[int, float]]:
        """Compile it for batches up to `largest`, verify it and warm it up; return it and the seconds per batch size.

        `prepare`, if given, compiles: see `OpenVinoEngine`. Raises `CheckpointError` if the golden answers differ here.
        """
        from whisker.model.engines.openvino_engine import OpenVinoEngine, apply  # noqa: PLC0415 - an optional dependency

        engine = OpenVinoEngine(
            self.openvino_model,
            self.head,
            threads=threads,
            batch_sizes=batch_sizes(largest),
            prepare=prepare or apply,
        )
        predictor = Predictor(engine, self.preprocessing, self.decision_rule)
        pictures, expected = self.golden
        answers = predictor.scores([self.preprocessing.decode(picture) for picture in pictures])
        check_golden_answers(expected, answers.probabilities, tolerance=self.tolerance)
        return predictor, engine.warm_up(self.preprocessing.size)


def batch_sizes(largest: int) -> list[int]:
    """Choose the batch sizes to compile for."""
    return sorted({1, min(_COMMON_BATCH, largest), largest})
