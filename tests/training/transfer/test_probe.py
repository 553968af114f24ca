"""The linear probe: a weighted, regularised logistic regression."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.transfer.small import clusters
from whisker.training.transfer.probe import ProbeData, fit_probe


def accuracy(data: ProbeData, fresh: ProbeData, **options: float) -> float:
    return float((fit_probe(data, **options).logits(fresh.features[0]).argmax(1) == fresh.labels).mean())


@pytest.mark.parametrize("width", [8, 200])  # fewer features than photos, and more
def test_probe_separates_what_is_separable(width: int) -> None:
    assert accuracy(clusters(20, width=width), clusters(200, width=width, seed=1)) > 0.97


def test_probe_is_where_the_gradient_of_its_loss_vanishes() -> None:
    """The documented loss, written out in float64."""
    data, penalty = clusters(20, spread=3), 0.01
    head = fit_probe(data, penalty=penalty, balance=0.0)
    weight = torch.tensor(head.weight, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(head.bias, dtype=torch.float64, requires_grad=True)
    x = torch.from_numpy(data.features.reshape(-1, 8)).double()
    variance = (x - x.mean(0)).square().sum(1).mean()
    loss = functional.cross_entropy(x @ weight.T + bias, torch.from_numpy(np.tile(data.labels, 2)))
    loss = loss + penalty / 2 * variance * weight.square().sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for parameter in (weight, bias):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) < 1e-3


def test_more_features_than_photos_give_the_same_answers_as_the_whole_problem() -> None:
    """Zeros beside the features change nothing, but make more columns than rows."""
    data = clusters(10)
    padded = replace(data, features=np.pad(data.features, ((0, 0), (0, 0), (0, 100))))
    fresh = clusters(5, seed=1).features[0]
    wide = fit_probe(padded).logits(np.pad(fresh, ((0, 0), (0, 100))))
    np.testing.assert_allclose(wide, fit_probe(data).logits(fresh), atol=0.02)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_scale_and_place_of_the_features_do_not_matter(factor: float) -> None:
    """The penalty is in units of their variance."""
    data, fresh = clusters(20, spread=3), clusters(20, spread=3, seed=1).features[0]
    other = replace(data, features=(data.features * factor + 5 * factor).astype(np.float32))
    moved = fit_probe(other).logits((fresh * factor + 5 * factor).astype(np.float32))
    np.testing.assert_allclose(moved, fit_probe(data).logits(fresh), atol=0.1)


def test_stronger_penalty_gives_smaller_weights() -> None:
    data = clusters(20)
    lengths = [float(np.square(fit_probe(data, penalty=penalty).weight).sum()) for penalty in (1e-4, 1e-2, 1.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > 10 * lengths[2]


def test_balance_raises_the_recall_of_a_rare_class() -> None:
    both, fresh = clusters(100, classes=2, spread=4), clusters(500, classes=2, spread=4, seed=1)
    rare = both.take(np.arange(110))  # 100 of the first class, 10 of the second
    recalls = []
    for balance in (0.0, 0.5, 1.0):
        answers = fit_probe(rare, balance=balance).logits(fresh.features[0]).argmax(1)
        recalls.append(float((answers[fresh.labels == 1] == 1).mean()))
    assert recalls == sorted(recalls)
    assert recalls[2] > recalls[0] + 0.05


def test_class_without_a_photo_never_wins() -> None:
    data = replace(clusters(20), classes=4)
    logits = fit_probe(data).logits(clusters(200, seed=1).features[0])
    assert logits.shape[1] == 4
    assert not (logits.argmax(1) == 3).any()


def test_photos_are_taken_in_all_views() -> None:
    data = clusters(4)
    taken = data.take(np.array([7, 2]))
    np.testing.assert_array_equal(taken.features, data.features[:, [7, 2]])
    np.testing.assert_array_equal(taken.labels, data.labels[[7, 2]])
    assert taken.classes == 3
