"""Every way of reading a body, by its kind. Imports no web framework: a reading worker needs none."""

from collections.abc import Callable, Mapping

from whisker.app.protocols.json_pictures import read_inputs, read_instances
from whisker.app.protocols.oip_inputs import read_tensors
from whisker.app.protocols.reading import Kind, Order, Reading

_READERS: Mapping[Kind, Callable[[Order, bytes], Reading]] = {
    "inputs": read_inputs,
    "instances": read_instances,
    "tensors": read_tensors,
}


def read(order: Order, body: bytes) -> Reading:
    """Read a body; raise `InvalidUploadError`, or `PictureTooLargeError` for a tensor of too many pixels."""
    return _READERS[order.kind](order, body)
