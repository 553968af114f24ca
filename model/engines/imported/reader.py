"""An ONNX graph as an OpenVINO model from pictures to what the last layer takes."""

import re

import openvino  # type: ignore[import-untyped]
from openvino import opset14 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor  # type: ignore[import-untyped]

from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig, is_tensor_name
from whisker.model.plain_text import printable

_TYPES = ("f32", "f16")  # of numbers that a graph's input may be
_LEAST_PROBABILITY = 1e-12  # of which a logarithm is taken
_UNSUPPORTED = re.compile(r"No conversion rule found for operations: ([^\n]+)")
_MAX_SHOWN = 200  # characters


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
    shape = [1, 3, config.size, config.size] if config.layout == "NCHW" else [1, config.size, config.size, 3]
    try:
        model.reshape(shape)
        found = find_tensor(model, config.tensor)
        read = ops.convert(found, "f32")
        if config.gives == "probabilities":
            read = ops.log(ops.maximum(read, ops.constant(_LEAST_PROBABILITY, "f32")))
        flat = ops.reshape(read, [0, -1], special_zero=True)  # 0: as it is
        return _with_preprocessing(openvino.Model([ops.result(flat)], model.get_parameters()), config)
    except RuntimeError as exc:
        raise CheckpointError(
            f"takes no pictures of {config.size} x {config.size} pixels as {config.layout}: its input is "
            f"{printable(str(model.input(0).get_partial_shape()))}"
        ) from exc


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
