"""TorchServe's handler: batches as the server made them, one PyTorch thread. The upload field is called `data`."""

from typing import Any

import torch

from benchmarks.peers.answering import Answering

_answering: list[Answering] = []  # TorchServe calls a function; what it loads must live somewhere


def handle(data: list[dict[str, bytes]] | None, context: Any) -> list[dict[str, str | float]] | None:
    """Load the network when first called, without data; then answer for batches."""
    del context
    if not _answering:
        torch.set_num_threads(1)
        _answering.append(Answering())
    if data is None:
        return None
    (answering,) = _answering
    return answering.answer([answering.prepare(bytes(row.get("data") or row["body"])) for row in data])
