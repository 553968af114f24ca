"""Hugging Face's image classification: a picture in, `[{"label", "score"}]` out. Client: `huggingface_hub`.

Of a multi-label checkpoint all classes come out, unless `top_k` says how many: which of them are labels, the client
decides.
"""

from fastapi import APIRouter, Request

from whisker.app.inference.wire import ClassScoreDocument
from whisker.app.protocols.bodies import JSON, predict_all, read_from
from whisker.app.protocols.reading import Reading
from whisker.app.routes.dependencies import choose_service
from whisker.app.schemas import DEFAULT_TOP_K
from whisker.app.uploads.reader import FORM, is_json, media_type, read_pieces, read_upload

router = APIRouter(include_in_schema=False)


@router.post("/", response_model=None)
@router.post("/models/{name:path}", response_model=None)
async def classify(request: Request) -> list[ClassScoreDocument]:
    """Take a picture's bytes, or JSON with it in Base64 as `inputs`, and `parameters`."""
    choice = await choose_service(request, request.path_params.get("name"))
    service = choice.service
    default = len(service.card["classes"]) if service.is_multi_label else DEFAULT_TOP_K
    reading = await _read(request)
    top_k = reading.rest.get("top_k")
    options = service.options(top_k if isinstance(top_k, int) else default)
    (result,) = await predict_all(request, choice, reading.pictures, options)
    return result.prediction["predictions"]


async def _read(request: Request) -> Reading:
    """Read a body by what it is: clients that are told to send JSON do not always say that they do."""
    if media_type(request) == FORM:
        return Reading([await read_upload(request)])
    pieces = await read_pieces(request)
    if media_type(request) == JSON or is_json(b"".join(pieces[:1])):
        return await read_from(pieces, request, "inputs")
    return Reading([b"".join(pieces)])
