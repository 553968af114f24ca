"""LitServe: a worker a core, batches of 8 that gather for 5 ms. Its upload field is called `request`.

`python -m benchmarks.peers.litserve_server PORT`
"""

import sys

import litserve
import torch
from fastapi import UploadFile
from torch import Tensor

from benchmarks.peers.answering import Answering
from whisker.model.cores import available_cores


class Photos(litserve.LitAPI):
    """Decode, batch, predict: LitServe calls each step."""

    def setup(self, device: str) -> None:
        """Load the network in the worker."""
        del device
        torch.set_num_threads(1)
        self.answering = Answering()

    def decode_request(self, request: UploadFile) -> Tensor:
        """Prepare one photo."""
        return self.answering.prepare(request.file.read())

    def batch(self, inputs: list[Tensor]) -> list[Tensor]:
        """Leave stacking to `Answering`."""
        return inputs

    def predict(self, batch: list[Tensor]) -> list[dict[str, str | float]]:
        """Answer for a batch."""
        return self.answering.answer(batch)

    def unbatch(self, output: list[dict[str, str | float]]) -> list[dict[str, str | float]]:
        """Give each request its answer."""
        return output

    def encode_response(self, output: dict[str, str | float]) -> dict[str, str | float]:
        """Answer with JSON, as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Photos(max_batch_size=8, batch_timeout=0.005), accelerator="cpu", workers_per_device=available_cores()
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
