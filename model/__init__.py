"""The network, its file, its preprocessing and its inference; knows nothing of HTTP or training.

The public names are imported when first used, so that `whisker --help` does not wait for PyTorch.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.answers import ClassScore, Prediction
    from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from model.classifier import Classifier, with_golden_answers
    from model.network import NetworkConfig, build_network
    from model.preprocessing import Picture, Preprocessing

BUNDLED_CHECKPOINT = Path(__file__).parent / "checkpoints" / "cats-dogs.safetensors"

__all__ = [
    "BUNDLED_CHECKPOINT",
    "Checkpoint",
    "ClassScore",
    "Classifier",
    "NetworkConfig",
    "Picture",
    "Prediction",
    "Preprocessing",
    "build_network",
    "load_checkpoint",
    "save_checkpoint",
    "with_golden_answers",
]

_HOMES = {
    "answers": ("ClassScore", "Prediction"),
    "checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "classifier": ("Classifier", "with_golden_answers"),
    "network": ("NetworkConfig", "build_network"),
    "preprocessing": ("Picture", "Preprocessing"),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"model.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
