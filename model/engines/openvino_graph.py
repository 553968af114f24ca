"""An OpenVINO model taken apart into plain data and put together again, in memory.

OpenVINO itself writes a model to files only, and a service may have no folder that it can write to.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from openvino import Model, Node, Output, PartialShape, Type, op  # type: ignore[import-untyped]
from openvino.utils.node_factory import NodeFactory  # type: ignore[import-untyped]

from whisker.model.engines.base import OpenVinoModel, OpenVinoNode


def take_apart(model: Model) -> OpenVinoModel:
    """Describe every operation of a model, each after those that it takes its inputs from."""
    nodes: list[Node] = [*(node for node in model.get_ordered_ops() if not _is_result(node)), *model.get_results()]
    places = {node.get_name(): place for place, node in enumerate(nodes)}
    return OpenVinoModel(tuple(_describe(node, places) for node in nodes))


def put_together(exported: OpenVinoModel) -> Model:
    """Make the model again. It has its own copy of the weights."""
    made: list[Node] = []
    for node in exported.nodes:
        made.append(_make(node, [made[place].output(number) for place, number in node.inputs]))
    return Model([node for node in made if _is_result(node)], [node for node in made if isinstance(node, op.Parameter)])


def _is_result(node: Node) -> bool:
    return isinstance(node, op.Result)


def _describe(node: Node, places: Mapping[str, int]) -> OpenVinoNode:
    kind = node.get_type_info()
    sources = [entry.get_source_output() for entry in node.inputs()]
    return OpenVinoNode(
        kind=kind.name,
        opset=kind.version_id,
        inputs=tuple((places[source.get_node().get_name()], source.get_index()) for source in sources),
        attributes=node.get_attributes(),
        value=np.array(node.data) if isinstance(node, op.Constant) else None,
    )


def _make(node: OpenVinoNode, inputs: Sequence[Output]) -> Node:
    match node.kind:
        case "Constant":
            return op.Constant(node.value, shared_memory=False)
        case "Parameter":
            # `Type("u8")` is u64.
            return op.Parameter(getattr(Type, node.attributes["element_type"]), PartialShape(node.attributes["shape"]))
        case "Result":
            return op.Result(*inputs)
        case kind:
            return NodeFactory(node.opset).create(kind, list(inputs), dict(node.attributes))
