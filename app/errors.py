"""What the service, its client and `whisker predict` raise on purpose, besides `whisker.model.errors`.

    WhiskerError
    ├── WorkerError                      a process that the service needs has ended or cannot be started
    ├── ResultsError                     the results of `whisker predict --out` cannot be written
    ├── ServerError                      a server cannot be reached, or is no Whisker service
    ├── RepositoryError                  the folder of models cannot be listed or written
    │   └── RolloutError                 what is to be served of a model cannot be read or changed
    └── ServiceError
        ├── UploadError                  the request's body is not one picture's bytes
        │   ├── MalformedFormError       multipart that cannot be parsed
        │   ├── InvalidUploadError       not one picture, or not what a protocol's body holds
        │   ├── UnsupportedMediaTypeError  neither a form nor a raw picture
        │   ├── UnsupportedEncodingError   compressed in another way than gzip or deflate
        │   └── BodyTooLargeError        more bytes than allowed
        ├── UnknownClassError            a class that the checkpoint does not have
        ├── UnknownModelError            a model that the service does not have
        ├── UnknownVersionError          a version that the model does not have
        ├── VersionUnusableError         a version that was to be served cannot be loaded
        ├── RepositoryUnwritableError    what is served cannot be noted in the folder of models
        ├── ModelControlOffError         clients may not change what is served
        ├── CorrectionsOffError          there is no folder for corrections
        ├── CorrectionsFullError         there is no room for a correction
        ├── InvalidLabelError            a label that a photo cannot have
        ├── PhotoGoneError               a photo that is not in the review folder
        ├── ReviewUnavailableError       the review folder cannot be read or written
        ├── MalformedRequestError        the bytes received are not HTTP, or ambiguous
        ├── TargetTooLongError           the address of the request is too long
        ├── HeadTooLargeError            the headers of the request are too many or too long
        ├── RequestTimeoutError          the request comes in too slowly
        ├── UnauthorizedError            the API key is missing or wrong
        ├── CrossSiteError               sent by a browser for a page of another site
        ├── MisdirectedRequestError      sent to a name that is none of the service's
        ├── OverloadedError              no upload slot, or no memory, is left
        ├── NotReadyError                starting, stopping, or without inference workers
        ├── DeadlineExceededError        no answer in the time allowed
        ├── ClientGoneError              the client left before its answer was there
        └── InferenceFailedError         the network could not answer for this picture

Each message is one sentence; that of a `ServiceError` is for the client. `code` is the stable name that clients see;
`whisker.app.web.problems` decides which status it has.
"""

from typing import ClassVar

from whisker.model.errors import WhiskerError
from whisker.model.plain_text import printable

_QUOTED_LETTERS = 60  # of what a client has sent, in the sentence that refuses it


def quoted(given: str) -> str:
    """Show what a client has sent, in a sentence for it: short, and without anything that cannot be printed."""
    text = printable(given[:_QUOTED_LETTERS]).replace("`", "'")
    return f"`{text}...`" if len(given) > _QUOTED_LETTERS else f"`{text}`"


class WorkerError(WhiskerError):
    """A process that the service needs has ended, or cannot be started."""


class ResultsError(WhiskerError):
    """The results of `whisker predict --out` cannot be written, or not under this name."""


class ServerError(WhiskerError):
    """A server cannot be reached, or does not answer as a Whisker service does."""


class RepositoryError(WhiskerError):
    """The folder of models cannot be listed or written."""


class RolloutError(RepositoryError):
    """What is to be served of a model cannot be read or changed."""


class ServiceError(WhiskerError):
    """A request that the service could not answer."""


class UploadError(ServiceError):
    """The request's body is not one picture's bytes."""


class MalformedFormError(UploadError):
    """The multipart form cannot be parsed."""

    code: ClassVar[str] = "malformed_form"


class InvalidUploadError(UploadError):
    """The body does not hold what the route takes: one picture, or what a protocol has in its JSON."""

    code: ClassVar[str] = "invalid_upload"


class UnsupportedMediaTypeError(UploadError):
    """The content type is neither a form nor a raw picture."""

    code: ClassVar[str] = "unsupported_media_type"


class UnsupportedEncodingError(UploadError):
    """The body is compressed in a way that is not understood."""

    code: ClassVar[str] = "unsupported_encoding"


class BodyTooLargeError(UploadError):
    """The body has more bytes than allowed."""

    code: ClassVar[str] = "body_too_large"


class UnknownClassError(ServiceError):
    """The request names a class that the checkpoint does not have."""

    code: ClassVar[str] = "unknown_class"


class UnknownModelError(ServiceError):
    """The request names a model that the service does not have."""

    code: ClassVar[str] = "unknown_model"


class UnknownVersionError(ServiceError):
    """The request names a version that the model does not have."""

    code: ClassVar[str] = "unknown_version"


class VersionUnusableError(ServiceError):
    """The version that was to be served cannot be loaded, and the other one still answers."""

    code: ClassVar[str] = "version_unusable"


class RepositoryUnwritableError(ServiceError):
    """What is to be served cannot be noted in the folder of models."""

    code: ClassVar[str] = "repository_unwritable"


class ModelControlOffError(ServiceError):
    """The operator does not let clients change what is served."""

    code: ClassVar[str] = "model_control_off"


class CorrectionsOffError(ServiceError):
    """The operator has not set a folder for corrections."""

    code: ClassVar[str] = "corrections_off"


class CorrectionsFullError(ServiceError):
    """A correction cannot be kept: its folder is full, or cannot be written."""

    code: ClassVar[str] = "corrections_full"


class InvalidLabelError(ServiceError):
    """A photo cannot have this label, or not several."""

    code: ClassVar[str] = "invalid_label"


class PhotoGoneError(ServiceError):
    """The photo is not in the review folder, or no longer."""

    code: ClassVar[str] = "photo_gone"


class ReviewUnavailableError(ServiceError):
    """The review folder cannot be read or written."""

    code: ClassVar[str] = "review_unavailable"


class MalformedRequestError(ServiceError):
    """The bytes received are not HTTP, or mean different things to different readers."""

    code: ClassVar[str] = "malformed_request"


class TargetTooLongError(ServiceError):
    """The target of the request, its path and query, is too long."""

    code: ClassVar[str] = "target_too_long"


class HeadTooLargeError(ServiceError):
    """The head of the request has too many bytes or lines."""

    code: ClassVar[str] = "head_too_large"


class RequestTimeoutError(ServiceError):
    """The request comes in too slowly."""

    code: ClassVar[str] = "request_timeout"


class UnauthorizedError(ServiceError):
    """The API key is missing or wrong."""

    code: ClassVar[str] = "unauthorized"


class CrossSiteError(ServiceError):
    """A browser sends the request on behalf of a page of another site."""

    code: ClassVar[str] = "cross_site"


class MisdirectedRequestError(ServiceError):
    """The request is for a name under which the service is not to be asked."""

    code: ClassVar[str] = "misdirected_request"


class OverloadedError(ServiceError):
    """No upload slot, or no memory for uploads, is left; there may be one in `retry_seconds`."""

    code: ClassVar[str] = "overloaded"

    def __init__(self, sentence: str, *, retry_seconds: int = 1) -> None:
        super().__init__(sentence)
        self.retry_seconds = retry_seconds


class NotReadyError(ServiceError):
    """The classifier is not there yet, or no longer."""

    code: ClassVar[str] = "not_ready"


class DeadlineExceededError(ServiceError):
    """There was no answer in the time allowed."""

    code: ClassVar[str] = "deadline_exceeded"


class ClientGoneError(ServiceError):
    """The client closed the connection before its answer was there."""

    code: ClassVar[str] = "client_gone"


class InferenceFailedError(ServiceError):
    """The network could not answer for this picture."""

    code: ClassVar[str] = "inference_failed"
