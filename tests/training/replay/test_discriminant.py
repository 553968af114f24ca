"""Linear discriminants of statistics are those of the covariance that they stand for."""

import numpy as np

from whisker.model.checkpoint.statistics import ClassStatistics
from whisker.training.replay.discriminant import fit_discriminants


def test_discriminants_invert_the_shrunk_covariance() -> None:
    rng = np.random.default_rng(0)
    factors, noise = rng.normal(size=(3, 8)).astype(np.float32), rng.random(8, np.float32)
    empty = np.empty((0, 2), np.float32)
    statistics = ClassStatistics(
        np.array([9, 9]), np.zeros((2, 8), np.float32), factors, noise, empty, np.empty(0, np.int64)
    )
    means = rng.normal(size=(3, 8)).astype(np.float32)
    head = fit_discriminants(statistics, means)
    diagonal = noise**2 + 1e-4 * (noise**2).mean() + 0.1 * (factors**2).sum() / 8
    weight = np.linalg.solve(factors.T @ factors + np.diag(diagonal), means.T).T
    bias = -0.5 * (weight * means).sum(1)
    scale = head.weight[0, 0] / weight[0, 0]
    assert scale > 0
    np.testing.assert_allclose(head.weight, weight * scale, rtol=1e-3)
    np.testing.assert_allclose(head.bias, bias * scale, rtol=1e-3)


def test_answers_for_the_means_are_right() -> None:
    rng = np.random.default_rng(1)
    statistics = ClassStatistics(
        np.array([9, 9]),
        np.zeros((2, 30), np.float32),
        np.zeros((0, 30), np.float32),
        np.ones(30, np.float32),
        np.empty((0, 2), np.float32),
        np.empty(0, np.int64),
    )
    means = rng.normal(0, 3, (5, 30)).astype(np.float32)
    assert fit_discriminants(statistics, means).logits(means).argmax(1).tolist() == [0, 1, 2, 3, 4]
