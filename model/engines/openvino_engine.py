"""The forward pass compiled by OpenVINO: several times faster than PyTorch on a CPU, and without a compiler.

OpenVINO is optional: only `whisker.model.exported` and `whisker.model.engines.choice` import this module, when they
need it. It needs no PyTorch.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from io import BytesIO

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray
from openvino import opset14 as ops

from whisker.model.answers.head import Head
from whisker.model.engines.base import Compiled, Engine, OnnxModel, OpenVinoModel, Prepare
from whisker.model.engines.imported.reader import complete, open_graph
from whisker.model.engines.openvino_graph import put_together


def apply(work: Callable[[], openvino.CompiledModel]) -> openvino.CompiledModel:
    """Do work here and now."""
    return work()


class OpenVinoEngine(Engine):
    """Run an exported model or an imported graph on the CPU, with `threads` threads, for a few batch sizes.

    A graph answers in float32, as its author measured it, and one picture at a time if it takes no more. Instead of
    either it takes what `compile_model` has made of it, for each size. `prepare` does what takes long, and does without
    Python's lock: it is given a function, and returns what that returns.
    """

    def __init__(
        self,
        openvino_model: OpenVinoModel | OnnxModel | Compiled,
        head: Head,
        *,
        threads: int,
        batch_sizes: Sequence[int] = (1, 4),
        prepare: Prepare = apply,
    ) -> None:
        super().__init__(head, "cpu")
        self._memory = openvino_model  # of the weights, if it is mapped: without it the next pass would be the last
        # Few: each takes 0.1 s to compile, and a copy of the weights.
        self.batch_sizes = possible_sizes(openvino_model, batch_sizes)
        self._requests = {
            count: prepare(partial(_prepared, openvino_model, count, threads)).create_infer_request()
            for count in self.batch_sizes
        }

    def with_threads(self, threads: int, prepare: Prepare = apply) -> "OpenVinoEngine":
        one = self._memory if not isinstance(self._memory, Mapping) else {1: self._memory[1]}
        return OpenVinoEngine(one, self.head, threads=threads, batch_sizes=(1,), prepare=prepare)

    def compiled(self) -> dict[int, bytes]:
        """Write what was compiled for each batch size, as `compile_model` does."""
        return {count: _write(request.get_compiled_model()) for count, request in self._requests.items()}

    def _embed(
        self, batch: NDArray[np.uint8], *, with_maps: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        request = self._requests[len(batch)]
        request.infer([batch], share_inputs=True)
        wanted = request.output_tensors if with_maps else request.output_tensors[:1]
        features, *maps = [tensor.data.copy() for tensor in wanted]  # the next batch overwrites them
        return features, maps[0] if maps else None


def _prepared(openvino_model: OpenVinoModel | OnnxModel | Compiled, count: int, threads: int) -> openvino.CompiledModel:
    if isinstance(openvino_model, Mapping):
        return shared_core().import_model(_as_it_lies(openvino_model[count]), "CPU", _options(threads))
    return _compile(openvino_model, count, threads)


def _as_it_lies(compiled: bytes | NDArray[np.uint8]) -> object:
    """Give OpenVINO memory that it can use without a copy, as a mapped file's; what cannot be written it copies."""
    if isinstance(compiled, np.ndarray) and compiled.flags.writeable:
        return openvino.Tensor(compiled, shared_memory=True)
    return bytes(compiled)


def possible_sizes(openvino_model: OpenVinoModel | OnnxModel | Compiled, batch_sizes: Sequence[int]) -> tuple[int, ...]:
    """Give the batch sizes that a model takes: those wanted, or one, or those that it was compiled for."""
    if isinstance(openvino_model, Mapping):
        return tuple(sorted(openvino_model))
    is_single = isinstance(openvino_model, OnnxModel) and not openvino_model.config.batches
    return (1,) if is_single else tuple(batch_sizes)


def compile_model(
    openvino_model: OpenVinoModel | OnnxModel, *, threads: int, batch_sizes: Sequence[int]
) -> dict[int, bytes]:
    """Compile a model for each batch size, for other processes on this machine: they open it in a third of the time."""
    sizes = possible_sizes(openvino_model, batch_sizes)
    return {count: _write(_compile(openvino_model, count, threads)) for count in sizes}


def _write(compiled: openvino.CompiledModel) -> bytes:
    written = BytesIO()
    compiled.export_model(written)
    return written.getvalue()


def _compile(openvino_model: OpenVinoModel | OnnxModel, count: int, threads: int) -> openvino.CompiledModel:
    options = _options(threads)
    if isinstance(openvino_model, OnnxModel):
        options["INFERENCE_PRECISION_HINT"] = "f32"
    return shared_core().compile_model(_sized(openvino_model, count), "CPU", options)


def _options(threads: int) -> dict[str, object]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Every process would bind its first thread to the same core.
        "ENABLE_CPU_PINNING": False,
    }


@cache
def start_runtime() -> None:
    """Load all that OpenVINO needs for its first model, so that a model's memory can be told from it."""
    pictures = ops.parameter([1, 1], np.uint8)
    model = openvino.Model([ops.result(ops.relu(ops.convert(pictures, np.float32)))], [pictures])
    # With the options of all others: the defaults bind threads to cores, to the same ones in every process.
    shared_core().compile_model(model, "CPU", _options(1)).create_infer_request().infer([np.zeros((1, 1), np.uint8)])


@cache
def shared_core() -> openvino.Core:
    """Create the one `Core` of this process, kept until it ends.

    Each core gives its thread another signal stack and takes it away when it goes, so that the second of two would
    leave the thread with the first one's, which is gone: the next signal would be the process' last.
    """
    # OpenVINO's thread library binds each pass to one hyperthread a core, whatever the options say, and every process
    # to the same ones. Its topology library, hwloc, binds nothing if told that the topology is not this machine's.
    os.environ.setdefault("HWLOC_THISSYSTEM", "0")
    return openvino.Core()


def _sized(openvino_model: OpenVinoModel | OnnxModel, count: int) -> openvino.Model:
    """Make a model and fix its batch size: constant shapes are faster."""
    if isinstance(openvino_model, OnnxModel):
        model = complete(open_graph(shared_core(), openvino_model.graph), openvino_model.config)
    else:
        model = put_together(openvino_model)
    model.reshape([count, *model.input(0).partial_shape[1:]])
    return model
