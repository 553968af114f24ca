"""ONNX files: opset 18 and no operation of anybody's own."""

from pathlib import Path

import onnx
import torch

from whisker.model.errors import ExportError
from whisker.model.export.conversion.network import ExportedNetwork
from whisker.model.export.conversion.quietness import quiet
from whisker.model.export.manifest import KEY, Manifest

_OPSET = 18
_AXES = ("N", "height", "width")


def write_onnx(network: ExportedNetwork, manifest: Manifest, path: Path) -> None:
    """Write one file, weights included."""
    program = network.program()
    with quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            input_names=["pictures"],
            output_names=[*manifest.outputs],
            verbose=False,
        )
    if exported is None:
        raise ExportError("PyTorch's ONNX exporter gave no model.")
    model = exported.model_proto
    _strip(model.graph)
    _name_axes(model.graph)
    model.metadata_props.add(key=KEY, value=manifest.to_json())
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, path)


def _strip(graph: onnx.GraphProto) -> None:
    """Remove what the exporter notes of its own work, such as the places of sources on this machine."""
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")


def _name_axes(graph: onnx.GraphProto) -> None:
    """Name the free axes: the exporter numbers them."""
    axes = graph.input[0].type.tensor_type.shape.dim
    names = {axis.dim_param: name for axis, name in zip(axes, _AXES, strict=False) if axis.dim_param}
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]
