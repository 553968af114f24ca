"""The engine of imported checkpoints: OpenVINO reads their ONNX graph, and nothing else runs it."""

import torch

from whisker.model.answers.head import Head
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.checkpoint.integrity import GRAPH
from whisker.model.engines.base import Engine, OnnxModel
from whisker.model.errors import CheckpointError, DeviceError, EngineError
from whisker.model.onnx.config import GraphConfig

NAME = "openvino"
TOLERANCE = 0.001  # of a golden probability: float32 everywhere
_NAMES = ("auto", NAME)
_DEVICES = ("auto", "cpu")


def require_cpu(device: str) -> str:
    """Give the device that runs a graph; raise `DeviceError` if another one is asked for."""
    if device not in _DEVICES:
        raise DeviceError(
            f"The checkpoint was imported from ONNX and runs on the CPU, not on {device}: give cpu or auto."
        )
    return "cpu"


def require_openvino(name: str) -> None:
    """Raise `EngineError` if an engine is asked for that runs no graph."""
    if name not in _NAMES:
        raise EngineError(
            f"The engine {name} cannot be used: the checkpoint was imported from ONNX, which only {NAME} runs."
        )


def graph_of(checkpoint: Checkpoint) -> OnnxModel:
    """Give the graph of an imported checkpoint."""
    assert isinstance(checkpoint.network, GraphConfig)  # noqa: S101 - callers have asked
    return OnnxModel(checkpoint.state[GRAPH].numpy().tobytes(), checkpoint.network)


def import_openvino() -> None:
    """Raise `EngineError` if OpenVINO is not installed, or is a library that this system cannot load."""
    try:
        import openvino  # type: ignore[import-untyped]  # noqa: F401, PLC0415 - an optional dependency
    except (ImportError, OSError) as exc:
        raise EngineError(
            "ONNX graphs are run by OpenVINO, which cannot be imported here: `pip install 'whisker-vision[openvino]'`."
        ) from exc


def open_graph_engine(checkpoint: Checkpoint) -> Engine:
    """Compile the graph of an imported checkpoint.

    Raises `EngineError` without OpenVINO, and `CheckpointError` if OpenVINO cannot run the graph.
    """
    import_openvino()
    from whisker.model.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - an optional dependency

    head = Head(checkpoint.state["fc.weight"].numpy(), checkpoint.state["fc.bias"].numpy())
    try:
        return OpenVinoEngine(graph_of(checkpoint), head, threads=torch.get_num_threads())
    except CheckpointError as exc:
        raise CheckpointError(f"The checkpoint has an ONNX graph that {exc}.") from exc
    except (RuntimeError, MemoryError) as exc:
        raise CheckpointError("The checkpoint has an ONNX graph that OpenVINO cannot compile on this machine.") from exc
