"""Multi-label answers: independent scores, a threshold for each label, and a verdict that says what is in doubt."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.pictures import draw, encode
from whisker.model import Checkpoint, Classifier, Prediction
from whisker.model.answers.decision_rule import Scores
from whisker.model.answers.multi_label import MultiLabelRule
from whisker.model.checkpoint.contents import Thresholds
from whisker.model.engines.choice import ENGINES
from whisker.model.errors import ConfigError, EngineError

CLASSES = ("bird", "cat", "dog", "sofa", "tree")
PICTURE = encode(draw("rings", 1))


def answer(*scores: float, guaranteed: tuple[bool, ...] = (True,) * 5, unknown: float | None = None) -> Prediction:
    """Answer a picture of these scores; the thresholds are 0.9, 0.8, 0.7, 0.6 and 0.4."""
    rule = MultiLabelRule(CLASSES, 1.0, None, (0.9, 0.8, 0.7, 0.6, 0.4), guaranteed)
    strange = None if unknown is None else np.array([unknown], np.float32)
    (prediction,) = rule.predictions(Scores(np.array([scores], np.float32), strange))
    return prediction


def labels(prediction: Prediction) -> list[str]:
    assert prediction.labels is not None
    return [it.label for it in prediction.labels]


def test_labels_are_the_classes_that_reach_their_own_threshold_best_first() -> None:
    found = answer(0.91, 0.3, 0.95, 0.2, 0.45)
    assert labels(found) == ["dog", "bird", "tree"]
    assert found.label == "dog"
    assert found.score == pytest.approx(0.95)
    assert [it.label for it in found.predictions] == ["dog", "bird", "tree", "cat", "sofa"]
    assert (found.verdict, found.reason) == ("confident", "")


def test_score_at_the_threshold_is_a_label() -> None:
    rule = MultiLabelRule(("a", "b"), 1.0, None, (0.25, 0.75), (True, True))
    assert rule.found(np.array([[0.25, 0.75], [0.24, 0.74]], np.float32)).tolist() == [[True, True], [False, False]]


def test_nothing_found_and_nothing_likely_is_a_confident_answer() -> None:
    nothing = answer(0.1, 0.2, 0.3, 0.49, 0.2)
    assert (labels(nothing), nothing.verdict, nothing.reason) == ([], "confident", "")
    assert nothing.label == "sofa"  # the best class all the same, for clients that know nothing of labels


@pytest.mark.parametrize(
    ("scores", "guaranteed", "reason"),
    [
        ((0.85, 0.1, 0.1, 0.1, 0.1), (True,) * 5, "Likely, but below the threshold: bird."),
        ((0.95, 0.1, 0.1, 0.1, 0.1), (False, *[True] * 4), "Found, but without a guaranteed precision: bird."),
        (
            (0.85, 0.75, 0.65, 0.55, 0.9),
            (*[True] * 4, False),
            (
                "Likely, but below the threshold: bird, cat, dog and 1 more. "
                "Found, but without a guaranteed precision: tree."
            ),
        ),
    ],
)
def test_doubt_about_one_label_is_named(scores: tuple[float, ...], guaranteed: tuple[bool, ...], reason: str) -> None:
    doubtful = answer(*scores, guaranteed=guaranteed)
    assert (doubtful.verdict, doubtful.reason) == ("unsure", reason)


def test_label_without_a_guarantee_that_is_not_found_leaves_no_doubt() -> None:
    assert answer(0.95, 0.1, 0.1, 0.1, 0.1, guaranteed=(True, *[False] * 4)).verdict == "confident"


def test_picture_like_nothing_trained_on_is_unknown_whatever_its_labels() -> None:
    strange = answer(0.85, 0.9, 0.1, 0.1, 0.1, unknown=0.7)
    assert (strange.verdict, strange.reason, labels(strange)) == ("unknown", "", ["cat"])
    assert answer(0.85, 0.9, 0.1, 0.1, 0.1, unknown=0.3).verdict == "unsure"


@pytest.mark.parametrize("thresholds", [Thresholds(), Thresholds(labels=(0.5,) * 3), Thresholds(labels=(0.5,) * 2)])
def test_checkpoint_without_a_threshold_for_each_class_is_refused(several: Checkpoint, thresholds: Thresholds) -> None:
    with pytest.raises(
        ConfigError, match=r"needs a threshold, and whether it is guaranteed, for each of its 3 classes"
    ):
        Classifier(replace(several, thresholds=thresholds))


def test_scores_are_sigmoids_of_the_logits_over_the_temperature(several: Checkpoint) -> None:
    classifier = Classifier(replace(several, temperature=2.0))
    x = torch.from_numpy(classifier.preprocessing.decode(PICTURE)).permute(2, 0, 1)[None].float() / 255
    expected = torch.sigmoid(classifier.network(x) / 2)[0]
    (prediction,) = classifier.predict([PICTURE])
    scores = {it.label: it.score for it in prediction.predictions}
    assert [scores[name] for name in classifier.classes] == pytest.approx(expected.tolist(), abs=1e-5)


def test_extreme_logits_overflow_nothing(several: Checkpoint) -> None:
    probabilities = several.decision_rule.probabilities(np.array([[-1e30, 0.0, 1e30]], np.float32))
    assert probabilities.tolist() == [[0.0, 0.5, 1.0]]


def test_multi_label_checkpoint_answers_with_its_labels(several: Checkpoint) -> None:
    (prediction,) = Classifier(several).predict([PICTURE])
    assert labels(prediction) == ["bird", "cat"]
    assert prediction.verdict == "confident"


def test_single_label_answers_have_no_labels(untrained: Checkpoint) -> None:
    (prediction,) = Classifier(untrained).predict([PICTURE])
    assert (prediction.labels, prediction.reason) == (None, "")


@pytest.mark.parametrize("engine", ENGINES)
def test_heat_is_exactly_what_the_class_s_own_logit_is_made_of(several: Checkpoint, engine: str) -> None:
    """No other class's logit has a part in a sigmoid."""
    classifier = Classifier(several)
    try:
        classifier.use_engine(engine)
    except EngineError as exc:
        pytest.skip(str(exc))
    pixels = [classifier.preprocessing.decode(PICTURE)] * 3
    logits = classifier._engine.run(pixels).logits[0]  # noqa: SLF001 - no answer has the logits
    for index, prediction in enumerate(classifier.predict_pixels(pixels, [0, 1, 2])):
        assert prediction.heat_map is not None
        share = prediction.heat_map.heat.mean() + classifier._engine.head.bias[index]  # noqa: SLF001 - as above
        assert share == pytest.approx(logits[index], abs=0.02)
        assert labels(prediction) == ["bird", "cat"]


def test_process_without_pytorch_finds_the_same_labels(several: Checkpoint) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed: pip install 'whisker-vision[openvino]'")
    classifier = Classifier(several)
    classifier.use_engine("openvino")
    predictor, _ = pickle.loads(pickle.dumps(classifier.exported())).open(threads=1, largest=1)  # noqa: S301 - our own
    (here,), (there,) = classifier.predict([PICTURE]), predictor.predict([PICTURE])
    assert labels(there) == labels(here) == ["bird", "cat"]
    assert there.score == pytest.approx(here.score, abs=0.01)
