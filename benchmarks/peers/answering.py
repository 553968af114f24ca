"""What all peers share: the checkpoint's network in plain float32 PyTorch, with preprocessing as in tutorials."""

import io
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from whisker.model import build_network, load_checkpoint

CHECKPOINT = "BENCHMARK_CHECKPOINT"  # the environment variable that names the file


class Answering:
    """Prepare photos and answer for batches of them.

    It builds the network by itself and not with `Classifier`, whose engine would cost peers memory and time to start.
    """

    def __init__(self) -> None:
        checkpoint = load_checkpoint(Path(os.environ[CHECKPOINT]))
        self._classes = checkpoint.classes
        self._side = (checkpoint.preprocessing.size,) * 2
        self._network = build_network(checkpoint.network, len(self._classes))
        self._network.load_state_dict(dict(checkpoint.state))
        self._network.eval()

    def prepare(self, photo: bytes) -> Tensor:
        """Decode and resize: float32 `[3, size, size]` in 0..1."""
        with Image.open(io.BytesIO(photo)) as image:
            pixels = np.array(image.convert("RGB").resize(self._side, Image.Resampling.BILINEAR))
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255

    @torch.inference_mode()
    def answer(self, photos: list[Tensor]) -> list[dict[str, str | float]]:
        """Give the best class of each photo and its probability."""
        scores, indices = self._network(torch.stack(photos)).softmax(1).max(1)
        return [
            {"label": self._classes[index], "score": score}
            for index, score in zip(indices.tolist(), scores.tolist(), strict=True)
        ]
