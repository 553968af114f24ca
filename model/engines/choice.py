"""The choice of the engine: at start-up, on this machine, by measurement.

Each candidate's answers for the golden pictures are compared with those of plain PyTorch in float32, and the first
that is right, and faster, is taken.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from whisker.model.answers.decision_rule import Outputs
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.engines.base import Engine, OpenVinoModel
from whisker.model.engines.instructions import has_dot_products
from whisker.model.engines.quantization import MAX_NARROW_WEIGHT, MAX_WEIGHT
from whisker.model.engines.torch_engine import FoldedEngine, TorchEngine, head_of
from whisker.model.errors import EngineError, InferenceError
from whisker.model.networks.base import Network

AUTO = "auto"
MAX_POINTS_LOST = 0.1  # percentage points of accuracy that int8 may cost
MAX_MEAN_DIFFERENCE = 0.005  # of a probability, on average, that int8 may make
# Cosine of features; what is computed wrongly points elsewhere. Low precision gave 0.989 to 0.99995 (docs/adr/0011).
_MIN_AGREEMENT = 0.95
_TIMINGS = 3  # the fastest of them counts, as the others were disturbed

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine to try: its name, the largest difference of a golden probability that it may make, and its devices.

    `build` raises `EngineError` where the machine or the checkpoint does not allow it. `export` writes the model that
    the engine runs, if the engine needs no PyTorch.
    """

    name: str
    build: Callable[[Network, Checkpoint, str], Engine]
    tolerance: float
    devices: tuple[str, ...]
    export: Callable[[Network, Checkpoint], OpenVinoModel] | None = None


def _torch(network: Network, _checkpoint: Checkpoint, device: str) -> Engine:
    return TorchEngine(network, device)


def _torch_folded(network: Network, _checkpoint: Checkpoint, device: str) -> Engine:
    return FoldedEngine(network, device, torch.float32)


def _torch_bf16(network: Network, checkpoint: Checkpoint, device: str) -> Engine:
    _require(device != "cpu" or checkpoint.network.is_dense, "depthwise convolutions are slow in bfloat16 on a CPU")
    return FoldedEngine(network, device, torch.bfloat16)


def _export(network: Network, checkpoint: Checkpoint, *, int8: bool = False) -> OpenVinoModel:
    from whisker.model.engines.openvino_export import export_openvino_model  # noqa: PLC0415 - an optional dependency

    return export_openvino_model(
        network,
        checkpoint.preprocessing.size,
        checkpoint.quantization if int8 else None,
        max_weight=MAX_WEIGHT if has_dot_products() else MAX_NARROW_WEIGHT,
    )


def _openvino(network: Network, checkpoint: Checkpoint, device: str, *, int8: bool = False) -> Engine:
    if device != "cpu":
        raise EngineError("it computes on the CPU")
    try:
        from whisker.model.engines.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as exc:
        raise EngineError("the package openvino is not installed: `pip install 'whisker-vision[openvino]'`") from exc
    except (ImportError, OSError) as exc:  # a library that this system cannot load
        raise EngineError(f"OpenVINO cannot be imported: {exc}") from exc
    exported = _export(network, checkpoint, int8=int8)
    return OpenVinoEngine(exported, head_of(network), threads=torch.get_num_threads())


def _openvino_int8(network: Network, checkpoint: Checkpoint, device: str) -> Engine:
    quantization = checkpoint.quantization
    if quantization is None:
        _require(checkpoint.network.is_dense, "depthwise convolutions gain little by int8")
        raise EngineError("its cost was not measured")
    cost = quantization.cost if has_dot_products() else quantization.narrow
    if cost is None:
        raise EngineError("its cost on a processor without VNNI was not measured; `whisker calibrate` measures it")
    _require(
        cost.points_lost < MAX_POINTS_LOST and cost.mean_difference <= MAX_MEAN_DIFFERENCE,
        f"int8 lost {cost.points_lost:.2f} percentage points on the validation photos, and moved probabilities by "
        f"{cost.mean_difference:.4f} on average",
    )
    return _openvino(network, checkpoint, device, int8=True)


def _cuda_graphs(network: Network, checkpoint: Checkpoint, device: str) -> Engine:
    if not device.startswith("cuda"):
        raise EngineError("it computes on an NVIDIA GPU")
    from whisker.model.engines.cuda_engine import CudaGraphEngine, half_precision  # noqa: PLC0415 - of no use elsewhere

    dtype = half_precision(torch.cuda.get_device_capability(device))
    return CudaGraphEngine(network, device, dtype, checkpoint.preprocessing.size)


PLAIN = Candidate("torch", _torch, 0.001, ("cpu", "cuda"))
_CANDIDATES = (  # fastest first, as measured in docs/adr/0011
    Candidate("cuda-graphs", _cuda_graphs, 0.1, ("cuda",)),
    Candidate("openvino-int8", _openvino_int8, 0.05, ("cpu",), partial(_export, int8=True)),
    Candidate("openvino", _openvino, 0.1, ("cpu",), _export),
    Candidate("torch-bf16", _torch_bf16, 0.1, ("cpu", "cuda")),
    Candidate("torch-folded", _torch_folded, 0.001, ("cpu", "cuda")),
    PLAIN,
)
ENGINES = tuple(candidate.name for candidate in _CANDIDATES)


def candidates_for(name: str, device: str) -> list[Candidate]:
    """List the engines to try on a device, fastest first, or the one that `name` asks for."""
    kind = device.partition(":")[0]
    return [it for it in _CANDIDATES if it.name == name or (name == AUTO and kind in it.devices)]


def choose_engine(
    network: Network,
    checkpoint: Checkpoint,
    plain: Engine,
    pixels: Sequence[NDArray[np.uint8]],
    *,
    name: str = AUTO,
    find_candidates: Callable[[str, str], Sequence[Candidate]] = candidates_for,
) -> tuple[Engine, Candidate]:
    """Build, for the device of the `plain` one, the fastest accurate engine, or the one that `name` asks for.

    An engine is accurate if its features of `pixels` point where those of `plain` do, and its answers differ by no more
    than its tolerance.

    Raises `EngineError` if the requested engine cannot be used or is not accurate. Plain PyTorch is the last resort.
    """
    if name not in (AUTO, *ENGINES):
        raise EngineError(f"The engine is one of {AUTO}, {', '.join(ENGINES)}, not {name!r}.")
    expected = plain.run(pixels)
    seconds = _seconds(plain, pixels, timings=1)  # it is warm, and several times slower than most
    for candidate in find_candidates(name, plain.device):
        try:
            engine = candidate.build(network, checkpoint, plain.device)
            difference = _check(candidate, checkpoint, engine.run(pixels), expected)
            speed = seconds / _seconds(engine, pixels)
            _require(name != AUTO or candidate is PLAIN or speed > 1, f"it is {speed:.2f} times as fast as PyTorch")
        # RuntimeError and OSError come from compilers and drivers, for machines that they cannot serve.
        except (EngineError, InferenceError, RuntimeError, OSError) as exc:
            reason = str(exc).rstrip(".")
            if name != AUTO:
                raise EngineError(f"The engine {name} cannot be used: {reason}.") from exc
            logger.info("Engine passed over", extra={"engine": candidate.name, "reason": reason})
            continue
        reason = f"{speed:.1f} times as fast as plain PyTorch, golden probabilities within {difference:.4f}"
        logger.info("Engine chosen", extra={"engine": candidate.name, "asked": name, "reason": reason})
        return engine, candidate
    return plain, PLAIN


def _check(candidate: Candidate, checkpoint: Checkpoint, outputs: Outputs, expected: Outputs) -> float:
    """Return the largest difference of a golden probability, if the candidate may make it."""
    agreement = least_cosine(outputs.features, expected.features)
    _require(agreement >= _MIN_AGREEMENT, f"its golden features agree only to a cosine of {agreement:.3f}")
    rule = checkpoint.decision_rule
    difference = float(np.abs(rule.probabilities(outputs.logits) - rule.probabilities(expected.logits)).max())
    _require(difference <= candidate.tolerance, f"it moves a golden probability by {difference:.3f}")  # NaN fails too
    return difference


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise EngineError(otherwise)


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Compute the least cosine between features `[N, F]` of the same pictures; it is 1 where both are 0."""
    dots, lengths = (a * b).sum(1), np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    same = (a == b).all(1)
    return float(np.where(same, 1.0, dots / np.maximum(lengths, 1e-30)).min())


def _seconds(engine: Engine, pixels: Sequence[NDArray[np.uint8]], timings: int = _TIMINGS) -> float:
    def once() -> float:
        started = time.perf_counter()
        engine.run(pixels)
        return time.perf_counter() - started

    return min(once() for _ in range(timings))
