"""OpenVINO files: an `.xml` and, beside it, a `.bin` with the weights in float32.

OpenVINO resizes with its own operation, which follows Pillow: matrices would be wrong in bfloat16, which it chooses by
itself where a processor has it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]
from openvino import opset11 as ops

from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.conversion.quietness import quiet
from whisker.model.export.manifest import KEY, Manifest

_MODES = {"bilinear": "bilinear_pillow", "bicubic": "bicubic_pillow"}
_CUBIC = -0.5  # Pillow's
_HEIGHT, _WIDTH = 1, 2  # axes
_Node = Any  # openvino.Node: its stubs do not cover what operations take


def write_openvino(network: ExportedNetwork, manifest: Manifest, path: Path) -> None:
    """Write both files; the network is one that does not resize."""
    program, size = network.program(), manifest.preprocessing.size
    with quiet():
        model = openvino.convert_model(program)
    model.reshape([-1, size, size, 3])
    if manifest.resizes:
        model = _resizing(model, size, _MODES[manifest.preprocessing.resample])
    model.inputs[0].get_tensor().set_names({"pictures"})
    for output, name in zip(model.outputs, manifest.outputs, strict=True):
        output.get_tensor().set_names({name})
    model.set_rt_info(manifest.to_json(), KEY)
    openvino.save_model(model, path, compress_to_fp16=False)


def _resizing(model: openvino.Model, size: int, mode: str) -> openvino.Model:
    """Put a resize before a model."""
    (before,) = model.get_parameters()
    pictures = ops.parameter([-1, -1, -1, 3], np.uint8)
    width_first = _resize(_resize(pictures, _WIDTH, size, mode), _HEIGHT, size, mode)
    height_first = _resize(_resize(pictures, _HEIGHT, size, mode), _WIDTH, size, mode)
    lost_rows, lost_columns = (ops.subtract(_length(pictures, axis), np.int64(size)) for axis in (_HEIGHT, _WIDTH))
    taller = ops.greater(lost_rows, ops.multiply(lost_columns, np.int64(2)))
    is_height_first = ops.logical_and(ops.greater(lost_rows, np.int64(0)), taller)  # as in `Resizing`
    before.output(0).replace(ops.select(is_height_first, height_first, width_first).output(0))
    return openvino.Model(model.get_results(), [pictures])


def _resize(pictures: _Node, axis: int, size: int, mode: str) -> _Node:
    """Resize one side; the other keeps its length."""
    kept = _HEIGHT if axis == _WIDTH else _WIDTH
    sides = [ops.constant(np.array([size], np.int64)), _length(pictures, kept)]
    order = sides if axis == _HEIGHT else sides[::-1]
    axes = ops.constant(np.array([_HEIGHT, _WIDTH], np.int64))
    nothing, lengths = [0, 0, 0, 0], ops.concat(order, 0)
    return ops.interpolate(
        *(pictures, lengths, mode, "sizes", nothing, nothing, "half_pixel", "round_prefer_floor"),
        antialias=False,
        cube_coeff=_CUBIC,
        axes=axes,
    )


def _length(pictures: _Node, axis: int) -> _Node:
    """Give the length of an axis, `[1]`."""
    shape = ops.shape_of(pictures, "i64")
    return ops.gather(shape, ops.constant(np.array([axis], np.int64)), ops.constant(np.int64(0)))
