"""The Open Inference Protocol, version 2: health, metadata and inference over HTTP. Client: `tritonclient[http]`.

Of its extensions there are `binary_tensor_data` and `classification`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from whisker.app.errors import InvalidUploadError
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.protocols.bodies import parse_json, predict_all, require_count, require_name
from whisker.app.protocols.tensors import DATATYPES, Tensor, to_bytes_elements
from whisker.app.routes.dependencies import LastingServiceDep, require_service
from whisker.app.routes.state import state_of
from whisker.app.uploads.reader import read_body

router = APIRouter(include_in_schema=False, prefix="/v2")

_HEADER_LENGTH = "Inference-Header-Content-Length"
_HEADER_DIGITS = 12
_MAX_DIMENSIONS = 4
_MAX_ID_CHARACTERS = 1_000
_INPUT = "image"
_PROBABILITIES, _LABEL, _VERDICT = _OUTPUTS = ("probabilities", "label", "verdict")


@router.get("")
async def server_metadata() -> dict[str, object]:
    return {
        "name": "whisker",
        "version": version("whisker"),
        "extensions": ["binary_tensor_data", "classification"],
    }


@router.get("/health/live")
async def live(request: Request) -> Response:
    state = state_of(request.app)
    stalled = state.service is not None and not state.service.is_alive(state.settings.stall_seconds)
    return JSONResponse({"live": not stalled}, status_code=503 if stalled else 200)


@router.get("/health/ready")
async def ready(_service: LastingServiceDep) -> dict[str, object]:
    return {"ready": True}


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{number}/ready")
async def model_ready(request: Request, name: str, _service: LastingServiceDep) -> dict[str, object]:
    require_name(request, name)
    return {"name": name, "ready": True}


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{number}")
async def model_metadata(request: Request, name: str) -> dict[str, object]:
    service = require_name(request, name)
    return {
        "name": name,
        "versions": [service.version],
        "platform": "pytorch",
        "inputs": [{"name": _INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": _PROBABILITIES, "datatype": "FP32", "shape": [-1, len(service.card["classes"])]},
            {"name": _LABEL, "datatype": "BYTES", "shape": [-1]},
            {"name": _VERDICT, "datatype": "BYTES", "shape": [-1]},
        ],
    }


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{number}/infer")
async def infer(request: Request, name: str) -> Response:
    """Take the input `image`: picture files as BYTES, or pixels as UINT8 `[H, W, 3]` or `[N, H, W, 3]`."""
    require_name(request, name)
    service = require_service(request.app)
    pictures, wanted = _read(request, await read_body(request))
    results = await predict_all(request, service, pictures, service.options(len(service.card["classes"])))
    return _answer(wanted, service, results)


def _read(request: Request, body: bytes) -> tuple[list[bytes], "_Wanted"]:
    """Take the pictures out of a body; nothing else of it but what is wanted has to wait for the answer."""
    document, binary = _split_body(request, body)
    tensor, wanted = _read_input(document, binary), _read_wanted(document)
    require_count(request, tensor.pictures)
    return tensor.files(max_pixels=state_of(request.app).settings.max_pixels), wanted


def _split_body(request: Request, body: bytes) -> tuple[dict[str, object], bytes]:
    length = request.headers.get(_HEADER_LENGTH)
    if length is None:
        return parse_json(body), b""
    if not (length.isascii() and length.isdigit() and len(length) <= _HEADER_DIGITS) or int(length) > len(body):
        raise InvalidUploadError(f"The header {_HEADER_LENGTH} does not give the length of the body's JSON.")
    return parse_json(body[: int(length)]), body[int(length) :]


def _read_input(document: Mapping[str, object], binary: bytes) -> Tensor:
    """Find the one input; raise `InvalidUploadError` if it is not there, or not as the protocol wants it."""
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidUploadError(f"The request must have one input, {_INPUT}.")
    (given,) = inputs
    shape = given.get("shape")
    if given.get("name") != _INPUT:
        raise InvalidUploadError(f"The input is called {_INPUT}.")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise InvalidUploadError(f"The input's shape must be a list of up to {_MAX_DIMENSIONS} whole numbers.")
    datatype = given.get("datatype")
    if datatype not in DATATYPES:
        raise InvalidUploadError(f"The input's datatype is {' or '.join(DATATYPES)}.")
    size = _parameter(given, "binary_data_size")
    if size is None:
        return Tensor(tuple(shape), datatype, given.get("data"), None)
    if size != len(binary):
        raise InvalidUploadError("The input's binary_data_size is not the number of bytes that follow the JSON.")
    return Tensor(tuple(shape), datatype, None, binary)


_Values = list[str] | list[list[float]] | list[list[str]]  # of one output, for all pictures


@dataclass(frozen=True, slots=True)
class _Output:
    """A requested output; with `classes`, the best of them as that many strings."""

    name: str
    is_binary: bool
    classes: int | None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of the request its answer depends on."""

    outputs: Sequence[_Output]
    id: str | None


def _read_wanted(document: Mapping[str, object]) -> _Wanted:
    given = document.get("outputs") or [{"name": name} for name in _OUTPUTS]
    if not isinstance(given, list) or not all(isinstance(it, dict) and it.get("name") in _OUTPUTS for it in given):
        raise InvalidUploadError(f"The outputs are {', '.join(_OUTPUTS)}.")
    if len({it["name"] for it in given}) < len(given):
        raise InvalidUploadError("An output is asked for twice.")
    id_ = document.get("id")
    if id_ is not None and not (isinstance(id_, str) and len(id_) <= _MAX_ID_CHARACTERS):
        raise InvalidUploadError(f"The request's id must be a string of up to {_MAX_ID_CHARACTERS:,} characters.")
    all_binary = bool(_parameter(document, "binary_data_output"))
    return _Wanted([_read_output(output, all_binary=all_binary) for output in given], id_)


def _read_output(output: Mapping[str, object], *, all_binary: bool) -> _Output:
    classes = _parameter(output, "classification")
    if classes is not None and (not isinstance(classes, int) or classes < 1 or output["name"] != _PROBABILITIES):
        raise InvalidUploadError(f"`classification` is for {_PROBABILITIES}, and a whole number of 1 or more.")
    return _Output(str(output["name"]), bool(_parameter(output, "binary_data") or all_binary), classes)


def _answer(wanted: _Wanted, service: Service, results: Sequence[PredictionResult]) -> Response:
    """Write the outputs that are asked for; each as JSON or, if it is wanted so, after the JSON."""
    outputs, binary = [], list[bytes]()
    for output in wanted.outputs:
        datatype, values = _values(output, service.card["classes"], results)
        array = np.array(values)
        described: dict[str, object] = {"name": output.name, "datatype": datatype, "shape": [*array.shape]}
        flat = array.ravel()
        if output.is_binary:
            raw = to_bytes_elements([*map(str, flat)]) if datatype == "BYTES" else flat.astype("<f4").tobytes()
            described["parameters"] = {"binary_data_size": len(raw)}
            binary.append(raw)
        else:
            described["data"] = flat.tolist()
        outputs.append(described)
    answer = {"model_name": service.card["name"], "model_version": service.version, "outputs": outputs}
    text = json.dumps(answer if wanted.id is None else answer | {"id": wanted.id}).encode()
    if not binary:
        return Response(text, media_type="application/json")
    headers = {_HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type="application/octet-stream")


def _values(output: _Output, classes: Sequence[str], results: Sequence[PredictionResult]) -> tuple[str, _Values]:
    """Give an output's datatype and its values for all pictures."""
    if output.name != _PROBABILITIES:
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
    return result.prediction["label"] if name == _LABEL else result.prediction["verdict"]


def _in_order(classes: Sequence[str], result: PredictionResult) -> list[float]:
    scores = {it["label"]: it["score"] for it in result.prediction["predictions"]}
    return [scores[label] for label in classes]


def _is_size(size: object) -> bool:
    return isinstance(size, int) and 0 <= size < 2**31


def _parameter(holder: Mapping[str, object], name: str) -> object:
    parameters = holder.get("parameters")
    return parameters.get(name) if isinstance(parameters, dict) else None
