import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from benchmarks.transfer.recipes import RECIPES, fastai, timm, torchvision, ultralytics
from benchmarks.transfer.recipes.base import BatchView, Optimisation, Plan, Recipe
from benchmarks.transfer.recipes.lighting import erase, turn_and_light
from benchmarks.transfer.recipes.views import centre_crop, rand_augment
from tests.pictures import draw
from whisker.model import NetworkConfig, build_network
from whisker.model.networks.base import Network

NAMES = [recipe.name for recipe in RECIPES]


def small_network() -> Network:
    torch.manual_seed(0)
    return build_network(NetworkConfig.published("lite0", 64), 2)


def rates(optimisation: Optimisation, step: int) -> list[float]:
    optimisation.set_rates(step)
    return [group["lr"] for group in optimisation.optimizer.param_groups]


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_view_is_a_square_of_the_size_asked_for(recipe: Recipe) -> None:
    view = recipe.view(draw("rings", 0, (90, 70)), 64, np.random.default_rng(0))
    assert (view.size, view.mode) == ((64, 64), "RGB")


@pytest.mark.parametrize("change", [erase, turn_and_light])
def test_changed_batches_stay_pictures(change: BatchView) -> None:
    batch = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    changed = change(batch.clone(), np.random.default_rng(0))
    assert changed.shape == batch.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not torch.equal(changed, batch)


def test_every_operation_of_rand_augment_keeps_the_size() -> None:
    image, rng = draw("stripes", 1, (40, 40)), np.random.default_rng(0)
    assert {rand_augment(image, rng).size for _ in range(60)} == {(40, 40)}


def test_centre_crop_keeps_the_share_of_the_shorter_side() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:35, 15:45] = 255
    assert np.asarray(centre_crop(Image.fromarray(pixels), 30, share=0.75)).min() == 255


def test_torchvision_rate_falls_to_a_tenth_at_the_seventh_of_25_epochs() -> None:
    optimisation = torchvision.ALL.start(small_network(), Plan(25, 25, 3), 2)
    assert rates(optimisation, 20) == [1e-3]
    assert rates(optimisation, 21) == pytest.approx([1e-4])


def test_fixed_features_train_the_last_layer_alone() -> None:
    optimisation = torchvision.FEATURES.start(small_network(), Plan(25, 25, 3), 2)
    trained = [name for name, value in optimisation.network.named_parameters() if value.requires_grad]
    assert trained == ["fc.weight", "fc.bias"]


def test_timm_rate_rises_for_5_of_30_epochs_and_falls_along_a_cosine() -> None:
    optimisation = timm.FINE_TUNE.start(small_network(), Plan(30, 30, 2), 2)
    assert rates(optimisation, 0) == [1e-5, 1e-5]
    assert rates(optimisation, 30)[0] == pytest.approx(0.5e-4)
    assert rates(optimisation, 59)[0] < 1e-6


def test_fastai_trains_head_and_batch_norms_first_then_everything() -> None:
    network = small_network()
    optimisation = fastai.FINE_TUNE.start(network, Plan(4, 4, 5, frozen_epochs=1), 2)
    optimisation.set_rates(4)
    assert not network.get_parameter("conv_stem.weight").requires_grad
    assert network.get_parameter("bn1.weight").requires_grad
    peak = rates(optimisation, 5 + 6)
    assert network.get_parameter("conv_stem.weight").requires_grad
    assert peak == pytest.approx([1e-5, 1e-5, 1e-3, 1e-3])


def test_ultralytics_warms_up_for_100_steps_and_steps_on_64_photos_then() -> None:
    optimisation = ultralytics.TRAIN.start(small_network(), Plan(100, 100, 5), 5)
    assert rates(optimisation, 0) == [0, 0]
    assert rates(optimisation, 100)[0] == pytest.approx(0.001111 * (0.8 * 0.99 + 0.01))
    before = optimisation.result().state_dict()["fc.weight"].clone()
    for parameter in optimisation.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    changes = 0
    for step in range(100, 108):
        weight = optimisation.network.get_parameter("fc.weight").clone()
        for parameter in optimisation.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimisation.update(step)
        changes += not torch.equal(weight, optimisation.network.get_parameter("fc.weight"))
    assert changes == 2
    assert not torch.equal(before, optimisation.result().state_dict()["fc.weight"])
    assert isinstance(optimisation.result(), nn.Module)
