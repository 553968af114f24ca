"""The network, its file, its preprocessing and its inference.

May import neither `whisker.app` nor `whisker.training`, no web framework and no command line. The public names are
imported when first used, so that `whisker --help` does not wait for PyTorch. Importing any part of it forbids other
packages' telemetry, before they are imported.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from whisker.model.telemetry import forbid_telemetry

if TYPE_CHECKING:
    from whisker.model.answers.decision_rule import ClassScore, Prediction
    from whisker.model.checkpoint.contents import Checkpoint
    from whisker.model.checkpoint.file import load_checkpoint, save_checkpoint
    from whisker.model.classifier import Classifier, with_golden_answers
    from whisker.model.networks.build import build_network
    from whisker.model.networks.config import NetworkConfig
    from whisker.model.preprocessing import Picture, Preprocessing

MAX_PIXELS = 50_000_000  # of an accepted picture: a 50-megapixel photo decodes to 150 MB of RGB
BUNDLED_CHECKPOINT = Path(__file__).parent / "checkpoints" / "cats-dogs.safetensors"

__all__ = [
    "BUNDLED_CHECKPOINT",
    "MAX_PIXELS",
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

_MODULES = {
    "answers.decision_rule": ("ClassScore", "Prediction"),
    "checkpoint.contents": ("Checkpoint",),
    "checkpoint.file": ("load_checkpoint", "save_checkpoint"),
    "classifier": ("Classifier", "with_golden_answers"),
    "networks.build": ("build_network",),
    "networks.config": ("NetworkConfig",),
    "preprocessing": ("Picture", "Preprocessing"),
}


forbid_telemetry()


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"whisker.model.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
