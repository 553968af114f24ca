"""The network, its file, its preprocessing and its inference; knows nothing of HTTP or training."""

from pathlib import Path

from model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from model.classifier import Classifier, ClassScore, Prediction, with_golden_answers
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
