"""Decoding in threads of its own: a large picture costs a thread's time, never the event loop's."""

import asyncio
import queue
import time
from collections.abc import Callable
from threading import Thread

from app.jobs import Job, settle
from model.preprocessing import Picture, Preprocessing


class Decoders:
    """A few threads that decode; Pillow releases the interpreter's lock while it does.

    A decoded upload goes straight on to the batches: by the event loop it would wait for its turn once more. The queue
    needs no bound of its own: each admitted request has one upload in it, or a few.
    """

    def __init__(
        self, preprocessing: Preprocessing, *, threads: int, max_pixels: int, decoded: Callable[[Job, Picture], None]
    ) -> None:
        """Start the threads, in a coroutine: what cannot be decoded is answered for on its event loop."""
        self._preprocessing = preprocessing
        self._max_pixels = max_pixels
        self._decoded = decoded
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()  # None: one thread's end
        self._threads = [Thread(target=self._run, name=f"decode-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def put(self, job: Job) -> None:
        """Decode an upload when a thread is free; cancelling its answer before drops it."""
        self._queue.put(job)

    def close(self) -> None:
        """End the threads after what waits, and do not wait for them."""
        for _ in self._threads:
            self._queue.put(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.is_dropped:
                continue
            started = time.perf_counter()
            job.starts(started)
            try:
                picture = self._preprocessing.read(job.data, max_pixels=self._max_pixels)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is this upload's alone
                self._loop.call_soon_threadsafe(settle, job.answer, exc)
                continue
            job.data = b""  # a batch that waits shall not hold on to the files
            job.waiting_since = time.perf_counter()
            job.decode_seconds = job.waiting_since - started
            self._decoded(job, picture)
