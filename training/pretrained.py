"""Start from weights that exist: an earlier checkpoint, or any safetensors file with the common ResNet names."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from training.errors import TrainingError
from training.progress import Progress


def file_digest(path: Path | None) -> str:
    """Hash a file's content with SHA-256; no file, or none that can be read, has none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None and path.is_file() else ""


def read_pretrained(path: Path) -> Mapping[str, Tensor]:
    """Read a safetensors file; raise `TrainingError` if it is none."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as exc:
        raise TrainingError(f"{path} is not a readable safetensors file: --pretrained needs one.") from exc


def apply_pretrained(network: nn.Module, weights: Mapping[str, Tensor], progress: Progress) -> None:
    """Copy the tensors whose name, shape and dtype fit; raise `TrainingError` if none does.

    What does not fit keeps its initial value: the last layer, for one, where the number of classes differs.
    """
    state = network.state_dict()
    fitting = {
        name: weights[name]
        for name, tensor in state.items()
        if name in weights and weights[name].shape == tensor.shape and weights[name].dtype == tensor.dtype
    }
    if not fitting:
        raise TrainingError(
            "No tensor of the --pretrained file fits this network: give the family, width and depth it was made with."
        )
    network.load_state_dict(state | fitting)
    missing = sorted(state.keys() - fitting.keys())
    progress.say(
        f"Pretrained: {len(fitting)} of {len(state)} tensors taken over"
        + (f"; newly initialised: {', '.join(missing[:4])}{' ...' if len(missing) > 4 else ''}." if missing else ".")
    )
