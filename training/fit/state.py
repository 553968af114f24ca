"""The state of an unfinished training: a resumed training gives the same weights, bit for bit.

All randomness is derived from the seed and the step, so the step alone restores it. Like a checkpoint, the file is
safetensors with a JSON header, written atomically.
"""

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from whisker.model.atomic_write import atomic_write
from whisker.model.networks.base import Network
from whisker.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class EpochResult:
    """The figures of one epoch, for the log and the report."""

    epoch: int
    size: int
    loss: float
    validation_accuracy: float
    seconds: float


@dataclass(slots=True)
class TrainingState:
    """The current state. `averaged` has the network's structure; `loss_sum` is over the steps of the current epoch."""

    network: Network
    averaged: nn.Module
    optimizer: torch.optim.Optimizer
    bf16: bool
    step: int = 0
    loss_sum: float = 0.0
    epoch_seconds: float = 0.0
    history: tuple[EpochResult, ...] = ()

    def save(self, path: Path, run: Mapping[str, Any]) -> None:
        """Write the state; `run` identifies its training. Raises `TrainingError` if the file cannot be written."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for index, parameter in enumerate(self.network.parameters()):
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                tensors[f"momentum.{index}"] = momentum
        header = {
            "run": dict(run),
            "bf16": self.bf16,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "epoch_seconds": self.epoch_seconds,
            "history": [asdict(result) for result in self.history],
        }
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        try:
            with atomic_write(path) as temporary:
                save_file(contiguous, temporary, metadata={"training": json.dumps(header)})
        except (OSError, SafetensorError) as exc:
            raise TrainingError(f"The training's state cannot be saved to {path}: {exc}.") from exc

    def load(self, path: Path) -> None:
        """Load a saved state in place; raise `TrainingError` if the file is damaged."""
        try:
            with safe_open(path, framework="pt") as file:
                header = json.loads(file.metadata()["training"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            self.network.load_state_dict(_part(tensors, "network."))
            self.averaged.load_state_dict(_part(tensors, "averaged."))
            self._load_momentum(tensors)
            self.bf16 = header["bf16"]
            self.step = header["step"]
            self.loss_sum = header["loss_sum"]
            self.epoch_seconds = header["epoch_seconds"]
            self.history = tuple(EpochResult(**result) for result in header["history"])
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as exc:
            raise TrainingError(f"The saved training in {path} is damaged: start again with --overwrite.") from exc

    def _load_momentum(self, tensors: Mapping[str, Tensor]) -> None:
        for index, parameter in enumerate(self.network.parameters()):
            if f"momentum.{index}" in tensors:
                # In the parameter's memory layout: sums in another order would round differently.
                momentum = torch.empty_like(parameter).copy_(tensors[f"momentum.{index}"])
                self.optimizer.state[parameter]["momentum_buffer"] = momentum


def saved_run(path: Path) -> dict[str, Any]:
    """Read the identity of a saved state's training; raise `TrainingError` if the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            run: dict[str, Any] = json.loads(file.metadata()["training"])["run"]
    except (SafetensorError, KeyError, TypeError, ValueError) as exc:
        raise TrainingError(f"The saved training in {path} is damaged: start again with --overwrite.") from exc
    return run


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether SIGINT or SIGTERM was received; a second signal acts at once."""
    received: list[int] = []
    previous: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        restore()

    def restore() -> None:
        while previous:
            signal.signal(*previous.popitem())

    try:
        for number in (int(signal.SIGINT), int(signal.SIGTERM)):
            previous[number] = signal.signal(number, handle)
    except ValueError:
        previous.clear()  # not in the main thread, where signals are handled by the caller
    try:
        yield lambda: bool(received)
    finally:
        restore()
