"""The forward pass compiled by OpenVINO: several times faster than PyTorch on a CPU, and without a compiler.

OpenVINO is optional: only `whisker.model.exported` and `whisker.model.engines.choice` import this module, when they
need it. It needs no PyTorch.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray

from whisker.model.answers.head import Head
from whisker.model.engines.base import Engine, OnnxModel, OpenVinoModel
from whisker.model.engines.imported.reader import complete, open_graph
from whisker.model.engines.openvino_graph import put_together


class OpenVinoEngine(Engine):
    """Run an exported model or an imported graph on the CPU, with `threads` threads, for a few batch sizes.

    A graph answers in float32, as its author measured it, and one picture at a time if it takes no more.
    """

    def __init__(
        self,
        openvino_model: OpenVinoModel | OnnxModel,
        head: Head,
        *,
        threads: int,
        batch_sizes: Sequence[int] = (1, 8),
    ) -> None:
        super().__init__(head, "cpu")
        imported = openvino_model.config if isinstance(openvino_model, OnnxModel) else None
        # Few: each takes 0.1 s to compile, and a copy of the weights.
        self.batch_sizes = tuple(batch_sizes) if imported is None or imported.batches else (1,)
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Every process would bind its first thread to the same core.
            "ENABLE_CPU_PINNING": False,
            **({} if imported is None else {"INFERENCE_PRECISION_HINT": "f32"}),
        }
        self._requests = {
            count: core().compile_model(_sized(openvino_model, count), "CPU", options).create_infer_request()
            for count in self.batch_sizes
        }

    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        request = self._requests[len(batch)]
        request.infer([batch], share_inputs=True)
        wanted = request.output_tensors if with_maps else request.output_tensors[:1]
        features, *maps = [tensor.data.copy() for tensor in wanted]  # the next batch overwrites them
        return features, maps[0] if maps else None


@cache
def core() -> openvino.Core:
    """Create the one `Core` of this process, kept until it ends.

    Each core gives its thread another signal stack and takes it away when it goes, so that the second of two would
    leave the thread with the first one's, which is gone: the next signal would be the process' last.
    """
    return openvino.Core()


def _sized(openvino_model: OpenVinoModel | OnnxModel, count: int) -> openvino.Model:
    """Make a model and fix its batch size: constant shapes are faster."""
    if isinstance(openvino_model, OnnxModel):
        model = complete(open_graph(core(), openvino_model.graph), openvino_model.config)
    else:
        model = put_together(openvino_model)
    model.reshape([count, *model.input(0).partial_shape[1:]])
    return model
