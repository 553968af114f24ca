"""Weights under others' names: which network they are of, and that it computes what theirs does."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from tests.training.pretrained.reference import computations, others
from tests.training.pretrained.reference.others import LARGE, LARGE_SHAPE, SHALLOW, SMALL, SMALL_SHAPE, State
from whisker.model import build_network
from whisker.model.errors import ConfigError
from whisker.model.networks.config import PUBLISHED, NetworkConfig, Variant
from whisker.training.pretrained.installed import INSTALLED, find_installed, read_installed
from whisker.training.pretrained.recognition import HALF, IMAGENET, fit_size, recognise

PAIRS: dict[str, tuple[Callable[[], State], Callable[[State, Tensor], Tensor]]] = {  # weights, and what they compute
    "resnet": (lambda: others.resnet(SHALLOW, 8), computations.resnet),
    "mobilenet small, timm": (
        lambda: others.mobilenet_timm(*SMALL_SHAPE),
        partial(computations.mobilenet_timm, stages=SMALL, first_swish=2),
    ),
    "mobilenet small, torchvision": (
        lambda: others.mobilenet_torchvision(*SMALL_SHAPE),
        partial(computations.mobilenet_torchvision, stages=SMALL, first_swish=2),
    ),
    "mobilenet large, timm": (
        lambda: others.mobilenet_timm(*LARGE_SHAPE),
        partial(computations.mobilenet_timm, stages=LARGE, first_swish=3),
    ),
    "convnext, timm": (lambda: others.convnext_timm(40, SHALLOW), computations.convnext_timm),
    "convnext of matrices, timm": (
        lambda: others.convnext_timm(40, SHALLOW, matrices=True),
        computations.convnext_timm,
    ),
    "convnext, torchvision": (lambda: others.convnext_torchvision(40, SHALLOW), computations.convnext_torchvision),
}


@pytest.mark.parametrize("name", PAIRS)
def test_network_computes_what_theirs_does(name: str) -> None:
    make, compute = PAIRS[name]
    state = make()
    recognised = recognise(state)
    network = build_network(recognised.network, others.CLASSES).eval()
    missing, unexpected = network.load_state_dict(recognised.weights, strict=False)
    assert not unexpected
    assert {key.partition(".")[0] for key in missing} == {"normalization"}
    network.normalization.mean.zero_()
    network.normalization.std.fill_(1)
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, logits = compute(state, x), network(x)
    assert float(expected.std()) > 0.01
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-3)


def bottleneck(depth: tuple[int, ...], variant: Variant = "bottleneck") -> NetworkConfig:
    return NetworkConfig(width=64, depth=depth, size=224, variant=variant)


def lite(variant: Variant) -> dict[str, Tensor]:
    """Make an EfficientNet-Lite of timm, whose names are ours but for the last layer."""
    with torch.device("meta"):
        state = build_network(NetworkConfig.published(variant, 224), others.CLASSES).state_dict()
    own = {name: tensor for name, tensor in state.items() if not name.startswith("normalization.")}
    return {name.replace("fc.", "classifier."): tensor for name, tensor in own.items()}


def convnext(variant: Variant) -> State:
    return others.convnext_timm(PUBLISHED[variant].width, PUBLISHED[variant].depth, device="meta")


PUBLISHED_STATES: Sequence[tuple[str, Callable[[], Mapping[str, Tensor]], NetworkConfig]] = (
    ("ResNet-50", partial(others.resnet, (3, 4, 6, 3), device="meta"), bottleneck((3, 4, 6, 3))),
    ("ResNet-101", partial(others.resnet, (3, 4, 23, 3), device="meta"), bottleneck((3, 4, 23, 3))),
    ("ResNet-152", partial(others.resnet, (3, 8, 36, 3), device="meta"), bottleneck((3, 8, 36, 3))),
    (
        "ResNet-50-D",
        partial(others.resnet, (3, 4, 6, 3), deep=True, device="meta"),
        bottleneck((3, 4, 6, 3), "bottleneck-d"),
    ),
    (
        "MobileNetV3 Large of timm",
        partial(others.mobilenet_timm, *LARGE_SHAPE, "meta"),
        NetworkConfig.published("large", 224),
    ),
    (
        "MobileNetV3 Large of torchvision",
        partial(others.mobilenet_torchvision, *LARGE_SHAPE, "meta"),
        replace(NetworkConfig.published("large", 224), epsilon=1e-3),
    ),
    (
        "MobileNetV3 Small of torchvision",
        partial(others.mobilenet_torchvision, *SMALL_SHAPE, "meta"),
        replace(NetworkConfig.published("small", 224), epsilon=1e-3),
    ),
    ("EfficientNet-Lite0", partial(lite, "lite0"), NetworkConfig.published("lite0", 224)),
    ("EfficientNet-Lite1", partial(lite, "lite1"), NetworkConfig.published("lite1", 256)),
    ("EfficientNet-Lite2", partial(lite, "lite2"), NetworkConfig.published("lite2", 256)),
    ("ConvNeXt Atto", partial(convnext, "atto"), NetworkConfig.published("atto", 224)),
    ("ConvNeXt Femto", partial(convnext, "femto"), NetworkConfig.published("femto", 224)),
    ("ConvNeXt Pico", partial(convnext, "pico"), NetworkConfig.published("pico", 224)),
    ("ConvNeXt Nano", partial(convnext, "nano"), NetworkConfig.published("nano", 224)),
    (
        "ConvNeXt Tiny",
        partial(others.convnext_timm, 96, (3, 3, 9, 3), matrices=True, device="meta"),
        NetworkConfig.published("tiny", 224),
    ),
    (
        "ConvNeXt Tiny",
        partial(others.convnext_torchvision, 96, (3, 3, 9, 3), "meta"),
        NetworkConfig.published("tiny", 224),
    ),
)


@pytest.mark.parametrize(("name", "make", "network"), PUBLISHED_STATES, ids=[name for name, *_ in PUBLISHED_STATES])
def test_published_network_is_recognised(
    name: str, make: Callable[[], Mapping[str, Tensor]], network: NetworkConfig
) -> None:
    recognised = recognise(make())
    assert (recognised.name, recognised.network) == (name, network)
    assert recognised.normalization == (HALF if "Lite" in name else IMAGENET)
    with torch.device("meta"):
        expected = build_network(network, others.CLASSES).state_dict()
    shapes = {key: tensor.shape for key, tensor in expected.items() if not key.startswith("normalization.")}
    assert {key: tensor.shape for key, tensor in recognised.weights.items()} == shapes


def test_tensor_without_dimensions_fits_nowhere() -> None:
    flat = lite("lite0") | {"blocks.2.0.conv_pwl.weight": torch.zeros(())}
    with pytest.raises(
        ConfigError, match=r"like EfficientNet-Lite0, but blocks.2.0.conv_pwl.weight is \(\), not \(40,"
    ):
        recognise(flat)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_refused(value: float) -> None:
    broken = others.resnet((1, 1, 1, 1), 8) | {"conv1.weight": torch.full((8, 3, 7, 7), value)}
    with pytest.raises(ConfigError, match=r"conv1\.weight has values that are not finite"):
        recognise(broken)


@pytest.mark.parametrize("variant", INSTALLED)
def test_original_efficientnet_lite_is_recognised_with_its_normalization(variant: Variant) -> None:
    file = find_installed(variant)
    assert file is not None
    recognised = recognise(torch.load(file, weights_only=True))
    installed = read_installed(variant)
    assert recognised.name == f"EfficientNet-{variant.capitalize()}"
    assert (recognised.network, recognised.normalization) == (installed.network, installed.normalization)
    assert recognised.weights.keys() == installed.weights.keys()


def test_weights_of_a_wrapped_network_are_recognised() -> None:
    state = {f"module._orig_mod.{name}": tensor for name, tensor in others.resnet(SHALLOW, 8).items()}
    recognised = recognise(state)
    assert recognised.name == f"a ResNet of bottleneck blocks, width 8 and depth {SHALLOW}"
    assert recognised.weights.keys() == others.resnet(SHALLOW, 8).keys()


@pytest.mark.parametrize("head", ["fc", "classifier", "head.fc"])
def test_last_layer_may_be_absent_or_another(head: str) -> None:
    states = {"fc": others.resnet(SHALLOW, 8), "classifier": others.mobilenet_timm(*SMALL_SHAPE, "meta")}
    state = states.get(head, others.convnext_timm(40, SHALLOW, device="meta"))
    features = {name: tensor for name, tensor in state.items() if not name.startswith(f"{head}.")}
    assert recognise(features).network == recognise(state).network
    assert recognise(features | {f"{head}.weight": torch.zeros(3, 7)}).network == recognise(state).network


@pytest.mark.parametrize(("size", "fitting"), [(224, 224), (240, 256), (260, 256), (288, 288), (16, 32), (600, 512)])
def test_size_is_the_closest_that_fits(size: int, fitting: int) -> None:
    assert fit_size(NetworkConfig.published("lite1", 256), size) == fitting
