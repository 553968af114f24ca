"""BentoML: adaptive batching, a worker a core. `bentoml serve benchmarks.peers.bentoml_service:Photos --port PORT`."""

from pathlib import Path

import bentoml
import torch

from benchmarks.peers.answering import Answering
from whisker.model.cores import available_cores


@bentoml.service(workers=available_cores(), traffic={"timeout": 60}, logging={"access": {"enabled": False}})
class Photos:
    """BentoML makes one of it in each worker."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.answering = Answering()

    # BentoML hands over uploads as files; it has adapted the batch to the latency by itself.
    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=1000)
    def predict(self, file: list[Path]) -> list[dict[str, str | float]]:
        """Answer for a batch."""
        return self.answering.answer([self.answering.prepare(path.read_bytes()) for path in file])
