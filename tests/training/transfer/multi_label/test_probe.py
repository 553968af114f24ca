"""A logistic regression for each label: right, as likely as photos say, and like a softmax for two classes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from whisker.training.transfer.multi_label.probe import LabelProbeData, fit_label_probe
from whisker.training.transfer.probe import ProbeData, fit_probe

PENALTY = 3e-4


def drawn(photos: int, biases: tuple[float, ...], seed: int = 0) -> LabelProbeData:
    """Draw features, and labels as often as a logistic model of them says."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(1, photos, len(biases) + 2)).astype(np.float32)
    logits = 2 * features[0, :, : len(biases)] + biases
    return LabelProbeData(features, rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits)))


def probabilities(data: LabelProbeData, balance: float) -> NDArray[np.float64]:
    logits = fit_label_probe(data, penalty=PENALTY, balance=balance).logits(data.features[0])
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_probabilities_of_rare_and_common_labels_are_those_of_the_photos(balance: float) -> None:
    data = drawn(4_000, (0.0, -5.0, 3.0))
    assert probabilities(data, balance).mean(0) == pytest.approx(data.present.mean(0), rel=0.1)


def test_each_label_is_told_by_its_own_feature() -> None:
    head = fit_label_probe(drawn(4_000, (0.0, -1.0, 1.0)), penalty=PENALTY, balance=0.5)
    assert np.abs(head.weight).argmax(1).tolist() == [0, 1, 2]


def test_label_and_its_opposite_are_what_a_softmax_makes_of_two_classes() -> None:
    single = drawn(300, (0.0,))
    labels = single.present[:, 0].astype(np.int64)
    both = LabelProbeData(single.features, np.column_stack([~single.present, single.present]))
    sigmoids = fit_label_probe(both, penalty=PENALTY, balance=0).logits(single.features[0])
    softmax = fit_probe(ProbeData(single.features, labels, 2), penalty=PENALTY, balance=0).logits(single.features[0])
    assert sigmoids[:, 1] == pytest.approx(-sigmoids[:, 0], abs=0.05)
    assert sigmoids[:, 1] == pytest.approx(softmax[:, 1] - softmax[:, 0], abs=0.05)


def test_label_of_all_photos_or_of_none_has_finite_logits() -> None:
    data = drawn(50, (0.0,))
    present = np.column_stack([data.present, np.ones(50, np.bool_), np.zeros(50, np.bool_)])
    logits = fit_label_probe(LabelProbeData(data.features, present), penalty=PENALTY, balance=0.5).logits(
        data.features[0]
    )
    assert (logits[:, 1] > 0).all()
    assert (logits[:, 2] < 0).all()
