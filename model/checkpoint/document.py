"""The JSON document of a checkpoint: in the file's metadata, or in a tensor if it is too large for these.

safetensors refuses metadata of more than 100 MB, after everything was computed. The figures of very many classes come
to that. An older Whisker refuses a file whose document is a tensor, because its metadata have a higher format version.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from whisker.model.checkpoint.json_object import parse_object, refuse

KEY = "whisker"
_TENSOR = "whisker.header"
MAX_METADATA_BYTES = 16_000_000  # of a document there; JSON in JSON takes up to twice as many
_MAX_BYTES = 256_000_000  # a million classes
_ELSEWHERE = {"format_version": 3, "header": _TENSOR}  # the metadata of a file whose document is a tensor


def place_document(header: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Write a document; give the file's metadata, and the tensor that holds it if these do not."""
    document = json.dumps(header, sort_keys=True, ensure_ascii=False)
    data = document.encode()
    if len(data) <= MAX_METADATA_BYTES:
        # One entry only: safetensors writes several in random order, and equal checkpoints must be equal files.
        return {KEY: document}, {}
    if len(data) > _MAX_BYTES:
        refuse(f"would have a header of more than {_MAX_BYTES:,} bytes")
    elsewhere = json.dumps(_ELSEWHERE, sort_keys=True)
    return {KEY: elsewhere}, {_TENSOR: torch.frombuffer(bytearray(data), dtype=torch.uint8)}


def find_document(
    metadata: Mapping[str, str], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    """Read the document of a file, from where it is; give the other tensors, too.

    Raises `CheckpointError` with the end of a sentence.
    """
    header = parse_object(metadata[KEY])
    if header != _ELSEWHERE:
        return header, tensors
    tensor = tensors.get(_TENSOR)
    if tensor is None or tensor.dtype != torch.uint8 or tensor.numel() > _MAX_BYTES:
        refuse(f"lacks its header, of at most {_MAX_BYTES:,} bytes, in the tensor {_TENSOR!r}")
    try:
        document = tensor.numpy().tobytes().decode()
    except UnicodeDecodeError as exc:
        refuse("has a header that is not Unicode", exc)
    return parse_object(document), {name: other for name, other in tensors.items() if name != _TENSOR}
