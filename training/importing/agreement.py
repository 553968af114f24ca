"""ONNX Runtime's answers beside ours: two readers of one file, and two implementations of what leads to its input."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig
from whisker.model.plain_text import printable

MAX_DIFFERENCE = 0.001  # of a probability


def runtime_outputs(
    graph: bytes, config: GraphConfig, pixels: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float32] | None:
    """Let ONNX Runtime compute the graph's own outputs `[N, classes]`; return `None` if it is not installed.

    Raises `CheckpointError`, with the end of a sentence, if it cannot run the graph.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - optional
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what matters is in the exception
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        kind = np.float16 if "float16" in source.type else np.float32
        answers = [session.run(None, {source.name: _prepare(picture, config).astype(kind)})[0] for picture in pixels]
    except Exception as exc:  # its own classes derive from nothing narrower
        raise CheckpointError(f"cannot be run by ONNX Runtime: {_first_line(exc)}") from exc
    return np.concatenate([np.asarray(answer, np.float32).reshape(1, -1) for answer in answers])


def _prepare(picture: NDArray[np.uint8], config: GraphConfig) -> NDArray[np.float32]:
    """Turn a picture, uint8 `[size, size, 3]` RGB, into the graph's input, with NumPy alone."""
    x: NDArray[np.float32] = picture.astype(np.float32)
    if config.order == "bgr":
        x = x[:, :, ::-1]
    if config.scale == "0..1":
        x = x / np.float32(255)
    mean, std = (np.array(values, np.float32) for values in (config.mean, config.std))
    x = (x - mean) / std
    if config.layout == "NCHW":
        x = x.transpose(2, 0, 1)
    return np.ascontiguousarray(x[None], np.float32)


def _first_line(exc: Any) -> str:
    return printable(str(exc).strip().split("\n")[0].rstrip(".")[:200])
