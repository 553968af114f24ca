"""The Open Inference Protocol, version 2: health, metadata and inference over HTTP. Client: `tritonclient[http]`.

Of its extensions there are `binary_tensor_data` and `classification`.
"""

from collections.abc import Mapping
from importlib.metadata import version

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from whisker.app.errors import InvalidUploadError
from whisker.app.inference.service import Service
from whisker.app.protocols.bodies import parse_json, predict_all, require_count, require_name
from whisker.app.protocols.oip_outputs import (
    HEADER_LENGTH,
    Wanted,
    list_outputs,
    read_parameter,
    read_wanted,
    write_answer,
)
from whisker.app.protocols.tensors import DATATYPES, Tensor
from whisker.app.routes.dependencies import LastingServiceDep, require_service
from whisker.app.routes.state import state_of
from whisker.app.uploads.reader import read_body

router = APIRouter(include_in_schema=False, prefix="/v2")

_HEADER_DIGITS = 12
_MAX_DIMENSIONS = 4
_INPUT = "image"


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
        "outputs": list_outputs(service),
    }


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{number}/infer")
async def infer(request: Request, name: str) -> Response:
    """Take the input `image`: picture files as BYTES, or pixels as UINT8 `[H, W, 3]` or `[N, H, W, 3]`."""
    require_name(request, name)
    service = require_service(request.app)
    pictures, wanted = _read(request, await read_body(request), service)
    results = await predict_all(request, service, pictures, service.options(len(service.card["classes"])))
    return write_answer(wanted, service, results)


def _read(request: Request, body: bytes, service: Service) -> tuple[list[bytes], Wanted]:
    """Take the pictures out of a body; nothing else of it but what is wanted has to wait for the answer."""
    document, binary = _split_body(request, body)
    tensor, wanted = _read_input(document, binary), read_wanted(document, service)
    require_count(request, tensor.pictures)
    return tensor.files(max_pixels=state_of(request.app).settings.max_pixels), wanted


def _split_body(request: Request, body: bytes) -> tuple[dict[str, object], bytes]:
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return parse_json(body), b""
    if not (length.isascii() and length.isdigit() and len(length) <= _HEADER_DIGITS) or int(length) > len(body):
        raise InvalidUploadError(f"The header {HEADER_LENGTH} does not give the length of the body's JSON.")
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
    size = read_parameter(given, "binary_data_size")
    if size is None:
        return Tensor(tuple(shape), datatype, given.get("data"), None)
    if size != len(binary):
        raise InvalidUploadError("The input's binary_data_size is not the number of bytes that follow the JSON.")
    return Tensor(tuple(shape), datatype, None, binary)


def _is_size(size: object) -> bool:
    return isinstance(size, int) and 0 <= size < 2**31
