"""Hugging Face's image classification: a picture in, `[{"label", "score"}]` out. Client: `huggingface_hub`.

Of a multi-label checkpoint all classes come out, unless `top_k` says how many: which of them are labels, the client
decides.
"""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field, TypeAdapter, ValidationError

from whisker.app.errors import InvalidUploadError
from whisker.app.inference.wire import ClassScoreDocument
from whisker.app.protocols.bodies import JSON, decode_base64, parse_json, predict_all, require_name
from whisker.app.routes.dependencies import require_service
from whisker.app.schemas import DEFAULT_TOP_K
from whisker.app.uploads.reader import media_type, read_body

router = APIRouter(include_in_schema=False)

_TOP_K = TypeAdapter(Annotated[int, Field(ge=1)])


@router.post("/", response_model=None)
async def classify(request: Request) -> list[ClassScoreDocument]:
    """Take a picture's bytes, or JSON with it in Base64 as `inputs`, and `parameters`."""
    service = require_service(request.app)
    default = len(service.card["classes"]) if service.is_multi_label else DEFAULT_TOP_K
    picture, top_k = _read(await read_body(request), default, is_json=media_type(request) == JSON)
    (result,) = await predict_all(request, service, [picture], service.options(top_k))
    return result.prediction["predictions"]


@router.post("/models/{name:path}", response_model=None)
async def classify_with(request: Request, name: str) -> list[ClassScoreDocument]:
    require_name(request, name)
    return await classify(request)


def _read(body: bytes, default: int, *, is_json: bool) -> tuple[bytes, int]:
    """Take the picture out of a body; nothing else of it has to wait for the answer."""
    if not is_json:
        return body, default
    document = parse_json(body)
    return decode_base64(document.get("inputs")), _read_top_k(document.get("parameters"), default)


def _read_top_k(parameters: object, default: int) -> int:
    given = parameters.get("top_k") if isinstance(parameters, dict) else None
    try:
        return default if given is None else _TOP_K.validate_python(given)
    except ValidationError as exc:
        raise InvalidUploadError("The parameter `top_k` must be a whole number of 1 or more.") from exc
