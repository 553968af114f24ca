"""Decoding in threads of its own: a large picture costs a thread's time, never the event loop's."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from model.preprocessing import Picture, Preprocessing


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded picture; seconds it waited for a thread, and seconds decoding took."""

    picture: Picture
    queue_seconds: float
    decode_seconds: float


class Decoders:
    """A bounded pool of threads that decode; Pillow releases the interpreter's lock while it does."""

    def __init__(self, preprocessing: Preprocessing, *, threads: int, max_pixels: int) -> None:
        self._preprocessing = preprocessing
        self._max_pixels = max_pixels
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    async def decode(self, data: bytes) -> Decoded:
        """Decode an upload, or raise a `PictureError`; cancelling this before its turn drops the upload."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._decode, data, time.perf_counter())

    def close(self) -> None:
        """Drop what waits, and do not wait for what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _decode(self, data: bytes, queued_at: float) -> Decoded:
        started = time.perf_counter()
        picture = self._preprocessing.read(data, max_pixels=self._max_pixels)
        return Decoded(picture, started - queued_at, time.perf_counter() - started)
