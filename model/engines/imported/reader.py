"""An ONNX graph as an OpenVINO model from pictures to what the last layer takes."""

import math
import re

import numpy as np
import openvino  # type: ignore[import-untyped]
from openvino import opset14 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor  # type: ignore[import-untyped]

from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig, is_tensor_name
from whisker.model.plain_text import printable

_TYPES = ("f32", "f16")  # of numbers that a graph's input may be
_LEAST_PROBABILITY = 1e-12  # of which a logarithm is taken
_MULTIPLYING = ("Convolution", "GroupConvolution", "MatMul")
_UNSUPPORTED = re.compile(r"No conversion rule found for operations: ([^\n]+)")
_MAX_SHOWN = 200  # characters
_MAX_TENSOR_BYTES = 1_000_000_000  # of one picture: far more than any classifier's, and little enough to be refused by
_MAX_MULTIPLY_ADDS = 1_000_000_000_000  # of one picture: ViT-g/14, at 518 pixels, takes about as many


def open_graph(core: openvino.Core, graph: bytes) -> openvino.Model:
    """Read an ONNX graph that `inspect_onnx` has accepted.

    Raises `CheckpointError`, with the end of a sentence, if OpenVINO cannot, or if there is not one input and output.
    """
    try:
        model = core.read_model(graph)
    except RuntimeError as exc:
        found = _UNSUPPORTED.search(str(exc))
        if found:
            names = printable(found[1])[:_MAX_SHOWN]
            raise CheckpointError(f"has operators that OpenVINO, which runs it, lacks: {names}") from exc
        raise CheckpointError("is damaged, or not of a kind that OpenVINO, which runs it, can read") from exc
    for kind, ports in (("input", model.inputs), ("output", model.outputs)):
        if len(ports) != 1:
            raise CheckpointError(f"has {len(ports)} {kind}s, where a classifier of pictures has one")
    kind = model.inputs[0].get_element_type().get_type_name()
    if kind not in _TYPES:
        raise CheckpointError(f"takes {kind} numbers, where pictures are {' or '.join(_TYPES)}")
    return model


def find_tensor(model: openvino.Model, name: str) -> openvino.Output:
    """Find the output of an operation by the name of its tensor; raise `CheckpointError` if there is none."""
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if name in output.get_names():
                return output
    raise CheckpointError(f"has no tensor {printable(name)!r}")


def name_of(output: openvino.Output) -> str | None:
    """Choose one of a tensor's names, of those that a checkpoint can hold; ONNX gives every tensor one."""
    names = sorted(name for name in output.get_names() if is_tensor_name(name))
    return names[0] if names else None


def output_name(model: openvino.Model) -> str:
    """Name the graph's own output; raise `CheckpointError`, with the end of a sentence, if it has no usable name."""
    name = name_of(model.output(0))
    if name is None:
        raise CheckpointError("gives its output no name that can be printed")
    return name


def complete(model: openvino.Model, config: GraphConfig) -> openvino.Model:
    """Make a model from one picture, uint8 `[1, size, size, 3]` RGB, to what the last layer takes, `[1, F]`.

    Raises `CheckpointError`, with the end of a sentence, if the graph does not take pictures of that size.
    """
    shape = [3, config.size, config.size] if config.layout == "NCHW" else [config.size, config.size, 3]
    taken = model.input(0).get_partial_shape()
    # A side that the file fixes is not ours to change: OpenVINO would, and other programs would not.
    if not taken.compatible(openvino.PartialShape([-1, *shape])):
        raise _other_shape(taken, config)
    try:
        model.reshape([1, *shape])
        _require_bounded(model)
        found = find_tensor(model, config.tensor)
        read = ops.convert(found, "f32")
        if config.gives == "probabilities":
            read = ops.log(ops.maximum(read, np.float32(_LEAST_PROBABILITY)))
        flat = ops.reshape(read, [0, -1], special_zero=True)  # 0: as it is
        return _with_preprocessing(openvino.Model([ops.result(flat)], model.get_parameters()), config)
    except RuntimeError as exc:
        raise _other_shape(taken, config) from exc


def _other_shape(taken: openvino.PartialShape, config: GraphConfig) -> CheckpointError:
    return CheckpointError(
        f"takes no pictures of {config.size} x {config.size} pixels as {config.layout}: its input is "
        f"{printable(str(taken))}"
    )


def count_multiply_adds(model: openvino.Model) -> int:
    """Count the multiply-adds of convolutions and matrices, for one picture, where shapes are known."""
    return sum(_multiply_adds(node) for node in model.get_ordered_ops())


def _require_bounded(model: openvino.Model) -> None:
    """Refuse a graph that was made to keep whoever runs it busy, or to take all memory."""
    for node in model.get_ordered_ops():
        for output in node.outputs():
            if output.get_partial_shape().is_static:
                size = math.prod(output.get_shape()) * output.get_element_type().size
                if size > _MAX_TENSOR_BYTES:
                    raise CheckpointError(f"computes with a tensor of {size:,} bytes for one picture")
    work = count_multiply_adds(model)
    if work > _MAX_MULTIPLY_ADDS:
        raise CheckpointError(f"takes {work:,} multiply-adds for one picture")


def _multiply_adds(node: openvino.Node) -> int:
    kind = node.get_type_name()
    ports = (*node.inputs(), *node.outputs())
    if kind not in _MULTIPLYING or any(port.get_partial_shape().is_dynamic for port in ports):
        return 0
    outputs = int(math.prod(node.output(0).get_shape()))
    shapes = [[*map(int, port.get_shape())] for port in node.inputs()]
    if kind == "MatMul":
        is_turned = node.get_attributes()["transpose_a"] and len(shapes[0]) > 1
        return outputs * shapes[0][-2 if is_turned else -1]
    return outputs * math.prod(shapes[1][1 if kind == "Convolution" else 2 :])  # [out, in, ...] or [groups, out, ...]


def _with_preprocessing(model: openvino.Model, config: GraphConfig) -> openvino.Model:
    steps = PrePostProcessor(model)
    tensor = steps.input().tensor().set_element_type(openvino.Type.u8)
    tensor.set_shape([1, config.size, config.size, 3]).set_layout(openvino.Layout("NHWC"))
    tensor.set_color_format(ColorFormat.RGB)
    process = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    if config.order == "bgr":
        process.convert_color(ColorFormat.BGR)
    if config.scale == "0..1":
        process.scale(255.0)
    process.mean([*config.mean]).scale([*config.std])
    steps.input().model().set_layout(openvino.Layout(config.layout))
    return steps.build()
