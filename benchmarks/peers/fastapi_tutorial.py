"""FastAPI as tutorials write it: the network runs in the event loop, with all of PyTorch's threads."""

from fastapi import FastAPI, UploadFile

from benchmarks.peers.answering import Answering

app = FastAPI()
answering = Answering()


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, str | float]:
    """Answer for one photo."""
    return answering.answer([answering.prepare(await file.read())])[0]
