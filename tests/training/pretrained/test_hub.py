"""Weights of the Hugging Face Hub, from a server of our own that speaks as it does; no network is used."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from safetensors.torch import save

from tests.training.pretrained.hub_server import Hub
from tests.training.pretrained.reference import others
from tests.training.pretrained.reference.others import SHALLOW
from whisker.model import Checkpoint
from whisker.model.checkpoint.file import save_checkpoint
from whisker.training.errors import TrainingError
from whisker.training.pretrained.hub import read_hub

ROOT = Path(__file__).parents[3]
NAME = "timm/resnet50.test"
WEIGHTS = save(others.resnet(SHALLOW, 8))


TRAINED = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "input_size": [3, 160, 160], "tag": "test"}


def described(architecture: str = "resnet50", **other: Any) -> bytes:
    return json.dumps({"architecture": architecture, "num_classes": 10, "pretrained_cfg": TRAINED} | other).encode()


FILES = {"config.json": described(), "model.safetensors": WEIGHTS}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve one repository, to a library that is online and bypasses proxies."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Hub() as hub:
        hub.publish(NAME, FILES)
        yield hub
    huggingface_hub.close_session()


def test_weights_come_with_their_description(hub: Hub, tmp_path: Path) -> None:
    pretrained = read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path)
    commit = hub.revisions[NAME]["main"]
    assert (pretrained.revision, pretrained.source) == (commit, f"hf-hub:{NAME}@{commit}")
    assert pretrained.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert pretrained.normalization == ((0.5,) * 3, (0.25,) * 3)
    assert (pretrained.network.variant, pretrained.network.size) == ("bottleneck", 160)
    assert pretrained.weights.keys() == others.resnet(SHALLOW, 8).keys()
    # Both are of one commit, even if a newer one came in between.
    files = ("main/config.json", f"{commit}/model.safetensors")
    assert hub.asked == [f"{method} {file}" for file in files for method in ("HEAD", "GET")]


def test_revision_is_a_branch_a_tag_or_a_commit(hub: Hub, tmp_path: Path) -> None:
    first = hub.revisions[NAME]["main"]
    second = hub.publish(NAME, FILES | {"config.json": described(notes="new")}, "v2")
    for revision, commit in (("main", second), ("v2", second), (first, first)):
        pretrained = read_hub(f"hf-hub:{NAME}@{revision}", endpoint=hub.endpoint, cache=tmp_path)
        assert pretrained.revision == commit


def test_commit_in_the_cache_is_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    first = hub.revisions[NAME]["main"]
    read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path)
    hub.asked.clear()
    read_hub(f"hf-hub:{NAME}@{first}", endpoint=hub.endpoint, cache=tmp_path)
    assert hub.asked == []


def test_cache_is_enough_without_a_network(tmp_path: Path, hub: Hub) -> None:
    with Hub() as other:
        other.publish(NAME, FILES)
        online = read_hub(f"hf-hub:{NAME}", endpoint=other.endpoint, cache=tmp_path)
    offline = read_hub(f"hf-hub:{NAME}", endpoint=other.endpoint, cache=tmp_path)
    assert (offline.source, offline.sha256, offline.network) == (online.source, online.sha256, online.network)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, r"hf-hub:timm/other does not exist, or is private"),
        ({"model.safetensors": WEIGHTS}, r"hf-hub:timm/other has no config.json: choose a repository of timm"),
        ({"config.json": described()}, r"hf-hub:timm/other has no model.safetensors: choose a repository of timm"),
        (FILES | {"config.json": b"{"}, "hf-hub:timm/other is not described as timm's weights are, by its config.json"),
        (FILES | {"config.json": b'{"model_type": "resnet"}'}, "is not described as timm's weights are"),
        (FILES | {"config.json": described(pretrained_cfg={"mean": "grey"})}, "is not described as timm's weights are"),
        (FILES | {"config.json": described(pretrained_cfg=TRAINED | {"std": [0, 0, 0]})}, "is not described as timm's"),
        (
            FILES | {"config.json": described(pretrained_cfg=TRAINED | {"input_size": [math.inf]})},
            "is not described as",
        ),
        (FILES | {"config.json": described("resnetblur50")}, "is timm's resnetblur50; supported are ResNet-18 to -152"),
        (FILES | {"config.json": described("tf_mobilenetv3_large_100")}, "is timm's tf_mobilenetv3_large_100; supp"),
        (
            FILES | {"config.json": described(model_args={"stem": 1})},
            "is timm's resnet50 with other options; supported",
        ),
        (FILES | {"model.safetensors": save({"cls_token": others.resnet(SHALLOW, 8)["fc.bias"]})}, "is a vision trans"),
        (FILES | {"model.safetensors": b"hello"}, "is not a readable safetensors file"),
    ],
)
def test_repository_that_cannot_be_used_is_one_sentence(
    hub: Hub, tmp_path: Path, files: Mapping[str, bytes] | None, message: str
) -> None:
    if files is not None:
        hub.publish("timm/other", files)
    with pytest.raises(TrainingError, match=message) as caught:
        read_hub("hf-hub:timm/other", endpoint=hub.endpoint, cache=tmp_path)
    assert "\n" not in str(caught.value)


def test_whisker_checkpoint_is_refused_with_advice(hub: Hub, tmp_path: Path, untrained: Checkpoint) -> None:
    save_checkpoint(untrained, tmp_path / "own.safetensors")
    hub.publish("me/mine", FILES | {"model.safetensors": (tmp_path / "own.safetensors").read_bytes()})
    with pytest.raises(TrainingError, match="is a Whisker checkpoint: download it, and give --pretrained the file"):
        read_hub("hf-hub:me/mine", endpoint=hub.endpoint, cache=tmp_path)


def test_gated_repository_and_absent_revision_are_told_apart(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add(NAME)
    with pytest.raises(TrainingError, match="accepted its terms: do so on its page, then run `hf auth login`"):
        read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path)
    hub.gated.clear()
    with pytest.raises(TrainingError, match=rf"hf-hub:{NAME} has no revision v9: check what follows the @"):
        read_hub(f"hf-hub:{NAME}@v9", endpoint=hub.endpoint, cache=tmp_path)


@pytest.mark.parametrize("value", ["hf-hub:", "hf-hub:resnet50", "hf-hub:timm/resnet50@", "hf-hub:a/b/c"])
def test_address_that_names_no_repository_is_refused(value: str) -> None:
    with pytest.raises(TrainingError, match=r"named hf-hub:OWNER/NAME\[@REVISION\], not hf-hub:"):
        read_hub(value)
    with pytest.raises(TrainingError, match="cannot be the name of a repository"):
        read_hub("hf-hub:timm/..resnet")


def test_no_network_and_nothing_in_the_cache_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, hub: Hub, tmp_path: Path
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library tries again, for half a minute
    with Hub() as gone:
        pass
    message = f"hf-hub:{NAME} is not in the cache, and the Hub cannot be reached: check the network"
    with pytest.raises(TrainingError, match=message):
        read_hub(f"hf-hub:{NAME}", endpoint=gone.endpoint, cache=tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(TrainingError, match=message):
        read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path)
    assert hub.asked == []


def test_download_that_breaks_off_is_one_sentence(monkeypatch: pytest.MonkeyPatch, hub: Hub, tmp_path: Path) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.breaks_off = True
    with pytest.raises(TrainingError, match=f"hf-hub:{NAME} could not be downloaded: check the network"):
        read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path)
    hub.breaks_off = False
    assert read_hub(f"hf-hub:{NAME}", endpoint=hub.endpoint, cache=tmp_path).revision


def test_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TrainingError, match=r"not installed: run `pip install 'whisker-vision\[hub\]'`"):
        read_hub(f"hf-hub:{NAME}")


def test_environment_of_the_library_is_respected(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own: the library reads its environment when it is imported."""
    others_variables = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    code = f"from whisker.training.pretrained.sources import open_pretrained as o; print(o('hf-hub:{NAME}').source)"
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=others_variables | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"hf-hub:{NAME}@{hub.revisions[NAME]['main']}\n"
    assert [*tmp_path.rglob("model.safetensors")]
