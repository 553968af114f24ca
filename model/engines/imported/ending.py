"""The end of an ONNX graph: its softmax, and the last linear layer, which a checkpoint has as its own.

What a linear layer does is measured instead of read: whichever operations it is made of, its answers for the unit
vectors are its weights, and that for zero is its bias.
"""

from dataclasses import dataclass

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray
from openvino import opset14 as ops

from whisker.model.answers.head import Head
from whisker.model.engines.imported.reader import find_tensor, name_of, output_name
from whisker.model.onnx.config import Gives, Output

_LINEAR = ("Add", "Subtract", "Multiply")  # with a constant
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


@dataclass(frozen=True, slots=True)
class Ending:
    """A tensor of a graph by its name, what it is, and the last layer from it to the logits."""

    tensor: str
    gives: Gives
    head: Head


def has_softmax(model: openvino.Model) -> bool:
    """Tell whether the graph ends with a softmax."""
    kind: str = _last(model).get_node().get_type_name()
    return kind == "Softmax"


def whole_graph(model: openvino.Model, classes: int, output: Output) -> Ending:
    """Read the graph's own output, or what its softmax takes: the last layer changes nothing."""
    identity = Head(np.eye(classes, dtype=np.float32), np.zeros(classes, np.float32))
    name = name_of(_logits(model))
    if name is not None and (output == "logits" or has_softmax(model)):
        return Ending(name, "logits", identity)
    return Ending(output_name(model), output, identity)


def find_last_layer(core: openvino.Core, model: openvino.Model) -> Ending | None:
    """Find a last linear layer, from features `[N, F]` to logits; `None` if the graph does not end with one."""
    logits = _logits(model)
    layer = _last_matrix(logits)
    if layer is None:
        return None
    features = layer.input_value(0)
    name, shape = name_of(features), features.get_partial_shape()
    if name is None or shape.rank.is_dynamic or len(shape) != 2 or shape[1].is_dynamic or name_of(logits) is None:
        return None
    return Ending(name, "features", _measure(core, model, features=name, logits=str(name_of(logits))))


def _last(model: openvino.Model) -> openvino.Output:
    """Give what the graph's one result takes."""
    return model.get_results()[0].input_value(0)


def _logits(model: openvino.Model) -> openvino.Output:
    last = _last(model)
    return last.get_node().input_value(0) if has_softmax(model) else last


def _last_matrix(output: openvino.Output) -> openvino.Node | None:
    """Follow sums and products with constants back to a matrix product with a constant, by which all is linear."""
    while True:
        node = output.get_node()
        kind = node.get_type_name()
        if kind == "MatMul":
            plain = not node.get_attributes()["transpose_a"]
            return node if plain and _is_constant(node.input_value(1)) else None
        if kind not in _LINEAR or node.get_input_size() != 2:
            return None
        first, second = node.input_value(0), node.input_value(1)
        if _is_constant(second):
            output = first
        elif _is_constant(first) and kind != "Subtract":
            output = second
        else:
            return None


def _is_constant(output: openvino.Output) -> bool:
    """Tell whether a value depends on no picture."""
    pending, seen = [output.get_node()], set[str]()
    while pending:
        node = pending.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if node.get_type_name() == "Parameter":
            return False
        pending += [node.input_value(index).get_node() for index in range(node.get_input_size())]
    return True


def _measure(core: openvino.Core, model: openvino.Model, *, features: str, logits: str) -> Head:
    """Ask the layer between two tensors for its weights."""
    copy = model.clone()
    source = find_tensor(copy, features)
    width = source.get_partial_shape()[1].get_length()
    vectors = ops.parameter([-1, width], source.get_element_type())
    for target in source.get_target_inputs():
        target.replace_source_output(vectors.output(0))
    tail = openvino.Model([ops.result(ops.convert(find_tensor(copy, logits), "f32"))], [vectors])
    request = core.compile_model(tail, "CPU", EXACT).create_infer_request()
    kind = source.get_element_type().to_dtype()
    bias = _ask(request, np.zeros((1, width), kind))[0]
    rows = [_ask(request, block.astype(kind)) for block in np.array_split(np.eye(width, dtype=np.float32), 8)]
    weight = (np.concatenate(rows) - bias).T
    return Head(np.ascontiguousarray(weight), bias)


def _ask(request: openvino.InferRequest, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    request.infer([vectors])
    answer: NDArray[np.float32] = request.output_tensors[0].data.copy()
    return answer
