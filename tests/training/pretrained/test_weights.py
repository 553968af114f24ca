"""Pretrained weights: files with the common ResNet names, and Whisker checkpoints."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from tests.conftest import TINY
from tests.pictures import CLASSES
from whisker.model import Checkpoint, Classifier, NetworkConfig, build_network, load_checkpoint, save_checkpoint
from whisker.model.errors import CheckpointError
from whisker.model.networks.base import Network
from whisker.training.config import TrainingConfig, recipe_for
from whisker.training.errors import TrainingError
from whisker.training.job import Training
from whisker.training.pipeline import run_training
from whisker.training.pretrained.weights import Pretrained, apply_pretrained, file_digest, read_pretrained
from whisker.training.progress import Progress

RESNET_18 = NetworkConfig(width=8, depth=(2, 2, 2, 2), variant="original")
RESNET_34 = NetworkConfig(width=8, depth=(3, 4, 6, 3), variant="original")


def common_weights(config: NetworkConfig = RESNET_18, classes: int = 1000) -> dict[str, Tensor]:
    """Make random weights under the common names, as others publish them, without our normalisation."""
    generator = torch.Generator().manual_seed(4)
    state = build_network(config, classes).state_dict()
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if not name.startswith("normalization.")
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_file(common_weights(), tmp_path / "resnet18.safetensors")
    return tmp_path / "resnet18.safetensors"


def apply(network: Network, pretrained: Pretrained, classes: tuple[str, ...] = CLASSES) -> str:
    """Apply the weights; return the output."""
    text = io.StringIO()
    apply_pretrained(network, pretrained, classes, Progress(Console(file=text, width=1000)))
    return text.getvalue()


@pytest.mark.parametrize(
    "config",
    [RESNET_18, RESNET_34, replace(RESNET_18, variant="d"), replace(RESNET_18, channels=1)],
    ids=["18", "34", "18-d", "grey"],
)
def test_network_is_inferred_from_the_names(config: NetworkConfig, tmp_path: Path) -> None:
    save_file(common_weights(config), tmp_path / "weights")
    pretrained = read_pretrained(tmp_path / "weights")
    assert pretrained.network == config
    assert (pretrained.classes, pretrained.own) == ((), False)


def test_all_but_the_last_layer_is_taken_over(file: Path) -> None:
    pretrained = read_pretrained(file)
    network = build_network(pretrained.network, 2)
    last = network.fc.weight.clone()
    said = apply(network, pretrained)
    for name, tensor in common_weights().items():
        if not name.startswith("fc."):
            assert torch.equal(network.state_dict()[name], tensor), name
    assert torch.equal(network.fc.weight, last)
    assert "taken over. The last layer starts anew, as it is for other classes. Normalization: of ImageNet." in said
    tensors = len(network.state_dict())
    assert f"Pretrained: {tensors - 4} of {tensors} tensors are taken over" in said


def test_weights_from_elsewhere_bring_the_normalisation_of_imagenet(file: Path) -> None:
    network = build_network(RESNET_18, 2)
    apply(network, read_pretrained(file))
    assert network.normalization.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert network.normalization.std.tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_weights_from_tensorflow_bring_the_normalisation_of_their_training(file: Path) -> None:
    network = build_network(RESNET_18, 2)
    said = apply(network, replace(read_pretrained(file), normalization=((0.5,) * 3, (0.5,) * 3)))
    assert network.normalization.mean.tolist() == network.normalization.std.tolist() == [0.5, 0.5, 0.5]
    assert "Normalization: of the original training" in said


def test_grey_weights_keep_the_normalisation_of_the_photos(tmp_path: Path) -> None:
    grey = replace(RESNET_18, channels=1)
    save_file(common_weights(grey), tmp_path / "weights")
    network = build_network(grey, 2)
    apply(network, read_pretrained(tmp_path / "weights"))
    assert network.normalization.mean.tolist() == [0.5]


def test_last_layer_from_elsewhere_is_never_taken_over_though_it_fits(tmp_path: Path) -> None:
    weights = common_weights(classes=2)
    save_file(weights, tmp_path / "weights")
    network = build_network(RESNET_18, 2)
    apply(network, read_pretrained(tmp_path / "weights"))
    assert not torch.equal(network.fc.weight, weights["fc.weight"])


@pytest.mark.parametrize(
    ("classes", "taken"), [(CLASSES, True), (("rings", "waves"), False), (("rings", "stripes", "waves"), False)]
)
def test_last_layer_of_a_checkpoint_is_taken_over_for_the_same_classes(
    untrained: Checkpoint,
    tmp_path: Path,
    classes: tuple[str, ...],
    taken: bool,  # noqa: FBT001
) -> None:
    state = dict(untrained.state)
    state["normalization.mean"] = torch.tensor([0.1, 0.2, 0.3])
    state["fc.weight"] = torch.rand_like(state["fc.weight"])
    save_checkpoint(replace(untrained, state=state), tmp_path / "own.safetensors")
    pretrained = read_pretrained(tmp_path / "own.safetensors")
    assert (pretrained.network, pretrained.classes, pretrained.own) == (untrained.network, CLASSES, True)
    network = build_network(pretrained.network, len(classes))
    said = apply(network, pretrained, classes)
    assert (network.fc.weight.shape[0] == 2 and torch.equal(network.fc.weight, state["fc.weight"])) is taken
    assert ("The last layer starts anew" not in said) is taken
    assert torch.equal(network.normalization.mean, state["normalization.mean"])
    assert "Normalization: as in that checkpoint" in said


def test_half_precision_weights_are_accepted(tmp_path: Path) -> None:
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in common_weights().items()
    }
    save_file(halves, tmp_path / "weights")
    network = build_network(RESNET_18, 2)
    apply(network, read_pretrained(tmp_path / "weights"))
    assert network.get_parameter("conv1.weight").dtype == torch.float32
    torch.testing.assert_close(network.get_parameter("conv1.weight").detach(), halves["conv1.weight"].float())
    assert network.get_buffer("bn1.num_batches_tracked").dtype == torch.int64


def without(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            common_weights() | {"layer1.0.conv3.weight": torch.zeros(32, 8, 1, 1)},
            r"like a ResNet of bottleneck .* but layer1.0.conv1.weight is \(8, 8, 3, 3\), not \(8, 8, 1, 1\)",
        ),
        ({"unknown": torch.zeros(2)}, "are of no network that Whisker knows"),
        (without(common_weights(), "layer3."), r"depth is 1 to 64, or 4 such numbers.*, not \(2, 2, 0, 2\)"),
        (without(common_weights(), "conv1."), "has no convolution conv1.weight"),
        (common_weights() | {"conv1.weight": torch.zeros(8)}, "has no convolution conv1.weight"),
        (common_weights() | {"conv1.weight": torch.zeros(8, 4, 7, 7)}, "takes 4 channels, but a photo has 3"),
        (common_weights() | {"layer1.0.conv1.weight": torch.zeros(7, 8, 3, 3)}, "width is an even 2 to 2048, not 7"),
    ],
    ids=["half bottleneck", "unknown", "no layer3", "no stem", "flat stem", "four channels", "odd width"],
)
def test_network_that_cannot_be_built_is_one_sentence(weights: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "weights")
    with pytest.raises(TrainingError, match=message) as caught:
        read_pretrained(tmp_path / "weights")
    assert str(caught.value).startswith(f"{tmp_path / 'weights'} cannot be used as pretrained weights: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "is not a readable safetensors file: --pretrained needs one"),
        (b"\x80\x02\x00\x00\x00\x00\x00\x00{", "is not a readable safetensors file: --pretrained needs one"),
        (
            b"PK\x03\x04 a state dict",
            "a file of PyTorch: convert it with `whisker import .*weights.pth'? --out weights.safe",
        ),
        (b"\x80\x02\x8a\x0al\xfc an old one", "a file of PyTorch: convert it with `whisker import "),
        (None, "weights.pth does not exist: check the path of --pretrained"),
    ],
    ids=["text", "safetensors of 640 bytes", "zip", "pickle", "missing"],
)
def test_other_files_are_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(TrainingError, match=message):
        read_pretrained(tmp_path / "weights.pth")


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is a folder, not a file of weights"):
        read_pretrained(tmp_path)


def test_source_says_what_and_from_where(file: Path, untrained: Checkpoint, tmp_path: Path) -> None:
    pretrained = read_pretrained(file)
    depth = (2, 2, 2, 2)
    assert pretrained.source == f"a ResNet of basic blocks, width 8 and depth {depth}, resnet18.safetensors"
    save_checkpoint(untrained, tmp_path / "own.safetensors")
    own = read_pretrained(tmp_path / "own.safetensors")
    assert own.source == "Whisker checkpoint untrained"
    assert (pretrained.sha256, own.sha256) == (file_digest(file), file_digest(tmp_path / "own.safetensors"))


def test_damaged_checkpoint_is_refused_as_a_checkpoint(untrained: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(untrained, tmp_path / "own.safetensors")
    damaged = bytearray((tmp_path / "own.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "own.safetensors").write_bytes(damaged)
    with pytest.raises(CheckpointError, match="changed or damaged"):
        read_pretrained(tmp_path / "own.safetensors")


def test_weights_of_another_network_are_refused(file: Path) -> None:
    network = build_network(NetworkConfig("mlp", width=8, depth=1, size=32), 2)
    with pytest.raises(TrainingError, match="No weights of the --pretrained file fit this network"):
        apply(network, read_pretrained(file))


def test_file_is_known_by_its_content(file: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_bytes(file.read_bytes())
    assert file_digest(file) == file_digest(tmp_path / "copy") != ""
    assert file_digest(None) == file_digest(tmp_path / "absent") == ""


def test_resnet_from_elsewhere_trains_to_a_checkpoint(training: Training, file: Path, quiet: Progress) -> None:
    network = replace(read_pretrained(file).network, size=32)
    config = TrainingConfig(recipe_for("quick", network, 1), network, dtype="float32")
    run_training(replace(training, config=config, pretrained=str(file)), quiet)
    checkpoint = load_checkpoint(training.out)
    assert checkpoint.network == network
    assert checkpoint.provenance["pretrained_source"] == read_pretrained(file).source
    assert checkpoint.state["normalization.mean"].tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert Classifier.load(training.out).classes == CLASSES


def test_training_with_other_classes_goes_on_from_a_checkpoint(
    training: Training, trained: Training, quiet: Progress
) -> None:
    (training.photos / "stripes").rename(training.photos / "waves")
    config = replace(training.config, recipe=recipe_for("quick", TINY, 1, learning_rate=1e-6))
    run_training(replace(training, config=config, pretrained=str(trained.out)), quiet)
    before, after = load_checkpoint(trained.out), load_checkpoint(training.out)
    assert after.classes == ("rings", "waves")
    torch.testing.assert_close(
        after.state["layer1.0.conv1.weight"], before.state["layer1.0.conv1.weight"], atol=1e-3, rtol=0
    )
    assert not torch.allclose(after.state["fc.weight"], before.state["fc.weight"], atol=1e-2)
