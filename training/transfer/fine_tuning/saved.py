"""The state of a long fine-tuning, saved after each epoch: weights and Adam's moments, in a safetensors file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from whisker.model.atomic_write import atomic_write
from whisker.training.errors import TrainingError

_MOMENTS = ("exp_avg", "exp_avg_sq")  # as PyTorch's Adam names them


@dataclass(frozen=True, slots=True)
class SavedTuning:
    """A file for the state, and the key of the training that it must belong to."""

    file: Path
    key: Mapping[str, object]

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, losses: Sequence[float]) -> None:
        """Write the state after so many epochs, with the loss of each; raise `TrainingError` if that fails."""
        tensors: dict[str, Tensor] = {}
        for index, parameter in enumerate(network.parameters()):
            tensors[f"weight.{index}"] = parameter.detach().cpu().contiguous()
            for moment in _MOMENTS:
                tensors[f"{moment}.{index}"] = optimizer.state[parameter][moment].cpu().contiguous()
        steps = int(optimizer.state[next(network.parameters())]["step"])
        header = {"key": self._key(), "losses": [*losses], "steps": steps}
        try:
            with atomic_write(self.file) as temporary:
                save_file(tensors, temporary, metadata={"tuning": json.dumps(header)})
        except (OSError, SafetensorError) as exc:
            raise TrainingError(f"The state of the fine-tuning cannot be saved to {self.file}: {exc}.") from exc

    def load(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[float, ...]:
        """Restore the state, and return the loss of each epoch that is done: of none if it is of another training."""
        if not self.file.is_file():
            return ()
        try:
            with safe_open(self.file, framework="pt") as file:
                header = json.loads((file.metadata() or {}).get("tuning", "{}"))
                if header.get("key") != self._key() or "losses" not in header:  # before losses were saved
                    return ()
                for index, parameter in enumerate(network.parameters()):
                    with torch.no_grad():
                        parameter.copy_(file.get_tensor(f"weight.{index}"))
                    moments = {name: file.get_tensor(f"{name}.{index}").to(parameter.device) for name in _MOMENTS}
                    optimizer.state[parameter] = {"step": torch.tensor(float(header["steps"])), **moments}
        except (SafetensorError, OSError, ValueError, RuntimeError) as exc:
            raise TrainingError(f"The state of the fine-tuning in {self.file} is damaged: delete it.") from exc
        return tuple(map(float, header["losses"]))

    def _key(self) -> object:
        return json.loads(json.dumps(self.key))
