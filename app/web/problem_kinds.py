"""Every kind of problem, with its status and what it means to clients. No other module knows which error has which."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.exceptions import RequestValidationError

from whisker.app import errors
from whisker.model.errors import (
    NoHeatMapError,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
    WhiskerError,
)
from whisker.model.photo_files import ACCEPTED

CLIENT_CLOSED_REQUEST = 499  # nobody reads it, but logs and metrics tell it from a failure; nginx's number
ERRORS_PATH = "/docs/errors"  # of the page that says what to do about each
_RETRY_AFTER = {"Retry-After": "1"}  # seconds, unless the error knows better
_NO_STORE = {"Cache-Control": "no-store"}  # caches may keep a 404 that says nothing of it
_CLOSE = {"Connection": "close"}  # the rest of the body stays unread
_ENCODINGS = {"Accept-Encoding": "gzip, deflate"}  # RFC 9110, section 15.5.16


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: its stable code, its status, and its meaning for clients."""

    code: str
    status: int
    meaning: str
    headers: Mapping[str, str] = field(default_factory=dict)


_Row = tuple[type[WhiskerError], int, str, Mapping[str, str]]
_ROWS: tuple[_Row, ...] = (
    (errors.MalformedRequestError, 400, "The bytes received are not HTTP, or its head is ambiguous.", _CLOSE),
    (errors.MalformedFormError, 400, "The multipart form cannot be parsed.", {}),
    (errors.UnauthorizedError, 401, "The API key is missing or wrong.", {"WWW-Authenticate": "Bearer"}),
    (errors.CrossSiteError, 403, "A page of another site may not send pictures here.", {}),
    (errors.CorrectionsOffError, 404, "The service keeps no photos, so it takes no corrections.", {}),
    (errors.PhotoGoneError, 404, "The photo is not in the review folder, or no longer.", _NO_STORE),
    (errors.UnknownModelError, 404, "There is no model of this name; `GET /models` lists them.", _NO_STORE),
    (errors.UnknownVersionError, 404, "The model has no version of this name; `GET /models` lists them.", _NO_STORE),
    (errors.ModelControlOffError, 404, "Clients may not change what the service serves.", {}),
    (errors.RequestTimeoutError, 408, "The request came in too slowly.", _CLOSE),
    (errors.BodyTooLargeError, 413, "The body has more bytes than accepted.", _CLOSE),
    (PictureTooLargeError, 413, "The picture has more pixels, a longer side, or more work in it, than accepted.", {}),
    (errors.TargetTooLongError, 414, "The path and query are longer than accepted.", _CLOSE),
    (errors.UnsupportedMediaTypeError, 415, "The body is neither a form nor a picture.", {}),
    (errors.UnsupportedEncodingError, 415, "The body is compressed in a way that is not understood.", _ENCODINGS),
    (UnsupportedFormatError, 415, f"The file is not {ACCEPTED}.", {}),
    (errors.MisdirectedRequestError, 421, "The service is not to be asked under this name.", {}),
    (UndecodablePictureError, 422, "The picture is damaged, incomplete or empty.", {}),
    (
        errors.InvalidUploadError,
        422,
        "The body does not hold what is wanted: one picture, several, or a protocol's JSON.",
        {},
    ),
    (errors.UnknownClassError, 422, "The checkpoint does not have the class that the request names.", {}),
    (errors.InvalidLabelError, 422, "The photo cannot have this label, or not several.", {}),
    (NoHeatMapError, 422, "The network has no feature map, so there are no heat maps.", {}),
    (errors.HeadTooLargeError, 431, "The headers are more, or longer, than accepted.", _CLOSE),
    (errors.ClientGoneError, CLIENT_CLOSED_REQUEST, "The client left; seen in logs and metrics only.", {}),
    (errors.InferenceFailedError, 500, "The network could not answer for this picture.", {}),
    (errors.OverloadedError, 503, "Too many uploads at once; try again.", _RETRY_AFTER),
    (errors.NotReadyError, 503, "The service is starting or stopping; try again.", _RETRY_AFTER),
    (errors.DeadlineExceededError, 504, "There was no answer in the time allowed.", {}),
    (errors.VersionUnusableError, 409, "The version cannot be loaded; the other one still answers.", {}),
    (errors.RepositoryUnwritableError, 507, "What is to be served cannot be noted in the folder of models.", {}),
    (errors.CorrectionsFullError, 507, "There is no room for a correction at the moment.", {}),
    (errors.ReviewUnavailableError, 507, "The review folder cannot be read or written at the moment.", {}),
)
KINDS: Mapping[type[Exception], Kind] = {
    **{error: Kind(error.code, status, meaning, headers) for error, status, meaning, headers in _ROWS},
    RequestValidationError: Kind("invalid_request", 422, "A parameter has a value that is not allowed."),
    Exception: Kind(WhiskerError.code, 500, "The service has a defect; its log has the details."),
}
_NOT_FOUND = Kind("not_found", 404, "There is nothing at this path.")
_METHOD_NOT_ALLOWED = Kind("method_not_allowed", 405, "The path does not answer to this method; see `Allow`.")
HTTP_KINDS = {kind.status: kind for kind in (_NOT_FOUND, _METHOD_NOT_ALLOWED)}  # what the router itself refuses
