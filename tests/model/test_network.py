import itertools
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import nn

from tests.model.networks import CONFIGS, trained_like
from whisker.model.errors import ConfigError
from whisker.model.networks.build import build_network, count_multiply_adds
from whisker.model.networks.config import Activation, Family, NetworkConfig

FAMILIES: tuple[Family, ...] = ("mlp", "cnn", "resnet")  # whose width and activation can be chosen
LITE = NetworkConfig("efficientnet-lite", "relu6", depth=1, size=64, variant="lite0")


@pytest.mark.parametrize(
    ("family", "activation", "channels"), list(itertools.product(FAMILIES, ("relu", "sigmoid"), (1, 3)))
)
def test_every_network_gives_logits_and_gradients(family: Family, activation: Activation, channels: Any) -> None:
    network = build_network(NetworkConfig(family, activation, 4, 1, channels, 32), 5)
    logits = network(torch.rand(3, 3, 32, 32))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(16, 16), (33, 47), (160, 128)])
def test_size_may_differ_from_the_configured_one(family: Family, shape: tuple[int, int]) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, size=32), 2).eval()
    assert network(torch.rand(1, 3, *shape)).shape == (1, 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_answer_does_not_depend_on_neighbours(family: Family) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, size=32), 2).eval()
    x = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(network(x)[:1], network(x[:1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_grey_network_sees_only_luma(family: Family) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, channels=1, size=32), 2).eval()
    colour = torch.rand(1, 3, 32, 32)
    luma = (colour * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(network(colour), network(luma.expand(1, 3, 32, 32)), atol=1e-5, rtol=0)


def test_colour_network_sees_colour() -> None:
    network = build_network(NetworkConfig(width=4, depth=1, size=32), 2).eval()
    x = torch.rand(1, 3, 32, 32)
    assert not torch.allclose(network(x), network(x.flip(1)), atol=1e-4)


def test_activation_is_the_one_asked_for() -> None:
    kinds: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}
    for (name, kind), family in itertools.product(kinds.items(), FAMILIES):
        modules = list(build_network(NetworkConfig(family, name, 4, 1), 2).modules())
        assert {type(module) for module in modules} & set(kinds.values()) == {kind}


def test_residual_network_has_the_common_names_and_shapes() -> None:
    state = build_network(NetworkConfig(width=64, depth=2), 1000).state_dict()
    assert state["conv1.0.weight"].shape == (32, 3, 3, 3)
    assert state["conv1.6.weight"].shape == (64, 32, 3, 3)
    assert state["layer1.0.conv1.weight"].shape == (64, 64, 3, 3)
    assert state["layer2.0.downsample.1.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.bn2.running_var"].shape == (512,)
    assert state["fc.weight"].shape == (1000, 512)
    assert "layer1.0.downsample.1.weight" not in state


RESNET_18 = NetworkConfig(width=64, depth=2, size=224, variant="original")
RESNET_34 = NetworkConfig(width=64, depth=(3, 4, 6, 3), size=224, variant="original")


@pytest.mark.parametrize(
    ("config", "blocks", "parameters"), [(RESNET_18, (2, 2, 2, 2), 11_689_512), (RESNET_34, (3, 4, 6, 3), 21_797_672)]
)
def test_original_variant_is_the_usual_resnet(config: NetworkConfig, blocks: tuple[int, ...], parameters: int) -> None:
    network = build_network(config, 1000)
    state = network.state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["bn1.running_mean"].shape == (64,)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer2.0.downsample.1.running_var"].shape == (128,)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["fc.weight"].shape == (1000, 512)
    assert not any(name.startswith("layer1.0.downsample") for name in state)
    for stage, count in enumerate(blocks, 1):
        assert {name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")} == set(
            map(str, range(count))
        )
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_original_residual_network_halves_the_resolution_five_times() -> None:
    network = build_network(NetworkConfig(width=4, depth=1, size=64, variant="original"), 2).eval()
    sizes = {}
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
        network.get_submodule(name).register_forward_hook(
            lambda *step, name=name: sizes.update({name: step[2].shape[-1]})
        )
    network(torch.rand(1, 3, 64, 64))
    assert sizes == {"conv1": 32, "layer1": 16, "layer2": 8, "layer3": 4, "layer4": 2}


@pytest.mark.parametrize(
    ("config", "giga"),
    [
        (RESNET_18, 1.814),
        (RESNET_34, 3.664),
    ],
)
def test_multiply_adds_are_those_known_of_resnets(config: NetworkConfig, giga: float) -> None:
    assert count_multiply_adds(config, 1000) / 1e9 == pytest.approx(giga, abs=0.001)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_every_small_network_gives_features_and_gradients(config: NetworkConfig) -> None:
    network = trained_like(config)
    x = torch.rand(2, 3, config.size, config.size)
    features, feature_map = network.embed_and_map(x)
    assert features.shape == (2, network.fc.in_features)
    assert (feature_map is not None) is config.has_feature_map
    network(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_parts_make_up_the_network() -> None:
    for config in CONFIGS:
        network = trained_like(config).eval()
        x = torch.rand(2, 3, config.size, config.size)
        features, feature_map = network.embed_and_map(x)
        if feature_map is not None:
            for part in network.parts():
                x = part(x)
            torch.testing.assert_close(x, feature_map)
            torch.testing.assert_close(x.mean((2, 3)), features)


def test_multiply_adds_of_a_perceptron_are_its_weights() -> None:
    assert count_multiply_adds(NetworkConfig("mlp", width=10, depth=2, size=32), 5) == 3 * 32 * 32 * 10 + 10 * 10 + 50


@pytest.mark.parametrize("family", FAMILIES)
def test_last_layer_weighs_up_the_features(family: Family) -> None:
    network = build_network(NetworkConfig(family, width=4, depth=1, size=32), 3).eval()
    x = torch.rand(2, 3, 32, 32)
    features = network.embed(x)
    assert features.shape == (2, network.fc.in_features)
    torch.testing.assert_close(network(x), network.fc(features))


def test_stages_may_differ_in_depth() -> None:
    state = build_network(NetworkConfig(width=4, depth=(1, 3, 2, 1)), 2).state_dict()
    assert "layer2.2.conv1.weight" in state
    assert not {"layer1.1.conv1.weight", "layer2.3.conv1.weight", "layer3.2.conv1.weight"} & state.keys()


def test_residual_block_starts_as_the_identity() -> None:
    network = build_network(NetworkConfig(width=4, depth=2, size=32), 2).eval()
    x = torch.rand(1, 4, 8, 8)  # positive, so that the block's last ReLU changes nothing
    torch.testing.assert_close(network.get_submodule("layer1.1")(x), x)


def test_equal_configurations_build_equal_shapes() -> None:
    config = NetworkConfig("cnn", width=6, depth=2)
    first, second = (build_network(NetworkConfig(**asdict(config)), 3).state_dict() for _ in range(2))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "transformer"),
        ("activation", "gelu"),
        ("width", 0),
        ("width", 5),
        ("width", 4096),
        ("width", "32"),
        ("depth", 0),
        ("depth", True),
        ("depth", (2, 2, 2)),
        ("depth", (2, 2, 2, 0)),
        ("variant", "e"),
        ("channels", 2),
        ("size", 8),
        ("size", 1024),
    ],
)
def test_value_out_of_range_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{field} is .*{re.escape(str(value))}"):
        NetworkConfig(**{field: value})


def test_plain_convolutions_have_stages_of_equal_depth() -> None:
    with pytest.raises(ConfigError, match="depth is 1 to 64, not"):
        NetworkConfig("cnn", depth=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"size": 100}, "size is a multiple of 32 pixels, not 100"),
        ({"width": 64}, "width is 32, not 64"),
        ({"activation": "relu"}, "activation is one of relu6, not 'relu'"),
        ({"variant": "d"}, "variant is one of lite0, lite1, lite2, not 'd'"),
        ({"depth": (1, 2)}, "or 7 such numbers"),
        ({"epsilon": 0.001}, "epsilon is one of None, not 0.001"),
    ],
)
def test_published_family_has_its_own_rules(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigError, match=rule):
        replace(LITE, **values)
