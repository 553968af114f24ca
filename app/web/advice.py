"""What to do about each kind of problem, as the service's page of errors and docs/reference/errors.md say it."""

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "malformed_request": (
        "Use an HTTP client. A common cause is HTTPS sent to the HTTP port; others are a `Host` that is missing "
        "or no name, and a second `Host`, `Authorization` or `Content-Type`."
    ),
    "malformed_form": (
        "Let the client library build the form. Do not set its `Content-Type` by hand: it would lack the boundary."
    ),
    "unauthorized": "Send `Authorization: Bearer KEY` with the operator's key.",
    "cross_site": (
        "Operators: name the page's origin in `WHISKER_CORS_ORIGINS`. Or call the service from your server, or "
        "serve page and service under one address. A proxy must pass on `Host`."
    ),
    "corrections_off": "Operators: set `WHISKER_CORRECTIONS`.",
    "photo_gone": "Take the next one: somebody has deleted it, or better ones took its place in a full folder.",
    "unknown_model": "Use a `name` that `GET /models` lists, or `/predict` for the default model.",
    "unknown_version": "Use a `version` that `GET /models` lists, or none for the one that is served.",
    "model_control_off": "Operators: set `WHISKER_MODEL_CONTROL` to `on`, or use `whisker models`.",
    "version_unusable": "Operators: `detail` has the reason. The version before still answers.",
    "repository_unwritable": "Operators: let the service write to the folder of the model. The log has the reason.",
    "not_found": "See the routes.",
    "method_not_allowed": "Use a method of the header `Allow`.",
    "request_timeout": (
        "Retry over a better connection, or send a smaller picture. Operators: `WHISKER_RECEIVE_SECONDS`."
    ),
    "body_too_large": "Shrink the picture; `/model` has the limit. Operators: `WHISKER_MAX_BODY_BYTES`.",
    "picture_too_large": (
        "Shrink the picture, or save it again with ordinary options; the network uses only a small version "
        "anyway. Operators: `WHISKER_MAX_PIXELS`."
    ),
    "target_too_long": "Send what is long in the body; 16 KiB and 100 parameters are accepted.",
    "unsupported_media_type": (
        "Send a form with the picture in the field `file`, or its bytes as the body, with `Content-Type: "
        "image/jpeg` and the like. JSON is for the protocols."
    ),
    "unsupported_encoding": (
        "Compress it with gzip or deflate (`Content-Encoding`), or not at all: pictures are compressed already."
    ),
    "unsupported_picture_format": (
        "Convert the file, for instance to JPEG. JPEG XL, JPEG 2000, PDF and raw files of cameras are not read."
    ),
    "misdirected_request": (
        "Use an address that the operator has set. Operators: `WHISKER_ALLOWED_HOSTS`; a proxy must pass on `Host`."
    ),
    "undecodable_picture": "Check whether other programs open it. If it was cut off in transit, send it again.",
    "invalid_upload": (
        "Send one picture in a form, in the field `file`, or several to `/predict/batch`; `detail` names what "
        "came. See what is taken and the protocols."
    ),
    "unknown_class": "Use one of `/model`'s `classes`, or nothing for the best one.",
    "invalid_label": "Give one of the classes, or a new name that can be a folder's; `detail` says what is wrong.",
    "no_heat_map": "Leave out `explain`, or train a convolutional or residual network.",
    "invalid_request": "`detail` names the parameter and what is allowed.",
    "head_too_large": (
        "Send fewer: 100 lines and 64 KiB are accepted. Cookies of other services on the same host are a common cause."
    ),
    "client_gone": "Nothing, unless there are many: then clients give up before answers are ready.",
    "inference_failed": "Send the picture to the operator. Other pictures are not affected.",
    "internal_error": "Report it, with the log lines of this `request_id`.",
    "overloaded": "Retry after the seconds in `Retry-After`. Operators: add cores, or raise `WHISKER_MAX_IN_FLIGHT`.",
    "not_ready": "Retry as above. A load balancer that checks `/readyz` spares clients this error.",
    "deadline_exceeded": (
        "Try again later. Operators: raise `WHISKER_DEADLINE_SECONDS`, or check whether the machine has become slower."
    ),
    "review_unavailable": "Operators: look at the folder of `WHISKER_REVIEW` and its disk. `detail` has the reason.",
    "corrections_full": (
        "Operators: empty the folder, or raise `WHISKER_MAX_CORRECTIONS_BYTES`. The log has the reason."
    ),
}
