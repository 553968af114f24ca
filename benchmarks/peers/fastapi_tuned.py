"""FastAPI tuned by hand: requests in the thread pool, one PyTorch thread, and a process a core (`--workers`)."""

import torch
from fastapi import FastAPI, UploadFile

from benchmarks.peers.answering import Answering

torch.set_num_threads(1)
app = FastAPI()
answering = Answering()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, str | float]:
    """Answer for one photo."""
    return answering.answer([answering.prepare(file.file.read())])[0]
