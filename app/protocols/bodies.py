"""What the protocols' requests have in common: JSON, Base64, and pictures that are answered together or not at all."""

import base64
import binascii
import json
from collections.abc import Sequence

from fastapi import HTTPException, Request

from whisker.app.errors import InvalidUploadError
from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.service import Service
from whisker.app.inference.wire import PredictionOptions
from whisker.app.routes.answering import predict_many
from whisker.app.routes.dependencies import require_service
from whisker.app.routes.state import state_of

JSON = "application/json"
_DATA_URL, _DATA_URL_LETTERS = ";base64,", 100  # where a data: address goes over to its content, and within how many
_MAX_VALUES = 300_000  # of a JSON document: each takes up to 56 bytes, and all of them 40 ms of the event loop
_COSTLY = (b",", b"[", b"{", b"\\")  # what there is one of for each value, or for each letter that is not as it seems


def parse_json(body: bytes) -> dict[str, object]:
    """Read a JSON object; raise `InvalidUploadError` if it is none, or holds more values than are good for us."""
    if sum(body.count(sign) for sign in _COSTLY) > _MAX_VALUES:
        raise InvalidUploadError(
            f"The JSON holds more than {_MAX_VALUES:,} values: send pictures as files, or tensors in binary form."
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidUploadError("The body is not JSON.") from exc
    if not isinstance(document, dict):
        raise InvalidUploadError("The body is not a JSON object.")
    return document


def decode_base64(text: object) -> bytes:
    """Decode a picture's Base64, with or without `data:...;base64,` before it; raise `InvalidUploadError`."""
    if not isinstance(text, str):
        raise InvalidUploadError("A picture must be a text, in Base64.")
    try:
        start = text.find(_DATA_URL, 0, _DATA_URL_LETTERS)
        return base64.b64decode(text[start + len(_DATA_URL) :] if start >= 0 else text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InvalidUploadError("A picture is not valid Base64.") from exc


def require_count(request: Request, pictures: int) -> None:
    """Raise `InvalidUploadError` unless a request may hold so many pictures; to be asked before they are decoded."""
    max_files = state_of(request.app).settings.max_files
    if not 1 <= pictures <= max_files:
        raise InvalidUploadError(f"The request must hold 1 to {max_files} pictures, not {pictures}.")


async def predict_all(
    request: Request, service: Service, pictures: Sequence[bytes], options: PredictionOptions
) -> list[PredictionResult]:
    """Predict for all pictures; raise the error of the first that cannot be used."""
    results = []
    for result in await predict_many(request, service, pictures, options):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results


def require_name(request: Request, name: str) -> Service:
    """Give the service if it serves a model of that name; raise `NotReadyError`, or an `HTTPException` of 404."""
    service = require_service(request.app)
    if name != service.card["name"]:
        raise HTTPException(404)
    return service
