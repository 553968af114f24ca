"""The outputs of the Open Inference Protocol: which there are, and how they are written.

`reason` says why an answer is not confident, and is empty otherwise. Only a multi-label checkpoint has the output
`labels`: which classes, in the order of `probabilities`, are labels of the picture.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.protocols.oip_inputs import HEADER_LENGTH, PROBABILITIES, Output, Wanted
from whisker.app.protocols.tensors import to_bytes_elements

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL, VERDICT, REASON, LABELS = "label", "verdict", "reason", "labels"
_BINARY_TYPES = {"FP32": "<f4", "BOOL": "?"}
_Values = list[str] | list[list[float]] | list[list[bool]] | list[list[str]]  # of one output, for all pictures


def list_outputs(service: Service) -> list[dict[str, object]]:
    """Describe the outputs; only a multi-label checkpoint has `labels`."""
    classes = len(service.card["classes"])
    outputs: list[dict[str, object]] = [
        {"name": PROBABILITIES, "datatype": "FP32", "shape": [-1, classes]},
        {"name": LABEL, "datatype": "BYTES", "shape": [-1]},
        {"name": VERDICT, "datatype": "BYTES", "shape": [-1]},
        {"name": REASON, "datatype": "BYTES", "shape": [-1]},
    ]
    if service.is_multi_label:
        outputs.append({"name": LABELS, "datatype": "BOOL", "shape": [-1, classes]})
    return outputs


def write_answer(wanted: Wanted, service: Service, results: Sequence[PredictionResult]) -> Response:
    """Write the outputs that are asked for; each as JSON or, if it is wanted so, after the JSON."""
    import numpy as np  # noqa: PLC0415 - for this protocol alone

    outputs, binary = [], list[bytes]()
    for output in wanted.outputs:
        datatype, values = _values(output, service.card["classes"], results)
        array = np.array(values)
        described: dict[str, object] = {"name": output.name, "datatype": datatype, "shape": [*array.shape]}
        flat = array.ravel()
        if output.is_binary:
            raw = _to_binary(datatype, flat)
            described["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
        else:
            described["data"] = flat.tolist()
        outputs.append(described)
    answer = {"model_name": service.name, "model_version": service.version, "outputs": outputs}
    text = json.dumps(answer if wanted.id is None else answer | {"id": wanted.id}).encode()
    if not binary:
        return Response(text, media_type="application/json")
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type="application/octet-stream")


def _to_binary(datatype: str, flat: "NDArray[Any]") -> bytes:
    if datatype == "BYTES":
        return to_bytes_elements([*map(str, flat)])
    return flat.astype(_BINARY_TYPES[datatype]).tobytes()


def _values(output: Output, classes: Sequence[str], results: Sequence[PredictionResult]) -> tuple[str, _Values]:
    """Give an output's datatype and its values for all pictures."""
    if output.name == LABELS:
        return "BOOL", [_marks(classes, result) for result in results]
    if output.name != PROBABILITIES:
        return "BYTES", [_text(output.name, result) for result in results]
    count = output.classes
    if count is None:
        return "FP32", [_in_order(classes, result) for result in results]
    numbers = {label: number for number, label in enumerate(classes)}
    return "BYTES", [
        [f"{it['score']:f}:{numbers[it['label']]}:{it['label']}" for it in result.prediction["predictions"][:count]]
        for result in results
    ]


def _text(name: str, result: PredictionResult) -> str:
    answer = result.prediction
    return answer["label"] if name == LABEL else answer["verdict"] if name == VERDICT else answer.get("reason", "")


def _marks(classes: Sequence[str], result: PredictionResult) -> list[bool]:
    found = {it["label"] for it in result.prediction.get("labels", ())}
    return [label in found for label in classes]


def _in_order(classes: Sequence[str], result: PredictionResult) -> list[float]:
    scores = {it["label"]: it["score"] for it in result.prediction["predictions"]}
    return [scores[label] for label in classes]
