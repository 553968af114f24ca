"""Small real things for the tests of transfers: a pretrained network for small pictures, and photos in memory."""

from functools import cache

import numpy as np

from tests.pictures import CLASSES, draw
from whisker.model import build_network
from whisker.model.networks.base import Network
from whisker.model.networks.config import NetworkConfig
from whisker.training.config import FineTuning
from whisker.training.data.dataset import Split
from whisker.training.pretrained.installed import INSTALLED, read_installed
from whisker.training.pretrained.weights import Pretrained, apply_pretrained
from whisker.training.progress import silent
from whisker.training.transfer.probe import ProbeData

SIZE = 64  # pixels
LITE = NetworkConfig.published("lite0", SIZE)
LITE_SHA256 = INSTALLED["lite0"].sha256
BRIEF = FineTuning(epochs=3, batch_size=8, views=3, shares=(0.5, 1.0))


@cache
def _weights() -> Pretrained:
    return read_installed("lite0")


def lite_network() -> Network:
    """Build EfficientNet-Lite0 with its ImageNet weights, and a last layer for two classes."""
    network = build_network(LITE, len(CLASSES))
    apply_pretrained(network, _weights(), CLASSES, silent())
    return network.eval()


def shapes(photos: int, size: int = SIZE, first: int = 0) -> Split:
    """Draw so many photos of each class; each is a group of its own."""
    pictures = [draw(label, first + seed, (size, size)) for label in CLASSES for seed in range(photos)]
    return Split(
        np.stack([np.asarray(picture) for picture in pictures]),
        np.arange(len(pictures)),
        np.repeat(np.arange(len(CLASSES)), photos),
        groups=np.arange(len(pictures)),
    )


def clusters(photos: int, *, classes: int = 3, width: int = 8, spread: float = 1.0, seed: int = 0) -> ProbeData:
    """Draw features of so many photos of each class, around the class's centre, in two slightly different views."""
    rng = np.random.default_rng(seed)
    centres = 2 * np.random.default_rng(99).normal(size=(classes, width))
    labels = np.repeat(np.arange(classes), photos)
    features = centres[labels] + spread * rng.normal(size=(len(labels), width))
    views = np.stack([features, features + 0.05 * rng.normal(size=features.shape)])
    return ProbeData(views.astype(np.float32), labels, classes)
