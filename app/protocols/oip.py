"""The Open Inference Protocol, version 2: health, metadata and inference over HTTP. Client: `tritonclient[http]`.

Of its extensions there are `binary_tensor_data` and `classification`.
"""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from whisker import __version__
from whisker.app.errors import InvalidUploadError
from whisker.app.protocols.bodies import predict_all, read_pictures
from whisker.app.protocols.oip_inputs import HEADER_LENGTH, INPUT, Wanted
from whisker.app.protocols.oip_outputs import list_outputs, write_answer
from whisker.app.routes.dependencies import LastingServiceDep, ModelsDep, choose_service
from whisker.app.routes.state import state_of

router = APIRouter(include_in_schema=False, prefix="/v2")

_HEADER_DIGITS = 12


@router.get("")
async def server_metadata() -> dict[str, object]:
    return {
        "name": "whisker",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification"],
    }


@router.get("/health/live")
async def live(request: Request) -> Response:
    state = state_of(request.app)
    stalled = state.models is not None and not state.models.is_alive(state.settings.stall_seconds)
    return JSONResponse({"live": not stalled}, status_code=503 if stalled else 200)


@router.get("/health/ready")
async def ready(_service: LastingServiceDep) -> dict[str, object]:
    return {"ready": True}


@router.get("/models/{name}/ready")
@router.get("/models/{name}/versions/{number}/ready")
async def model_ready(
    models: ModelsDep, name: str, _service: LastingServiceDep, number: str | None = None
) -> dict[str, object]:
    models.get(name).known(number)
    return {"name": name, "ready": True}


@router.get("/models/{name}")
@router.get("/models/{name}/versions/{number}")
async def model_metadata(
    request: Request, models: ModelsDep, name: str, number: str | None = None
) -> dict[str, object]:
    model = models.get(name)
    service = (await choose_service(request, name, model.known(number))).service
    return {
        "name": name,
        "versions": [file.name for file in model.versions],
        "platform": "pytorch",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": list_outputs(service),
    }


@router.post("/models/{name}/infer")
@router.post("/models/{name}/versions/{number}/infer")
async def infer(request: Request, models: ModelsDep, name: str, number: str | None = None) -> Response:
    """Take the input `image`: picture files as BYTES, or pixels as UINT8 `[H, W, 3]` or `[N, H, W, 3]`."""
    choice = await choose_service(request, name, models.get(name).known(number))
    service = choice.service
    outputs = [str(output["name"]) for output in list_outputs(service)]
    reading = await read_pictures(request, "tensors", outputs=outputs, json_bytes=_json_bytes(request))
    results = await predict_all(request, choice, reading.pictures, service.options(len(service.card["classes"])))
    return write_answer(Wanted.from_rest(reading.rest), service, results)


def _json_bytes(request: Request) -> int | None:
    """Read how much of the body is JSON, if binary tensors follow."""
    length = request.headers.get(HEADER_LENGTH)
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) <= _HEADER_DIGITS):
        raise InvalidUploadError(f"The header {HEADER_LENGTH} does not give the length of the body's JSON.")
    return int(length)
