"""The request of the Open Inference Protocol: its one input, and which outputs it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from whisker.app.errors import InvalidUploadError
from whisker.app.protocols.documents import is_whole, parse_json
from whisker.app.protocols.reading import Order, Plain, Reading, require_count
from whisker.app.protocols.tensors import DATATYPES, Tensor

INPUT, PROBABILITIES = "image", "probabilities"
HEADER_LENGTH = "Inference-Header-Content-Length"
_MAX_DIMENSIONS, _MAX_SIZE = 4, 2**31
_MAX_ID_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Output:
    """A requested output; with `classes`, the best of them as that many strings."""

    name: str
    is_binary: bool
    classes: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the request its answer depends on."""

    outputs: Sequence[Output]
    id: str | None

    @classmethod
    def from_rest(cls, rest: Mapping[str, Any]) -> "Wanted":
        """Make it of what `read_tensors` gives."""
        return cls([Output(**output) for output in rest["outputs"]], rest["id"])


def read_tensors(order: Order, body: bytes) -> Reading:
    """Read the pictures in the one input; the rest are the fields of a `Wanted`. Raises `InvalidUploadError`."""
    length = len(body) if order.json_bytes is None else order.json_bytes
    if length > len(body):
        raise InvalidUploadError(f"The header {HEADER_LENGTH} does not give the length of the body's JSON.")
    document = parse_json(body[:length])
    tensor, rest = _read_input(document, body[length:]), _read_wanted(document, order.outputs)
    require_count(order, tensor.pictures)
    return Reading(tensor.files(max_pixels=order.max_pixels), rest)


def _read_input(document: Mapping[str, object], binary: bytes) -> Tensor:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise InvalidUploadError(f"The request must have one input, {INPUT}.")
    (given,) = inputs
    shape = given.get("shape")
    if given.get("name") != INPUT:
        raise InvalidUploadError(f"The input is called {INPUT}.")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise InvalidUploadError(f"The input's shape must be a list of up to {_MAX_DIMENSIONS} whole numbers.")
    datatype = given.get("datatype")
    if datatype not in DATATYPES:
        raise InvalidUploadError(f"The input's datatype is {' or '.join(DATATYPES)}.")
    size = _parameter(given, "binary_data_size")
    if size is None:
        return Tensor(tuple(shape), datatype, given.get("data"), None)
    if not is_whole(size) or size != len(binary):
        raise InvalidUploadError("The input's binary_data_size is not the number of bytes that follow the JSON.")
    return Tensor(tuple(shape), datatype, None, binary)


def _is_size(size: object) -> bool:
    return is_whole(size) and 0 <= size < _MAX_SIZE


def _read_wanted(document: Mapping[str, object], outputs: Sequence[str]) -> Mapping[str, Plain]:
    """Read which outputs a request asks for, by default all."""
    given = document.get("outputs") or [{"name": name} for name in outputs]
    if not isinstance(given, list) or not all(isinstance(it, dict) and it.get("name") in outputs for it in given):
        raise InvalidUploadError(f"The outputs are {', '.join(outputs)}.")
    if len({it["name"] for it in given}) < len(given):
        raise InvalidUploadError("An output is asked for twice.")
    id_ = document.get("id")
    if id_ is not None and not (isinstance(id_, str) and len(id_) <= _MAX_ID_CHARACTERS):
        raise InvalidUploadError(f"The request's id must be a string of up to {_MAX_ID_CHARACTERS:,} characters.")
    all_binary = _read_switch(document, "binary_data_output")
    return {"outputs": [asdict(_read_output(output, all_binary=all_binary)) for output in given], "id": id_}


def _read_output(output: Mapping[str, object], *, all_binary: bool) -> Output:
    classes = _parameter(output, "classification")
    if classes is None:
        return Output(str(output["name"]), _read_switch(output, "binary_data") or all_binary, None)
    if not is_whole(classes) or classes < 1 or output["name"] != PROBABILITIES:
        raise InvalidUploadError(f"`classification` is for {PROBABILITIES}, and a whole number of 1 or more.")
    is_binary = _read_switch(output, "binary_data") or all_binary
    return Output(PROBABILITIES, is_binary, min(classes, _MAX_SIZE))


def _read_switch(holder: Mapping[str, object], name: str) -> bool:
    value = _parameter(holder, name)
    if not (value is None or isinstance(value, bool)):
        raise InvalidUploadError(f"The parameter `{name}` must be true or false.")
    return value is True


def _parameter(holder: Mapping[str, object], name: str) -> object:
    """Look a parameter up in a request, an input or an output; `None` if it is not there."""
    parameters = holder.get("parameters")
    return parameters.get(name) if isinstance(parameters, dict) else None
