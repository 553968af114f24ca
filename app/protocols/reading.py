"""What is asked of a body, and what is read from it: plain values, since another process may do the reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from whisker.app.errors import InvalidUploadError

Kind = Literal["inputs", "instances", "tensors"]  # Hugging Face's JSON, KServe's, and the Open Inference Protocol's
Plain = str | int | bool | None | list[dict[str, str | int | bool | None]]


@dataclass(frozen=True, slots=True)
class Order:
    """How a body is to be read: its kind, the service's limits and, for tensors, the outputs that there are.

    `json_bytes` is how much of the body is JSON, where binary tensors follow.
    """

    kind: Kind
    max_files: int
    max_pixels: int
    outputs: Sequence[str] = ()
    json_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The picture files in a body, and what else its answer depends on: a few values, however large the body is."""

    pictures: Sequence[bytes]
    rest: Mapping[str, Plain] = field(default_factory=dict)


def require_count(order: Order, pictures: int) -> None:
    """Raise `InvalidUploadError` unless a request may hold so many pictures; to be asked before they are decoded."""
    if not 1 <= pictures <= order.max_files:
        raise InvalidUploadError(f"The request must hold 1 to {order.max_files} pictures, not {pictures}.")
