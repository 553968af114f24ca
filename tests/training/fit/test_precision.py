import io

import pytest
import torch
from rich.console import Console

from whisker.model.networks.build import build_network
from whisker.model.networks.config import NetworkConfig
from whisker.training.fit.precision import probe_bf16
from whisker.training.progress import Progress


def probe(network: torch.nn.Module, min_speed_up: float = 0.0) -> tuple[bool, str]:
    buffer = io.StringIO()
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    progress = Progress(Console(file=buffer, soft_wrap=True))
    chosen = probe_bf16(network, x, torch.arange(8) % 2, progress, min_speed_up=min_speed_up)
    return chosen, buffer.getvalue()


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkConfig("mlp", width=16, depth=1, size=32), 2)


def test_faster_and_right_bfloat16_is_chosen(network: torch.nn.Module) -> None:
    chosen, text = probe(network)
    assert chosen
    assert text.startswith("Precision: bfloat16 (bfloat16 is ")


def test_slow_bfloat16_is_not_chosen(network: torch.nn.Module) -> None:
    chosen, text = probe(network, min_speed_up=1e9)
    assert not chosen
    assert text.startswith("Precision: float32")


def test_wrong_bfloat16_is_not_chosen(network: torch.nn.Module) -> None:
    passes: list[bool] = []

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        """Spoil the last pass, which is in bfloat16, as PyTorch's emulation has done now and then."""
        passes.append(True)
        return gradient * float("nan") if len(passes) == 8 else gradient

    network.get_parameter("fc.weight").register_hook(poison)  # type: ignore[no-untyped-call]
    chosen, text = probe(network)
    assert not chosen
    assert "agree to nan" in text
    assert len(passes) == 8


def test_probe_leaves_the_network_as_it_was() -> None:
    network = build_network(NetworkConfig(width=4, depth=1, size=32), 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    probe(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
