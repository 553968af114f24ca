"""Options left open are chosen from the photos, from pretrained weights, or from the defaults."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from tests.conftest import TINY
from tests.pictures import write_folder
from whisker.model import Checkpoint, NetworkConfig, save_checkpoint
from whisker.model.errors import ConfigError
from whisker.model.networks.config import Family
from whisker.training.cli.options.training import NetworkOptions, TrainingOptions, saved_config
from whisker.training.config import (
    LEARNING_RATE_SCALE,
    PRESETS,
    FineTuning,
    Grouping,
    TrainingConfig,
    TransferRecipe,
    recipe_for,
)
from whisker.training.data.folders.survey import Survey
from whisker.training.errors import DatasetError, TrainingError
from whisker.training.pretrained import installed
from whisker.training.pretrained.installed import INSTALLED, InstalledWeights
from whisker.training.pretrained.weights import Pretrained, file_digest
from whisker.training.progress import Progress

SMALL = Survey(photos=100, short_side=32, decode_seconds=0.001)
LARGE = Survey(photos=100, short_side=400, decode_seconds=0.001)
WEIGHTS = Pretrained({}, NetworkConfig(width=64, depth=(3, 4, 6, 3), variant="original"))


@pytest.mark.parametrize(("survey", "size"), [(SMALL, 64), (LARGE, 128)])
def test_what_is_open_comes_from_defaults_and_photos(survey: Survey, size: int) -> None:
    assert NetworkOptions().complete(None, survey) == NetworkConfig(size=size)


def test_what_is_given_is_kept() -> None:
    options = NetworkOptions("cnn", "sigmoid", 8, 3, grey=True, size=96)
    assert options.complete(None, SMALL) == NetworkConfig("cnn", "sigmoid", 8, 3, 1, 96)


def test_network_of_pretrained_weights_is_kept_but_may_be_served_at_another_size() -> None:
    assert NetworkOptions().complete(WEIGHTS, SMALL) == WEIGHTS.network
    assert NetworkOptions(width=64, size=96).complete(WEIGHTS, SMALL) == replace(WEIGHTS.network, size=96)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (NetworkOptions(width=32), "with width 64, not 32"),
        (NetworkOptions(depth=2), r"with depth \(3, 4, 6, 3\), not 2"),
        (NetworkOptions(family="cnn"), "with family resnet, not cnn"),
        (NetworkOptions(activation="sigmoid"), "with activation relu, not sigmoid"),
        (NetworkOptions(grey=True), "with channels 3, not 1"),
    ],
)
def test_option_that_contradicts_pretrained_weights_is_refused(options: NetworkOptions, message: str) -> None:
    with pytest.raises(ConfigError, match=f"The weights of --pretrained are for a network {message}"):
        options.complete(WEIGHTS, LARGE)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "photos", 3, (32, 32))


def test_default_is_a_transfer_that_fits_the_photos(photos: Path, quiet: Progress) -> None:
    config = TrainingOptions(photos, NetworkOptions()).choose_config(None, quiet)
    assert config.network == NetworkConfig.published("lite0", 128)
    assert config.transfer == TransferRecipe(cross_validated=True)
    assert config.pretrained == INSTALLED["lite0"].sha256
    assert config.preprocessing.resample == "bicubic"


@pytest.mark.parametrize("share", [{"validation": 0.2}, {"test": 0.2}])
def test_photos_are_set_aside_if_a_share_is_given(photos: Path, quiet: Progress, share: dict[str, Any]) -> None:
    config = TrainingOptions(photos, NetworkOptions(), **share).choose_config(None, quiet)
    assert config.transfer == TransferRecipe(cross_validated=False, fine_tuning=FineTuning(shares=(0.5, 0.75, 1.0)))
    assert {"validation": config.validation, "test": config.test} == {"validation": 0.1, "test": 0.1} | share


@pytest.mark.parametrize(
    "options",
    [{"network": NetworkOptions(width=8)}, {"preset": "quick"}, {"epochs": 2}, {"learning_rate": 0.1}],
)
def test_choosing_a_network_or_a_recipe_is_choosing_random_weights(options: dict[str, Any], photos: Path) -> None:
    assert replace(TrainingOptions(photos, NetworkOptions()), **options).source == "none"


def test_minutes_are_what_is_left_for_a_transfer(photos: Path, quiet: Progress) -> None:
    config = TrainingOptions(photos, NetworkOptions(), minutes=2).choose_config(None, quiet)
    assert config.transfer is not None
    assert 1.5 < config.transfer.minutes < 2


def test_absence_of_the_weights_is_said(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "INSTALLED", {"lite0": InstalledWeights("no-such-package", "", "", 224)})
    text = io.StringIO()
    config = TrainingOptions(photos, NetworkOptions()).choose_config(None, Progress(Console(file=text, width=500)))
    assert config.transfer is None
    assert "Starting from random weights: no ImageNet weights are installed." in text.getvalue()


def test_without_pretrained_weights_defaults_are_quick_and_fit_the_photos(photos: Path, quiet: Progress) -> None:
    config = TrainingOptions(photos, NetworkOptions(), pretrained="none").choose_config(None, quiet)
    network = NetworkConfig(size=64)
    assert config == TrainingConfig(PRESETS["quick"], network)
    assert (config.preset, config.dtype, config.seed, config.pretrained) == ("quick", "auto", 0, "")


def test_options_reach_the_configuration(photos: Path, quiet: Progress) -> None:
    options = TrainingOptions(
        photos,
        NetworkOptions("mlp", width=8),
        preset="standard",
        epochs=5,
        learning_rate=0.05,
        dtype="float32",
        seed=3,
        validation=0.2,
        test=0.3,
    )
    config = options.choose_config(None, quiet)
    assert config.recipe == recipe_for("standard", NetworkConfig("mlp", width=8), 5, 0.05)
    assert sum(stage.epochs for stage in config.recipe.stages) == 5
    assert (config.preset, config.dtype, config.seed, config.validation, config.test) == (
        "standard",
        "float32",
        3,
        0.2,
        0.3,
    )


def test_groups_reach_the_configuration(photos: Path, quiet: Progress) -> None:
    for path in sorted(photos.rglob("*.png")):
        (path.parent / "camera").mkdir(exist_ok=True)
        path.rename(path.parent / "camera" / path.name)
    options = TrainingOptions(photos, NetworkOptions(), groups="folder")
    assert options.choose_config(None, quiet).groups == Grouping(folder_level=1)
    assert replace(options, groups=None).choose_config(None, quiet).groups is None


def test_pretrained_checkpoint_decides_the_network(
    photos: Path, untrained: Checkpoint, tmp_path: Path, quiet: Progress
) -> None:
    save_checkpoint(untrained, tmp_path / "start.safetensors")
    options = TrainingOptions(photos, NetworkOptions(), pretrained=str(tmp_path / "start.safetensors"))
    config = options.choose_config(None, quiet)
    assert config.network == untrained.network
    assert config.pretrained == file_digest(tmp_path / "start.safetensors")
    contradicting = replace(options, network=NetworkOptions(width=4))
    with pytest.raises(ConfigError, match="width 2, not 4"):
        contradicting.choose_config(None, quiet)


@pytest.mark.parametrize("also", [{"preset": "best"}, {"epochs": 3}])
def test_minutes_and_what_they_choose_contradict_each_other(
    photos: Path, quiet: Progress, also: dict[str, Any]
) -> None:
    options = TrainingOptions(photos, NetworkOptions(), minutes=5, **also)
    with pytest.raises(ConfigError, match="--minutes chooses preset and epochs by itself"):
        options.choose_config(None, quiet)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": 0}, ConfigError, "epochs is at least 1, not 0"),
        ({"learning_rate": 0.0}, ConfigError, "learning rate is above 0"),
        ({"preset": "slow"}, ConfigError, "The preset is one of"),
        ({"network": NetworkOptions(width=7)}, ConfigError, "width is an even 2 to 2048"),
        ({"photos": Path("absent")}, DatasetError, "There is no folder absent"),
        ({"groups": "folder:0"}, ConfigError, "--groups folder:N takes a level of 1 or more, not '0'"),
        ({"groups": "folder:2"}, DatasetError, "No photo in .* has a group: the folder level 2"),
        ({"groups": "patient"}, ConfigError, "--groups names the column 'patient', so give the file"),
        ({"pretrained": "absent"}, TrainingError, "absent does not exist: check the path of --pretrained"),
    ],
)
def test_bad_option_is_one_sentence(
    photos: Path, quiet: Progress, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        replace(TrainingOptions(photos, NetworkOptions()), **changes).choose_config(None, quiet)


@pytest.mark.parametrize("network", [TINY, WEIGHTS.network])
def test_saved_configuration_reads_back(network: NetworkConfig) -> None:
    config = TrainingConfig(recipe_for("best", network, 7), network, "best", "bfloat16", "abc", 5, 0.2, 0.1)
    for groups in (None, Grouping(column="patient"), Grouping(folder_level=2)):
        grouped = replace(config, groups=groups)
        assert saved_config(json.loads(json.dumps(asdict(grouped)))) == grouped


@pytest.mark.parametrize("fine_tuning", [None, FineTuning(epochs=2, shares=(0.25,))])
def test_saved_transfer_reads_back(fine_tuning: FineTuning | None) -> None:
    transfer = TransferRecipe(minutes=1.5, penalty=0.1, fine_tuning=fine_tuning, cross_validated=False)
    config = replace(TrainingConfig(PRESETS["quick"]), transfer=transfer)
    assert saved_config(json.loads(json.dumps(asdict(config)))) == config
    assert not config.cross_validated
    assert replace(config, transfer=replace(transfer, cross_validated=True)).cross_validated


@pytest.mark.parametrize("family", get_args(Family))
def test_every_family_has_a_learning_rate(family: Family) -> None:
    assert 0 < LEARNING_RATE_SCALE[family] <= 1
