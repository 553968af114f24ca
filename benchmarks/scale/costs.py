"""What a request costs, as measured: all that the simulation is told of the service."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Self

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds, with all cores busy; `slowdown` is how much longer the same takes then than on one busy core.

    `decode` has one value a photo, in the order in which photos are sent. `inference` has samples for each size of a
    batch. `worker_overhead` is what an inference worker needs for a picture besides both: pipes, JSON, cold caches.
    `connection` is what a new connection costs an HTTP worker, and `supervisor` what the supervisor takes each second.
    """

    http: float
    refusal: float
    generator: float
    worker_overhead: float
    decode: tuple[float, ...]
    inference: Mapping[int, tuple[float, ...]]
    slowdown: float = 1.0
    connection: float | None = None
    supervisor: float | None = None

    @property
    def max_batch(self) -> int:
        return max(self.inference)

    @property
    def worker(self) -> float:
        """Give an inference worker's seconds for a picture, in the largest batches."""
        largest = self.max_batch
        return fmean(self.decode) + self.worker_overhead + fmean(self.inference[largest]) / largest

    def batch_seconds(self, pictures: list[int], rng: Random) -> float:
        """Draw what a batch of these pictures, by their numbers, takes on a core of its own."""
        size = len(pictures)
        decoding = sum(self.decode[number % len(self.decode)] for number in pictures)
        return (decoding + size * self.worker_overhead + rng.choice(self.inference[size])) / self.slowdown

    def write(self, file: Path) -> None:
        """Write it as JSON, for `read`."""
        file.write_text(json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what `write` has written; raise `BenchmarkError` if it is anything else."""
        try:
            content = json.loads(file.read_text())
            content["inference"] = {int(size): tuple(taken) for size, taken in content["inference"].items()}
            return cls(**{**content, "decode": tuple(content["decode"])})
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise BenchmarkError(
                f"{file} holds no measured costs ({exc}): give a file that --save has written."
            ) from exc
