"""What the protocols' routes have in common: bodies that are read off the event loop where they are large, and pictures
that are answered together or not at all.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request

from whisker.app.inference.requests import PredictionResult
from whisker.app.inference.wire import PredictionOptions
from whisker.app.protocols.readers import read
from whisker.app.protocols.reading import Kind, Order, Reading
from whisker.app.protocols.reading_process import ReadingProcess
from whisker.app.repository.model import Choice
from whisker.app.routes.answering import predict_many
from whisker.app.routes.state import state_of
from whisker.app.uploads.deadline import in_time
from whisker.app.uploads.reader import read_pieces

JSON = "application/json"
INLINE_BYTES = 100_000  # a body of so many takes the event loop 3 ms at the worst; larger ones a process of its own


async def read_pictures(request: Request, kind: Kind, **known: Any) -> Reading:
    """Read a body of a kind; `known` are more fields of its `Order`.

    Raises what `read` and `in_time` raise, `ClientGoneError`, and `OverloadedError` if no process can be had.
    """
    return await read_from(await read_pieces(request), request, kind, **known)


async def read_from(pieces: Sequence[bytes], request: Request, kind: Kind, **known: Any) -> Reading:
    """Read a body that has been received; raise as `read_pictures` does."""
    settings = state_of(request.app).settings
    order = Order(kind, settings.max_files, settings.max_pixels, **known)
    if sum(map(len, pieces)) <= INLINE_BYTES:
        return read(order, b"".join(pieces))
    reading = asyncio.ensure_future(reading_process_of(request.app).read(order, pieces))
    return await in_time(reading, request.receive, settings.deadline_seconds)


def set_reading_process(app: FastAPI, process: ReadingProcess) -> None:
    app.state.whisker_reading = process


def reading_process_of(app: FastAPI) -> ReadingProcess:
    process: ReadingProcess = app.state.whisker_reading
    return process


async def predict_all(
    request: Request, choice: Choice, pictures: Sequence[bytes], options: PredictionOptions
) -> list[PredictionResult]:
    """Predict for all pictures; raise the error of the first that cannot be used."""
    results = []
    for result in await predict_many(request, choice, pictures, options):
        if isinstance(result, Exception):
            raise result
        results.append(result)
    return results
