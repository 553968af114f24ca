"""What the service and `whisker predict` raise on purpose, beside `whisker.model.errors`.

    WhiskerError
    ├── WorkerError                      a worker ended in a way that the others cannot make up for
    ├── ResultsError                     the results of many photos cannot be written, or not now
    ├── ServerError                      a server that a client asks cannot be reached, or answers otherwise
    └── ServiceError
        ├── UploadError                  the request's body is not one picture's bytes
        │   ├── MalformedFormError       multipart that cannot be parsed
        │   ├── InvalidUploadError       a form without exactly one file in its field `file`
        │   ├── UnsupportedMediaTypeError  neither a form nor a raw picture
        │   └── BodyTooLargeError        more bytes than allowed
        ├── UnknownClassError            a class that the checkpoint does not have
        ├── CorrectionsOffError          there is no folder for corrections
        ├── CorrectionsFullError         there is no room for a correction
        ├── MalformedRequestError        what was sent is not HTTP
        ├── RequestTimeoutError          the request takes too long to come in
        ├── UnauthorizedError            without the API key that is asked for
        ├── CrossSiteError               a browser sends it for a page of some other site
        ├── OverloadedError              as many uploads as allowed are being answered
        ├── NotReadyError                starting, stopping, or no process that computes is left
        ├── DeadlineExceededError        no answer in the time allowed
        ├── ClientGoneError              the client left before its answer was there
        └── InferenceFailedError         the network could not answer for this picture

Each message is one sentence, a `ServiceError`'s for the client. Which status and code it becomes is decided in
`whisker.app.web.problems` alone.
"""

from whisker.model.errors import WhiskerError


class WorkerError(WhiskerError):
    """A worker ended in a way that the others cannot make up for."""


class ResultsError(WhiskerError):
    """The results of `whisker predict --out` cannot be written, or not under this name."""


class ServerError(WhiskerError):
    """A server that a client asks cannot be reached, or does not answer as a Whisker service does."""


class ServiceError(WhiskerError):
    """A request that the service could not answer."""


class UploadError(ServiceError):
    """The request's body is not one picture's bytes."""


class MalformedFormError(UploadError):
    """The multipart form cannot be parsed."""


class InvalidUploadError(UploadError):
    """The form does not hold exactly one file in its field `file`."""


class UnsupportedMediaTypeError(UploadError):
    """The content type is neither a form nor a raw picture."""


class BodyTooLargeError(UploadError):
    """The body has more bytes than allowed."""


class UnknownClassError(ServiceError):
    """A class is named that the checkpoint does not have."""


class CorrectionsOffError(ServiceError):
    """The operator has named no folder for corrections."""


class CorrectionsFullError(ServiceError):
    """A correction cannot be kept: its folder is full, or cannot be written."""


class MalformedRequestError(ServiceError):
    """What was sent is not HTTP."""


class RequestTimeoutError(ServiceError):
    """The request takes too long to come in."""


class UnauthorizedError(ServiceError):
    """The request has not the API key that is asked for."""


class CrossSiteError(ServiceError):
    """A browser sends this on behalf of a page of some other site."""


class OverloadedError(ServiceError):
    """As many uploads as allowed are being answered, or held, already; there may be room in `retry_seconds`."""

    def __init__(self, sentence: str, *, retry_seconds: int = 1) -> None:
        super().__init__(sentence)
        self.retry_seconds = retry_seconds


class NotReadyError(ServiceError):
    """The classifier is not there yet, or no longer."""


class DeadlineExceededError(ServiceError):
    """There was no answer in the time allowed."""


class ClientGoneError(ServiceError):
    """The client closed the connection before its answer was there."""


class InferenceFailedError(ServiceError):
    """The network could not answer for this picture."""
