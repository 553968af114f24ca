"""Ray Serve: a FastAPI ingress, batches of 8 that gather for 5 ms, a replica a core.

`python -m benchmarks.peers.ray_serve PORT`
"""

import sys
import tempfile
from typing import Any

import ray
import torch
from fastapi import FastAPI, UploadFile
from ray import serve
from torch import Tensor

from benchmarks.peers.answering import Answering
from whisker.model.cores import available_cores

app = FastAPI()


@serve.deployment(num_replicas=available_cores(), max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
@serve.ingress(app)
class Photos:
    """Ray makes one of it in each replica."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.answering = Answering()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.005)
    async def answer(self, photos: list[Tensor]) -> list[dict[str, str | float]]:
        """Answer for a batch."""
        return self.answering.answer(photos)

    @app.post("/predict")
    async def predict(self, file: UploadFile) -> dict[str, str | float]:
        """Answer for one photo."""
        answer: dict[str, str | float] = await self.answer(self.answering.prepare(await file.read()))
        return answer


if __name__ == "__main__":
    from benchmarks.peers.ray_serve import Photos as Importable  # replicas import it by this name, not as __main__

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(address="local", include_dashboard=False, _temp_dir=folder)
        serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
        deployment: Any = Importable  # what the decorators have made of it
        serve.run(deployment.bind(), blocking=True, logging_config={"enable_access_log": False})
