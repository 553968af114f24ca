"""An example of each problem in the OpenAPI document: a sentence that the service writes, here of `/predict`.

What reads differently on another route is said there.
"""

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "malformed_form": "The multipart form ends before its closing boundary.",
    "unauthorized": "There is no header Authorization; send the service's API key: `Authorization: Bearer KEY`.",
    "cross_site": (
        "The request comes from a page of `https://elsewhere.example`, which the operator has not named for this path."
    ),
    "corrections_off": "This service keeps no photos: its operator has not set a folder for them.",
    "photo_gone": "There is no such photo in the review folder, or no longer.",
    "unknown_model": "There is no model `wolves` here: `GET /models` lists them.",
    "unknown_version": "The model `cats-dogs` has no version `v9`: `GET /models` lists them.",
    "model_control_off": "Clients may not change what is served here: see WHISKER_MODEL_CONTROL.",
    "version_unusable": (
        "The checkpoint v9.safetensors was changed or damaged after it was written: use an unaltered copy."
    ),
    "repository_unwritable": (
        "The version answers now, but that cannot be noted in the folder, so that it will not last."
    ),
    "request_timeout": "The body was not complete after 30 seconds.",
    "body_too_large": "The request's body has 60,000,000 bytes, but 50,000,000 bytes are accepted.",
    "picture_too_large": (
        "The picture has 40000 x 30000 pixels; at most 50,000,000 pixels and 30,000 a side are accepted."
    ),
    "unsupported_media_type": (
        "The request's content type is `text/plain`, and the body is no picture: send the picture as "
        "multipart/form-data in the field `file`, or its bytes as the body with the content type image/*."
    ),
    "unsupported_encoding": (
        "The request's Content-Encoding is `br`, but a body may be compressed once, with gzip or deflate, or not at "
        "all."
    ),
    "unsupported_picture_format": "The file is not a JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC or AVIF picture.",
    "misdirected_request": "The service is not to be asked under the name `elsewhere.example`.",
    "undecodable_picture": "The picture is damaged or incomplete and cannot be decoded.",
    "invalid_upload": (
        "The form must hold exactly one picture, best in the field `file`, but there is a file in `file`, a file in "
        "`file`."
    ),
    "unknown_class": "There is no class `wolf`: give one that the checkpoint's card lists, or none for the best.",
    "invalid_label": "The checkpoint knows one class a photo: give one label, or none of them.",
    "no_heat_map": "This network has no feature map, so there are no heat maps.",
    "invalid_request": "The query parameter `top_k` is `0`: input should be greater than or equal to 1.",
    "inference_failed": "The network could not answer for this picture.",
    "internal_error": "The service has a defect; its log has the details.",
    "overloaded": "The service is answering as many uploads as it can; try again soon.",
    "not_ready": "The service is starting or stopping; try again soon.",
    "deadline_exceeded": "There was no answer within 10 seconds.",
    "review_unavailable": "The review folder cannot be used at the moment: No space left on device.",
    "corrections_full": "The folder for corrections is full.",
}
