"""Constant load on a service: clients that send the next picture as soon as they have their answer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Condition, Thread
from typing import Any, Self

import httpx


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: which picture it was, and what came back."""

    picture: int
    status: int
    document: dict[str, Any]


class Load:
    """Some clients of a service, from `start` until `stop`; none of them tries anything twice."""

    def __init__(self, address: str, pictures: Sequence[bytes], *, clients: int, headers: dict[str, str]) -> None:
        self.answers = list[Answered]()
        self.sent = 0
        self._address, self._pictures, self._headers = address, pictures, headers
        self._waiting = dict[int, float]()  # requests, and when each was sent
        self._changed, self._is_stopped = Condition(), False
        self._threads = [Thread(target=self._ask, daemon=True) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopped = True
        for thread in self._threads:
            thread.join()

    def wait(self, happened: Callable[[], bool], *, seconds: float = 120) -> None:
        """Wait for something, looking after each answer, and now and then without one."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, self.answers[-1]
            with self._changed:
                self._changed.wait(0.2)

    def passes(self, answers: int) -> None:
        """Wait for so many more answers."""
        since = len(self.answers)
        self.wait(lambda: len(self.answers) >= since + answers)

    def hanging(self, seconds: float) -> int:
        """Count the requests that have waited for so long."""
        with self._changed:
            return sum(time.monotonic() - since > seconds for since in self._waiting.values())

    def _ask(self) -> None:
        with httpx.Client(base_url=self._address, headers=self._headers, trust_env=False, timeout=60) as client:
            for number in count():
                if self._is_stopped:
                    return
                self._ask_for(client, number % len(self._pictures))

    def _ask_for(self, client: httpx.Client, picture: int) -> None:
        with self._changed:
            self.sent += 1
            request = self.sent
            self._waiting[request] = time.monotonic()
        response = client.post("/predict", content=self._pictures[picture])
        with self._changed:
            del self._waiting[request]
            self.answers.append(Answered(picture, response.status_code, response.json()))
            self._changed.notify_all()
