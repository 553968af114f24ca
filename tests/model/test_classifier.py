from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import whisker.model
from tests.pictures import CLASSES, draw, encode
from whisker.model import Checkpoint, Classifier, save_checkpoint
from whisker.model.answers.novelty import UNKNOWN_SCORE, Novelty
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.checkpoint.golden import TOLERANCE, golden_pictures
from whisker.model.errors import CheckpointError, DeviceError, PictureError

PICTURE = encode(draw("rings", 1))


def test_trained_classifier_knows_its_classes(classifier: Classifier) -> None:
    assert classifier.classes == CLASSES
    for label in CLASSES:
        predictions = classifier.predict([encode(draw(label, seed)) for seed in range(1000, 1020)])
        assert sum(prediction.label == label for prediction in predictions) >= 18


def test_prediction_lists_all_classes_best_first(classifier: Classifier) -> None:
    prediction = classifier.predict([encode(draw("rings", 7))])[0]
    scores = [entry.score for entry in prediction.predictions]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-6)
    assert sorted(entry.label for entry in prediction.predictions) == list(CLASSES)
    assert (prediction.label, prediction.score) == (prediction.predictions[0].label, scores[0])


def test_network_takes_plain_tensors_and_returns_logits(classifier: Classifier) -> None:
    data = encode(draw("stripes", 5))
    x = torch.from_numpy(classifier.preprocessing.decode(data)).permute(2, 0, 1)[None].float() / 255
    scores = torch.softmax(classifier.network(x) / classifier.checkpoint.temperature, 1)[0]
    best = Classifier(classifier.checkpoint).predict([data])[0]  # before any engine is chosen
    assert float(scores.max()) == pytest.approx(best.score, abs=1e-5)


def test_no_pictures_no_answers(classifier: Classifier) -> None:
    assert classifier.predict([]) == []


def test_bad_picture_raises(classifier: Classifier) -> None:
    with pytest.raises(PictureError):
        classifier.predict([encode(draw("rings", 1)), b"nonsense"])


def test_many_pictures_answer_as_each_alone(classifier: Classifier) -> None:
    pictures = [encode(draw(label, seed)) for seed in range(25) for label in CLASSES]
    together = classifier.predict(pictures)
    for picture, expected in zip(pictures, together, strict=True):
        assert classifier.predict([picture])[0].score == pytest.approx(expected.score, abs=1e-5)


def test_temperature_softens_scores(untrained: Checkpoint) -> None:
    pictures = [encode(draw("rings", 1))]
    cold, hot = (Classifier(replace(untrained, temperature=t)).predict(pictures)[0].score for t in (0.1, 10.0))
    assert hot < cold


@pytest.mark.parametrize(
    ("unsure", "familiar", "verdict"),
    [
        (0.0, True, "confident"),
        (1.0, True, "unsure"),
        (0.0, False, "unknown"),
        (1.0, False, "unknown"),  # of a picture like nothing it was taught, no score means anything
        (0.0, None, "confident"),
        (1.0, None, "unsure"),
    ],
)
def test_every_verdict_is_given_where_it_is_due(
    untrained: Checkpoint,
    unsure: float,
    familiar: bool | None,  # noqa: FBT001
    verdict: str,
) -> None:
    novelty = None if familiar is None else novelty_for(untrained, familiar=familiar)
    classifier = Classifier(replace(untrained, thresholds=Thresholds(unsure=unsure), novelty=novelty))
    (prediction,) = classifier.predict([PICTURE])
    assert prediction.verdict == verdict
    if familiar is None:
        assert prediction.unknown_score is None
    else:
        assert prediction.unknown_score is not None
        assert (prediction.unknown_score <= UNKNOWN_SCORE) is familiar


def test_score_at_the_threshold_is_confident(untrained: Checkpoint) -> None:
    (prediction,) = Classifier(untrained).predict([PICTURE])
    for threshold, verdict in ((prediction.score, "confident"), (prediction.score + 1e-6, "unsure")):
        classifier = Classifier(replace(untrained, thresholds=Thresholds(unsure=threshold)))
        assert classifier.predict([PICTURE])[0].verdict == verdict


def test_novelty_changes_no_probability(untrained: Checkpoint) -> None:
    with_, without = (
        Classifier(replace(untrained, novelty=novelty)).predict([PICTURE])[0].predictions
        for novelty in (novelty_for(untrained, familiar=False), None)
    )
    assert with_ == without


def test_verdicts_survive_the_file(untrained: Checkpoint, tmp_path: Path) -> None:
    pictures = [encode(draw(label, seed)) for label in CLASSES for seed in range(10)]
    checkpoint = replace(untrained, novelty=novelty_for(untrained, familiar=True), thresholds=Thresholds(unsure=0.6))
    save_checkpoint(checkpoint, tmp_path / "c.safetensors")
    before, after = (
        Classifier(checkpoint).predict(pictures),
        Classifier.load(tmp_path / "c.safetensors").predict(pictures),
    )
    assert [answer.verdict for answer in after] == [answer.verdict for answer in before]
    assert [answer.unknown_score for answer in after] == pytest.approx(
        [answer.unknown_score for answer in before], abs=0.01
    )


def novelty_for(checkpoint: Checkpoint, *, familiar: bool) -> Novelty:
    """Make a measure of novelty whose only prototype is what the network sees in `PICTURE`, or its opposite."""
    classifier = Classifier(checkpoint)
    x = torch.from_numpy(classifier.preprocessing.decode(PICTURE)).permute(2, 0, 1)[None].float() / 255
    seen = functional.normalize(classifier.network.embed(x), dim=1).numpy()
    direction = np.zeros(seen.shape[1], np.float32)
    return Novelty(seen if familiar else -seen, direction, neighbours=1, distance_weight=1, typical=0.1, threshold=0.5)


def test_altered_weights_fail_the_golden_replay(untrained: Checkpoint, tmp_path: Path) -> None:
    state = dict(untrained.state)
    state["fc.weight"] = state["fc.weight"].flip(0) * 3
    # Saved by the product's own code, so that digest, names and shapes are right: only the answers are not.
    save_checkpoint(replace(untrained, state=state), tmp_path / "altered.safetensors")
    with pytest.raises(CheckpointError, match="fails its own test"):
        Classifier.load(tmp_path / "altered.safetensors")


def test_altered_golden_answer_is_refused(untrained: Checkpoint) -> None:
    assert untrained.golden is not None
    probabilities = untrained.golden.probabilities + 2 * TOLERANCE
    altered = replace(untrained, golden=replace(untrained.golden, probabilities=probabilities))
    with pytest.raises(CheckpointError, match="fails its own test"):
        Classifier(altered).verify()


def test_golden_picture_that_does_not_decode_is_refused(untrained: Checkpoint) -> None:
    assert untrained.golden is not None
    pictures = (b"GIF89a broken", *untrained.golden.pictures[1:])
    altered = replace(untrained, golden=replace(untrained.golden, pictures=pictures))
    with pytest.raises(CheckpointError, match="cannot be decoded here"):
        Classifier(altered).verify()


def test_unaltered_checkpoint_verifies_exactly(untrained: Checkpoint) -> None:
    assert Classifier(untrained).verify() < 1e-6


def test_checkpoint_without_golden_answers_cannot_verify(untrained: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="no golden answers"):
        Classifier(replace(untrained, golden=None)).verify()


def test_golden_pictures_are_the_same_every_time() -> None:
    assert golden_pictures() == golden_pictures()
    assert len({picture[:3] for picture in golden_pictures()}) == 5  # one signature each: all five formats


def test_absent_device_is_refused(untrained: Checkpoint) -> None:
    with pytest.raises(DeviceError):
        Classifier(untrained, "tpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_answers_as_the_cpu(untrained: Checkpoint) -> None:
    pixels = [np.full((32, 32, 3), value, np.uint8) for value in (0, 100, 255)]
    on_cpu, on_cuda = (Classifier(untrained, device).scores(pixels).probabilities for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1e-3)


def test_exported_names_exist() -> None:
    assert all(getattr(whisker.model, name) is not None for name in whisker.model.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = whisker.model.nonsense
