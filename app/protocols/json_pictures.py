"""Pictures in JSON: Hugging Face's `inputs` and KServe's `instances`."""

from collections.abc import Mapping

from whisker.app.errors import InvalidUploadError, quoted
from whisker.app.protocols.documents import decode_base64, is_whole, kind_of, parse_json
from whisker.app.protocols.reading import Order, Reading, require_count

_NAMED = 5  # fields of an object in a sentence
_MOST = 1_000_000  # a larger `top_k` means the same: all classes


def read_inputs(_order: Order, body: bytes) -> Reading:
    """Read `{"inputs": BASE64, "parameters": {"top_k": 3}}`; the rest is `top_k`."""
    document = parse_json(body)
    if "inputs" not in document:
        raise InvalidUploadError(f"The body must hold `inputs`, a picture in Base64, but holds {_names(document)}.")
    return Reading([decode_base64(document.get("inputs"))], {"top_k": _read_top_k(document.get("parameters"))})


def read_instances(order: Order, body: bytes) -> Reading:
    """Read `{"instances": [{"b64": BASE64}]}`; there is no rest."""
    document = parse_json(body)
    instances = document.get("instances")
    if not isinstance(instances, list):
        came = kind_of(instances) + " as `instances`" if "instances" in document else _names(document)
        raise InvalidUploadError(f"The body must hold `instances`, a list of pictures, but holds {came}.")
    require_count(order, len(instances))
    return Reading([*map(_picture, instances)])


def _read_top_k(parameters: object) -> int | None:
    top_k = parameters.get("top_k") if isinstance(parameters, dict) else None
    if top_k is None:
        return None
    if not is_whole(top_k) or top_k < 1:
        came = quoted(str(top_k)) if isinstance(top_k, int | float) else kind_of(top_k)
        raise InvalidUploadError(f"The parameter `top_k` must be a whole number of 1 or more, but is {came}.")
    return min(top_k, _MOST)


def _picture(instance: object) -> bytes:
    """Find the Base64 in `{"b64": ...}`, which may be under a name of its own: `{"image_bytes": {"b64": ...}}`."""
    if isinstance(instance, dict) and len(instance) == 1 and "b64" not in instance:
        (instance,) = instance.values()
    if not isinstance(instance, dict) or "b64" not in instance:
        came = _names(instance) if isinstance(instance, dict) else kind_of(instance)
        raise InvalidUploadError(f'Each instance must be a picture, {{"b64": "..."}}, but one is {came}.')
    return decode_base64(instance["b64"])


def _names(document: Mapping[str, object]) -> str:
    """Name what an object holds."""
    return ", ".join(map(quoted, [*document][:_NAMED])) or "nothing"
