"""What a prepared classifier holds: the answers of the checkpoint, and no code."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import CLASSES
from whisker.model import Checkpoint, Classifier, save_checkpoint
from whisker.model.answers.novelty import Novelty
from whisker.model.errors import CheckpointError, PreparedError
from whisker.model.prepared import contents
from whisker.model.prepared.container import check, put_together, read_document
from whisker.model.prepared.contents import map_content, open_prepared, unpack
from whisker.model.prepared.preparing import card_of, prepare


def opened(checkpoint: Checkpoint, folder: Path) -> tuple[Classifier, bytes]:
    path = folder / "some.safetensors"
    save_checkpoint(checkpoint, path)
    classifier = Classifier.load(path, engine="openvino")
    return classifier, prepare(classifier, threads=1, largest=4)[1]


def with_novelty(checkpoint: Checkpoint) -> Checkpoint:
    features = checkpoint.state["fc.weight"].shape[1]
    row = np.full(features, features**-0.5, np.float32)
    return dataclasses.replace(checkpoint, novelty=Novelty(row[None], row, 1, 0.5, 0.1, 0.4))


@pytest.mark.parametrize("kind", ["untrained", "several", "novelty"])
@pytest.mark.parametrize("is_mapped", [False, True], ids=["bytes", "mapped"])
def test_prepared_classifier_answers_alike(
    untrained: Checkpoint, several: Checkpoint, tmp_path: Path, kind: str, *, is_mapped: bool
) -> None:
    checkpoint = {"untrained": untrained, "several": several, "novelty": with_novelty(untrained)}[kind]
    classifier, content = opened(checkpoint, tmp_path)
    file = tmp_path / "prepared"
    file.write_bytes(content)
    with file.open("rb") as opened_file:
        checked = check(opened_file)
    predictor, seconds = open_prepared(map_content(file) if is_mapped else content, threads=1, largest=4)
    assert sorted(seconds) == [1, 4]
    pixels = [*np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)]
    assert predictor.predict_pixels(pixels) == classifier.predict_pixels(pixels)
    assert predictor.classes == classifier.classes
    document, _ = read_document(content)
    assert document == checked
    assert document["card"] == json.loads(json.dumps(card_of(classifier)))


def test_engine_that_needs_pytorch_is_not_prepared(untrained: Checkpoint) -> None:
    card, content = prepare(Classifier(untrained), threads=1, largest=4)
    assert card["classes"] == list(CLASSES)
    assert content == b""


def test_prepared_classifier_replays_the_golden_pictures(untrained: Checkpoint, tmp_path: Path) -> None:
    _, content = opened(untrained, tmp_path)
    exported = unpack(content)
    pictures, expected = exported.golden
    forged = dataclasses.replace(exported, golden=(pictures, 1 - expected))
    with pytest.raises(CheckpointError, match="a golden answer differs"):
        forged.open(threads=1, largest=4)


def test_prepared_for_other_pixels_is_refused(
    untrained: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, content = opened(untrained, tmp_path)
    monkeypatch.setattr(contents, "DECODING_VERSION", -1)
    with pytest.raises(PreparedError, match="other pixels"):
        unpack(content)


@pytest.mark.parametrize("field", ["places", "shapes", "rule", "preprocessing", "card", "sizes"])
def test_document_that_lacks_a_field_is_refused(untrained: Checkpoint, tmp_path: Path, field: str) -> None:
    _, content = opened(untrained, tmp_path)
    document, _ = read_document(content)
    del document[field]
    with pytest.raises(PreparedError):
        unpack(put_together(document, {}))


def test_arrays_beyond_the_end_are_refused(untrained: Checkpoint, tmp_path: Path) -> None:
    _, content = opened(untrained, tmp_path)
    with pytest.raises(PreparedError, match="too little, or too much"):
        unpack(content[:-8192])


def with_other_models(content: bytes) -> bytes:
    """Write a container as a whole, with networks that OpenVINO did not compile."""
    document, begin = read_document(content)
    sizes = {
        name: math.prod(shape) * (1 if name.startswith(("model.", "golden.picture.")) else 4)
        for name, shape in document["shapes"].items()
    }
    arrays = {
        name: bytearray(content[begin + start : begin + start + sizes[name]])
        for name, start in document["places"].items()
    }
    for name, array in arrays.items():
        if name.startswith("model."):
            array[:] = bytes(len(array))
    return put_together(document, {name: memoryview(array) for name, array in arrays.items()})


def test_network_that_openvino_refuses_is_told_as_an_error_of_the_file(untrained: Checkpoint, tmp_path: Path) -> None:
    _, content = opened(untrained, tmp_path)
    with pytest.raises(PreparedError, match="is refused by OpenVINO"):
        open_prepared(with_other_models(content), threads=1, largest=4)
