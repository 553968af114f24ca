"""Hugging Face's image classification: a picture in, `[{"label", "score"}]` out. Client: `huggingface_hub`.

Of a multi-label checkpoint all classes come out, unless `top_k` says how many: which of them are labels, the client
decides.
"""

from fastapi import APIRouter, Request

from whisker.app.inference.wire import ClassScoreDocument
from whisker.app.protocols.bodies import JSON, predict_all, read_pictures, require_name
from whisker.app.protocols.reading import Reading
from whisker.app.routes.dependencies import require_service
from whisker.app.schemas import DEFAULT_TOP_K
from whisker.app.uploads.reader import media_type, read_body

router = APIRouter(include_in_schema=False)


@router.post("/", response_model=None)
async def classify(request: Request) -> list[ClassScoreDocument]:
    """Take a picture's bytes, or JSON with it in Base64 as `inputs`, and `parameters`."""
    service = require_service(request.app)
    default = len(service.card["classes"]) if service.is_multi_label else DEFAULT_TOP_K
    reading = await _read(request)
    top_k = reading.rest.get("top_k")
    options = service.options(top_k if isinstance(top_k, int) else default)
    (result,) = await predict_all(request, service, reading.pictures, options)
    return result.prediction["predictions"]


@router.post("/models/{name:path}", response_model=None)
async def classify_with(request: Request, name: str) -> list[ClassScoreDocument]:
    require_name(request, name)
    return await classify(request)


async def _read(request: Request) -> Reading:
    if media_type(request) == JSON:
        return await read_pictures(request, "inputs")
    return Reading([await read_body(request)])
