"""An ONNX graph that is being imported: its own outputs, and the ways to read features or logits from it.

Needs OpenVINO: `whisker.training.importing.classifier` imports this module after making sure of that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.engines.imported.ending import (
    EXACT,
    Ending,
    find_last_layer,
    has_softmax,
    whole_graph,
)
from whisker.model.engines.imported.reader import complete, count_multiply_adds, open_graph, output_name
from whisker.model.engines.openvino_engine import shared_core
from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig, Output

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Found:
    """A way to read a graph, and the last layer from what is read to the logits, in the graph's order of classes."""

    config: GraphConfig
    head: Head


class OnnxGraph:
    """A graph whose structure was inspected.

    Everything raises `CheckpointError`, with the end of a sentence, if OpenVINO cannot use the graph.
    """

    def __init__(self, content: bytes, given: GraphConfig) -> None:
        """Read the graph; `given` describes its input."""
        model = open_graph(shared_core(), content)
        self.content = content
        self.has_softmax = has_softmax(model)
        self._whole = replace(given, tensor=output_name(model), gives="logits")

    def outputs(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Compute the graph's own outputs `[N, classes]`."""
        return _run(self._complete(self._whole), pictures)

    def endings(self, output: Output, classes: int) -> Iterator[Found]:
        """Give the ways to read it: at the features before a last linear layer, if it has one, and at its end."""
        model = open_graph(shared_core(), self.content)
        self._fix_size(model)
        if output == "logits" or self.has_softmax:
            found = find_last_layer(shared_core(), model)
            if found is not None:
                yield self._with_figures(found)
        yield self._with_figures(whole_graph(model, classes, output))

    def _with_figures(self, ending: Ending) -> Found:
        """Count the work, and try whether two pictures at once get the answers that each gets alone."""
        config = replace(self._whole, tensor=ending.tensor, gives=ending.gives)
        model = self._complete(config)
        config = replace(config, multiply_adds=count_multiply_adds(model), batches=self._takes_batches(config))
        return Found(config, ending.head)

    def _takes_batches(self, config: GraphConfig) -> bool:
        size = config.size
        pictures = [*np.random.default_rng(0).integers(0, 256, (_PAIR, size, size, 3), np.uint8)]
        alone = _run(self._complete(config), pictures)
        model = self._complete(config)
        try:
            model.reshape([_PAIR, size, size, 3])
            together = _run(model, [np.stack(pictures)])
        except (RuntimeError, CheckpointError):
            return False
        return together.shape == alone.shape and bool(np.allclose(together, alone, rtol=1e-3, atol=1e-3))

    def _complete(self, config: GraphConfig) -> openvino.Model:
        return complete(open_graph(shared_core(), self.content), config)

    def _fix_size(self, model: openvino.Model) -> None:
        side = self._whole.size
        model.reshape([1, 3, side, side] if self._whole.layout == "NCHW" else [1, side, side, 3])


def _run(model: openvino.Model, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Compute in float32 what a completed model gives for each input, a picture or several."""
    try:
        request = shared_core().compile_model(model, "CPU", EXACT).create_infer_request()
        answers = []
        for pictures in inputs:
            request.infer([pictures if pictures.ndim == 4 else pictures[None]])
            answers.append(request.output_tensors[0].data.copy())
    except (RuntimeError, MemoryError) as exc:
        raise CheckpointError("cannot be compiled, or run, by OpenVINO on this machine") from exc
    return np.concatenate(answers)
