"""Forward passes: each precision, as PyTorch runs it and recorded as CUDA graphs, for each batch size."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.results import EngineResult, Pass
from whisker.model.answers.decision_rule import DecisionRule
from whisker.model.engines.base import Engine
from whisker.model.engines.choice import least_cosine
from whisker.model.engines.cuda_engine import CudaGraphEngine, Record, record_graph
from whisker.model.engines.torch_engine import FoldedEngine
from whisker.model.errors import InferenceError
from whisker.model.networks.base import Network

_LEAST_TIMINGS = 5  # of a batch, however long it takes

Pixels = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute the network."""

    precision: str
    has_graphs: bool
    build: Callable[[], Engine]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is computed: pictures to time and to label, the golden ones, and how logits become answers.

    `expected` is the engine that is right: PyTorch in float32 on the CPU. `used_bytes` reads the GPU's memory in use.
    """

    pixels: Pixels
    golden: Pixels
    rule: DecisionRule
    expected: Engine
    used_bytes: Callable[[], int]


def variants(
    network: Network, device: str, half: torch.dtype, size: int, *, record: Record = record_graph
) -> list[Variant]:
    """List every precision without graphs and with them; `half` is the half precision of the device."""
    precisions = {"fp32": (torch.float32, False), "tf32": (torch.float32, True)}
    precisions["bf16" if half == torch.bfloat16 else "fp16"] = (half, False)
    eager = partial(FoldedEngine, network, device)
    graphs = partial(CudaGraphEngine, network, device, size=size, record=record)
    ways: tuple[tuple[bool, Callable[..., Engine]], ...] = ((False, eager), (True, graphs))

    return [
        Variant(name, has_graphs, partial(make, dtype=dtype, may_use_tf32=may_use_tf32))
        for name, (dtype, may_use_tf32) in precisions.items()
        for has_graphs, make in ways
    ]


def measure_variant(variant: Variant, subject: Subject, *, seconds: float) -> EngineResult:
    """Build one, time each of its batch sizes for so many seconds, and compare its answers; a failure is noted."""
    result = EngineResult(variant.precision, variant.has_graphs)
    gc.collect()
    before, started = subject.used_bytes(), time.perf_counter()
    try:
        engine = variant.build()
        engine.run(subject.pixels[:1])
        result.build_seconds = time.perf_counter() - started
        result.passes = [time_pass(engine, subject.pixels, size, seconds=seconds) for size in engine.batch_sizes]
        result.memory_mb = (subject.used_bytes() - before) / 1e6
        compare(engine, subject, result)
    except (RuntimeError, InferenceError) as exc:  # what this GPU cannot do; the others may work
        result.failure = str(exc).strip().partition("\n")[0]
    return result


def time_pass(engine: Engine, pixels: Pixels, size: int, *, seconds: float) -> Pass:
    """Time batches of one size, from pixels in the host's memory to features there, for so many seconds."""
    batch = [pixels[index % len(pixels)] for index in range(size)]
    engine.run(batch)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < _LEAST_TIMINGS or time.perf_counter() < end:
        started = time.perf_counter()
        engine.run(batch)
        taken.append(time.perf_counter() - started)
    return Pass(size, 1000 * median(taken), len(taken))


def compare(engine: Engine, subject: Subject, result: EngineResult) -> None:
    """Note how far golden features and probabilities are from the right ones, and how many photos' labels are not."""
    answers, expected = engine.run(subject.golden), subject.expected.run(subject.golden)
    result.cosine = least_cosine(answers.features, expected.features)
    probabilities = subject.rule.probabilities
    result.probability = float(np.abs(probabilities(answers.logits) - probabilities(expected.logits)).max())
    labels, right = (it.run(subject.pixels).logits.argmax(1) for it in (engine, subject.expected))
    result.photos, result.other_labels = len(labels), int((labels != right).sum())
