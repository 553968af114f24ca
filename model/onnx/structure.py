"""What an ONNX file holds, looked at before any library reads it: what could do more than compute is refused.

The numbers of fields are those of onnx.proto. External data are refused here because readers open whatever path a file
names, even an absolute one.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from whisker.model.errors import CheckpointError
from whisker.model.onnx.protobuf import read_fields
from whisker.model.plain_text import printable

MAX_BYTES = 1_000_000_000
_MAX_NODES = 50_000
_MAX_SHOWN = 100  # characters of a name in a sentence
_STANDARD = ("", "ai.onnx")  # domains of operators

# Numbers of fields, by message.
_PRODUCER, _PRODUCER_VERSION, _GRAPH, _OPSET, _TRAINING, _FUNCTION = 2, 3, 7, 8, 20, 25
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15
_OP_TYPE, _ATTRIBUTE, _DOMAIN = 4, 5, 7
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE_TENSOR, _SPARSE_TENSORS = 5, 6, 10, 11, 22, 23
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """What an ONNX file says of itself: who wrote it, its operator set, and how many operators of each kind."""

    producer: str
    opset: int
    operators: Counter[str]


def inspect_onnx(content: bytes) -> OnnxSummary:
    """Look through an ONNX file; raise `CheckpointError`, with the end of a sentence, for what is not accepted.

    Refused are files that are too large, cut off, or no ONNX; data outside of the file; control flow, functions and
    training information, which a classifier does not need; and sparse tensors.
    """
    if len(content) > MAX_BYTES:
        raise CheckpointError(f"has more than {MAX_BYTES:,} bytes")
    producer, opset, operators = ["", ""], 0, Counter[str]()
    graphs = 0
    for number, value in read_fields(memoryview(content)):
        if number in (_TRAINING, _FUNCTION):
            what = "training information" if number == _TRAINING else "functions of its own"
            raise CheckpointError(f"holds {what}: export the classifier for inference, with its functions inlined")
        if isinstance(value, int):
            continue
        if number in (_PRODUCER, _PRODUCER_VERSION):
            producer[number - _PRODUCER] = _text(value)
        elif number == _OPSET:
            opset = max(opset, _standard_version(value))
        elif number == _GRAPH:
            graphs += 1
            operators.update(_inspect_graph(value))
    if not graphs or not operators:
        raise CheckpointError("is no ONNX file, or is cut off or damaged")
    return OnnxSummary(" ".join(producer).strip(), opset, operators)


def _standard_version(opset: memoryview) -> int:
    fields = dict(read_fields(opset))
    domain, version = fields.get(_OPSET_DOMAIN, memoryview(b"")), fields.get(_OPSET_VERSION, 0)
    is_standard = isinstance(domain, memoryview) and _text(domain) in _STANDARD
    return version if is_standard and isinstance(version, int) else 0


def _inspect_graph(graph: memoryview) -> Iterator[str]:
    """Name the operators of a graph, each as often as it is there."""
    nodes = 0
    for number, value in read_fields(graph):
        if isinstance(value, int):
            continue
        if number == _INITIALIZER:
            _inspect_tensor(value)
        elif number == _SPARSE_INITIALIZER:
            raise CheckpointError("holds sparse tensors: export it with dense ones")
        elif number == _NODE:
            nodes += 1
            if nodes > _MAX_NODES:
                raise CheckpointError(f"has more than {_MAX_NODES:,} operators")
            yield _inspect_node(value)


def _inspect_node(node: memoryview) -> str:
    kind, domain = "", ""
    attributes: list[memoryview] = []
    for number, value in read_fields(node):
        if isinstance(value, int):
            continue
        if number == _OP_TYPE:
            kind = _text(value)
        elif number == _DOMAIN:
            domain = _text(value)
        elif number == _ATTRIBUTE:
            attributes.append(value)
    name = kind if domain in _STANDARD else f"{domain}.{kind}"
    for attribute in attributes:
        _inspect_attribute(attribute, name)
    return name


def _inspect_attribute(attribute: memoryview, operator: str) -> None:
    for number, value in read_fields(attribute):
        if isinstance(value, int):
            continue
        if number in (_SUBGRAPH, _SUBGRAPHS):
            raise CheckpointError(
                f"has control flow (the operator {operator}), whose work has no bound: export it without"
            )
        if number in (_SPARSE_TENSOR, _SPARSE_TENSORS):
            raise CheckpointError("holds sparse tensors: export it with dense ones")
        if number in (_TENSOR, _TENSORS):
            _inspect_tensor(value)


def _inspect_tensor(tensor: memoryview) -> None:
    for number, value in read_fields(tensor):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            raise CheckpointError(
                "keeps weights in other files, which are not opened: save it as one file (of PyTorch, "
                "`torch.onnx.export(..., external_data=False)`)"
            )


def _text(value: memoryview) -> str:
    return printable(bytes(value[: 4 * _MAX_SHOWN]).decode(errors="replace")[:_MAX_SHOWN])
