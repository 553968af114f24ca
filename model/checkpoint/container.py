"""The file of a checkpoint, before anything in it is believed: read once, within bounds, as metadata and tensors."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from whisker.model.checkpoint.json_object import shown
from whisker.model.errors import CheckpointError, ConfigError
from whisker.model.regular_file import read_regular

_MAX_FILE_BYTES = 4_000_000_000  # the largest network that can be trained has half of it
_MAX_HEADER_BYTES = 64_000_000  # the confusion matrix of 4,000 classes, as it was written once
_LENGTH_BYTES = 8  # of the header, at its beginning
_KINDS = ("F16", "F32", "I64", "U8")  # of numbers, as safetensors names them


@dataclass(frozen=True, slots=True)
class Container:
    """What a file holds, and the SHA-256 of its bytes."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]
    sha256: str


def read_container(path: Path, *, signed_by: Path | None = None) -> Container:
    """Read a safetensors file; raise `CheckpointError` if it is none, is too large, or has other kinds of numbers.

    `signed_by` as for `load_checkpoint`: nothing of a file is looked at before its signature.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint file at {path}: give the path of a file from `whisker train`.")
    try:
        data = read_regular(path, max_bytes=_MAX_FILE_BYTES)  # once: what is hashed is what is used
        sha256 = hashlib.sha256(data).hexdigest()
        if signed_by is not None:
            _require_signature(path, sha256, signed_by)
        header = _parse_header(path, data)
        tensors = load(data)
    except SafetensorError as exc:
        _refuse_format(path, exc)
    except OSError as exc:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {exc.strerror}.") from exc
    except MemoryError as exc:
        raise CheckpointError(f"The checkpoint {path} needs more memory than there is.") from exc
    return Container(header.get("__metadata__") or {}, tensors, sha256)


def _require_signature(path: Path, sha256: str, signed_by: Path) -> None:
    try:
        from whisker.model.signature import require_signature  # noqa: PLC0415 - an extra, and a second to import
    except ImportError as exc:
        raise ConfigError(
            f"Signatures of the key in {signed_by} cannot be checked: `pip install 'whisker-vision[signing]'`."
        ) from exc
    require_signature(path, sha256, signed_by)


def _parse_header(path: Path, data: bytes) -> dict[str, Any]:
    """Read the header, a length and a JSON object, which safetensors checks; refuse numbers that PyTorch may lack."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > _MAX_HEADER_BYTES and length < len(data):
        raise CheckpointError(f"The checkpoint {path} has a header of more than {_MAX_HEADER_BYTES:,} bytes.")
    try:
        header: dict[str, Any] = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        kinds = {name: tensor["dtype"] for name, tensor in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as exc:
        _refuse_format(path, exc)
    odd = next((name for name, kind in kinds.items() if kind not in _KINDS), None)
    if odd is not None:
        raise CheckpointError(
            f"The checkpoint {path} has {shown(odd)} as {shown(kinds[odd])}, where only {', '.join(_KINDS)} can be."
        )
    return header


def _refuse_format(path: Path, exc: Exception) -> NoReturn:
    raise CheckpointError(
        f"{path} is not a safetensors file, or it is damaged: give a file that `whisker train` has written."
    ) from exc
