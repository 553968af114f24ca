"""Photos that people send with their correct label, to learn from. By default none is kept.

A photo becomes `FOLDER/<label>/<sha256>.jpg`, encoded anew so that only the pixels of the upload are kept (no location,
nothing hostile), and a line in `FOLDER/corrections.jsonl`. `whisker train FOLDER` accepts the folder. With several
labels, for a multi-label checkpoint, there is a copy under each of them.
"""

from collections.abc import Sequence

from fastapi import APIRouter, Request, status

from whisker.app import errors
from whisker.app.inference.service import Service
from whisker.app.inference.wire import PredictionDocument
from whisker.app.routes.answering import predict_one
from whisker.app.routes.dependencies import choose_service
from whisker.app.routes.openapi import AGREED, form_body
from whisker.app.routes.predict import PICTURE_ERRORS, REQUEST_ERRORS
from whisker.app.routes.state import state_of
from whisker.app.schemas import CorrectionAnswer
from whisker.app.uploads.reader import read_correction
from whisker.app.web.problems import problem_responses

router = APIRouter(tags=["predict"])
_SAID = {
    "unsupported_media_type": (
        "The request's content type is `image/png`: send the picture as multipart/form-data in the field `file`."
    ),
    "invalid_upload": "A photo is kept only with the field `consent=yes`.",
    "unknown_class": "There is no class `wolf`: give one that the checkpoint's card lists.",
}


@router.post(
    "/corrections",
    summary="Leave a photo with its right label",
    status_code=status.HTTP_201_CREATED,
    response_model_exclude_none=True,
    openapi_extra={"requestBody": form_body("CorrectionForm", "The photo, its right label, and your consent.")},
    responses=problem_responses(
        errors.CorrectionsOffError,
        errors.CorrectionsFullError,
        errors.UnknownClassError,
        *REQUEST_ERRORS,
        *PICTURE_ERRORS,
        said=_SAID,
    ),
)
async def correct(request: Request) -> CorrectionAnswer:
    """Send the photo, one of the classes as `label`, and `consent=yes`: a copy is kept in the operator's folder.

    For a multi-label checkpoint, `label` may be sent several times. Without a folder (`WHISKER_CORRECTIONS`) nothing is
    ever kept, and this is 404.
    """
    store = state_of(request.app).corrections
    if store is None:
        raise errors.CorrectionsOffError("This service keeps no photos: its operator has not set a folder for them.")
    choice = await choose_service(request)
    service = choice.service
    data, fields = await read_correction(request)
    labels = _read_labels(fields.get("label", []), service)
    if AGREED not in fields.get("consent", []):
        raise errors.InvalidUploadError("A photo is kept only with the field `consent=yes`.")
    result = await predict_one(request, choice, data, service.options(1, opacity=0))
    line: dict[str, object] = {
        "label": labels[0],
        **({"labels": labels} if service.is_multi_label else {}),
        "answered": _sum_up(result.prediction),
        "model": service.version,
    }
    photo = await store.keep(result.drawing, line)
    return CorrectionAnswer(label=labels[0], labels=labels if service.is_multi_label else None, photo=photo)


def _read_labels(given: Sequence[str], service: Service) -> list[str]:
    """Check the labels of a form; raise `UnknownClassError` or `InvalidUploadError`."""
    labels = [*dict.fromkeys(given)]
    unknown = next((label for label in labels if label not in service.card["classes"]), None)
    if not labels or unknown is not None:
        came = "There is no field `label`" if unknown is None else f"There is no class {errors.quoted(unknown)}"
        raise errors.UnknownClassError(f"{came}: give one that the checkpoint's card lists.")
    if len(labels) > 1 and not service.is_multi_label:
        raise errors.InvalidUploadError("The checkpoint knows one class a photo: send a single field `label`.")
    return labels


def _sum_up(prediction: PredictionDocument) -> dict[str, object]:
    answered = {"label": prediction["label"], "score": prediction["score"], "verdict": prediction["verdict"]}
    if "labels" not in prediction:
        return answered
    return answered | {"labels": [it["label"] for it in prediction["labels"]]}
