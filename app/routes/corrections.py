"""Photos that people send with their correct label, to learn from. By default none is kept.

A photo becomes `FOLDER/<label>/<sha256>.jpg`, encoded anew so that only the pixels of the upload are kept (no location,
nothing hostile), and a line in `FOLDER/corrections.jsonl`. `whisker train FOLDER` accepts the folder.
"""

from fastapi import APIRouter, Request, status

from whisker.app import errors
from whisker.app.routes.answering import predict_one
from whisker.app.routes.dependencies import require_service
from whisker.app.routes.predict import PICTURE_ERRORS, REQUEST_ERRORS
from whisker.app.routes.state import state_of
from whisker.app.schemas import CorrectionAnswer
from whisker.app.uploads.reader import FIELD, FORM, read_correction
from whisker.app.web.problems import problem_responses

router = APIRouter(tags=["predict"])

_AGREED = "yes"
_TEXT = {"type": "string"}
_FORM = {
    "type": "object",
    "required": [FIELD, "label", "consent"],
    "properties": {FIELD: {"type": "string", "format": "binary"}, "label": _TEXT, "consent": {"const": _AGREED}},
}


@router.post(
    "/corrections",
    summary="Leave a photo with its right label",
    status_code=status.HTTP_201_CREATED,
    openapi_extra={"requestBody": {"required": True, "content": {FORM: {"schema": _FORM}}}},
    responses=problem_responses(
        errors.CorrectionsOffError,
        errors.CorrectionsFullError,
        errors.UnknownClassError,
        *REQUEST_ERRORS,
        *PICTURE_ERRORS,
    ),
)
async def correct(request: Request) -> CorrectionAnswer:
    """Send the photo, one of the classes as `label`, and `consent=yes`: a copy is kept in the operator's folder.

    Without a folder (`WHISKER_CORRECTIONS`) nothing is ever kept, and this is 404.
    """
    store = state_of(request.app).corrections
    if store is None:
        raise errors.CorrectionsOffError("This service keeps no photos: its operator has not set a folder for them.")
    service = require_service(request.app)
    data, fields = await read_correction(request)
    label = fields.get("label", "")
    if label not in service.card["classes"]:
        raise errors.UnknownClassError("There is no such class: give one that /model lists.")
    if fields.get("consent") != _AGREED:
        raise errors.InvalidUploadError("A photo is kept only with the field `consent=yes`.")
    result = await predict_one(request, service, data, service.options(1, opacity=0))
    prediction = result.prediction
    answered = {"label": prediction["label"], "score": prediction["score"], "verdict": prediction["verdict"]}
    line = {"label": label, "answered": answered, "model": service.version}
    return CorrectionAnswer(label=label, photo=await store.keep(result.drawing, line))
