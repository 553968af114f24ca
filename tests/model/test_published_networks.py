"""Networks of published shapes: as large, as costly and as strange as their originals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.model.networks import trained_like
from whisker.model import Checkpoint, Classifier, Preprocessing, save_checkpoint, with_golden_answers
from whisker.model.answers.kinds import BEST_CLASS
from whisker.model.errors import NoHeatMapError
from whisker.model.networks.build import build_network, count_multiply_adds
from whisker.model.networks.config import NetworkConfig
from whisker.model.networks.convnext import ChannelNorm

RESNET_50 = NetworkConfig(width=64, depth=(3, 4, 6, 3), size=224, variant="bottleneck")
RESNET_101 = NetworkConfig(width=64, depth=(3, 4, 23, 3), size=224, variant="bottleneck")
RESNET_50_D = replace(RESNET_50, variant="bottleneck-d")


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        (RESNET_50, 25_557_032),
        (RESNET_101, 44_549_160),
        (RESNET_50_D, 25_576_264),
        (NetworkConfig.published("lite0", 224), 4_652_008),
        (NetworkConfig.published("lite1", 224), 5_416_680),
        (NetworkConfig.published("lite2", 224), 6_092_072),
        (NetworkConfig.published("large", 224), 5_483_032),
        (NetworkConfig.published("small", 224), 2_542_856),
        (NetworkConfig.published("atto", 224), 3_695_520),
        (NetworkConfig.published("femto", 224), 5_217_784),
        (NetworkConfig.published("pico", 224), 9_045_672),
        (NetworkConfig.published("nano", 224), 15_593_560),
        (NetworkConfig.published("tiny", 224), 28_589_128),
    ],
    ids=str,
)
def test_published_network_has_the_published_size(config: NetworkConfig, parameters: int) -> None:
    with torch.device("meta"):
        network = build_network(config, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("config", "giga"),
    [
        (RESNET_50, 4.089),
        (RESNET_101, 7.801),
        (NetworkConfig.published("large", 224), 0.217),
        (NetworkConfig.published("small", 224), 0.057),
        (NetworkConfig.published("tiny", 224), 4.456),
    ],
    ids=str,
)
def test_multiply_adds_are_those_that_torchvision_publishes(config: NetworkConfig, giga: float) -> None:
    assert count_multiply_adds(config, 1000) / 1e9 == pytest.approx(giga, abs=0.001)


def test_bottleneck_has_its_stride_in_the_middle_convolution() -> None:
    network = build_network(NetworkConfig(width=4, depth=1, size=64, variant="bottleneck"), 2).eval()
    sizes = {}
    for name in ("layer2.0.conv1", "layer2.0.conv2", "layer2.0.conv3", "layer2.0.downsample.0"):
        network.get_submodule(name).register_forward_hook(
            lambda *step, name=name: sizes.update({name.removeprefix("layer2.0."): step[2].shape[-1]})
        )
    network(torch.rand(1, 3, 64, 64))
    assert sizes == {"conv1": 16, "conv2": 8, "conv3": 8, "downsample.0": 8}


def test_bottleneck_block_starts_as_the_identity() -> None:
    network = build_network(NetworkConfig(width=4, depth=2, size=32, variant="bottleneck"), 2).eval()
    x = torch.rand(1, 16, 8, 8)
    torch.testing.assert_close(network.get_submodule("layer1.1")(x), x)


def test_epsilon_of_batch_norm_is_the_one_configured() -> None:
    config = NetworkConfig.published("small", 224)
    for chosen, used in ((None, 1e-5), (1e-3, 1e-3)):
        with torch.device("meta"):
            modules = list(build_network(replace(config, epsilon=chosen), 2).modules())
        assert {module.eps for module in modules if isinstance(module, nn.BatchNorm2d)} == {used}


def test_efficientnet_lite_pads_as_tensorflow_does() -> None:
    torch.manual_seed(0)
    network = build_network(NetworkConfig("efficientnet-lite", "relu6", depth=1, size=64, variant="lite0"), 2).eval()
    x = torch.rand(1, 3, 64, 64)
    stem = network.get_submodule("conv_stem")
    assert isinstance(stem, nn.Conv2d)
    # SAME padding of an even size and stride 2: the first output looks at pixels 0 to 2, none before them.
    first = nn.functional.conv2d(x[:, :, :3, :3], stem.weight)
    pad = network.get_submodule("pad")
    torch.testing.assert_close(stem(pad(x))[:, :, :1, :1], first)
    assert stem(pad(x)).shape[2:] == (32, 32)


def test_layer_norm_makes_the_channels_of_each_place_alike() -> None:
    x = torch.rand(2, 8, 3, 5) * 7 + 1
    y = ChannelNorm(8)(x)
    assert y.shape == x.shape
    torch.testing.assert_close(y.mean(1), torch.zeros(2, 3, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(1, correction=0), torch.ones(2, 3, 5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig("mobilenetv3", "hardswish", 16, (1, 1, 2, 1, 1), size=32, variant="small", epsilon=1e-3),
        NetworkConfig("convnext", "gelu", 40, (1, 1, 1, 2), size=32, variant="atto"),
    ],
    ids=["mobilenetv3", "convnext"],
)
def test_checkpoint_of_a_network_without_maps_is_saved_and_served(config: NetworkConfig, tmp_path: Path) -> None:
    network = trained_like(config, classes=2)
    bare = Checkpoint("new", config, Preprocessing(32), ("cat", "dog"), network.state_dict(), temperature=50.0)
    save_checkpoint(with_golden_answers(bare), tmp_path / "new.safetensors")
    classifier = Classifier.load(tmp_path / "new.safetensors", engine="torch-folded")
    assert classifier.checkpoint.network == config
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert classifier.predict_pixels([picture])[0].label in ("cat", "dog")
    with pytest.raises(NoHeatMapError):
        classifier.predict_pixels([picture], [BEST_CLASS])
