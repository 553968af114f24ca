import numpy as np
import pytest
import torch
from torch import nn

from tests.model.networks import CONFIGS, trained_like
from whisker.model.engines.quantization import MAX_NARROW_WEIGHT, Quantized, SimulatedInt8Engine, measure_ranges
from whisker.model.engines.torch_engine import TorchEngine
from whisker.model.errors import EngineError
from whisker.model.networks.config import NetworkConfig


def test_values_on_the_grid_are_kept_and_others_are_rounded_to_it() -> None:
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.data = torch.tensor([[127.0, -127.0, 0.4]])
    quantized = Quantized(layer, (0.0, 255.0))
    assert quantized(torch.tensor([[3.0, 1.0, 200.0]])).item() == pytest.approx(127 * 2)  # 0.4 is rounded to 0
    assert quantized(torch.tensor([[3.4, 0.6, 0.0]])).item() == pytest.approx(127 * 2)
    assert quantized(torch.tensor([[300.0, 0.0, 0.0]])).item() == pytest.approx(127 * 255)  # beyond the range


@pytest.mark.parametrize("bounds", [(-1.3, 2.9), (0.5, 3.0), (-4.0, -1.0), (0.0, 0.0)])
def test_zero_is_exact_whatever_the_range(bounds: tuple[float, float]) -> None:
    quantized = Quantized(nn.Conv2d(1, 1, 1, bias=False), bounds)
    assert quantized(torch.zeros(1, 1, 2, 2)).eq(0).all()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_ranges_name_every_layer_but_the_last(config: NetworkConfig) -> None:
    network = trained_like(config)
    ranges = measure_ranges(network, [torch.rand(2, 3, 32, 32), torch.ones(1, 3, 32, 32)])
    layers = [name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert sorted(ranges) == sorted(f"network.{name}" for name in layers if name != "fc")
    assert all(low <= high for low, high in ranges.values())


def test_layer_without_a_range_is_refused() -> None:
    with pytest.raises(EngineError, match="no range"):
        SimulatedInt8Engine(trained_like(CONFIGS[0]), "cpu", {})


def test_int8_stays_near_float32() -> None:
    network = trained_like(NetworkConfig(width=8, depth=1, size=32))
    pixels = list(np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    x = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
    exact = TorchEngine(network, "cpu").run(pixels).features
    rounded = SimulatedInt8Engine(network, "cpu", measure_ranges(network, [x])).run(pixels).features
    assert 0 < float(np.abs(rounded - exact).max() / exact.max()) < 0.1


def test_products_of_narrow_weights_fit_into_sums_of_16_bits() -> None:
    layer = nn.Linear(64, 32)
    narrow = Quantized(layer, (0.0, 255.0), MAX_NARROW_WEIGHT)
    steps = (layer.weight / narrow.weight_scale.view(-1, 1)).round().abs().max()
    assert steps == MAX_NARROW_WEIGHT
    assert 2 * 255 * steps < 2**15
