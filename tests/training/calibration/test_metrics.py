import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisker.training.calibration.metrics import evaluate_probabilities, share_out, wilson_interval


@pytest.mark.parametrize(  # 81 of 263 is the example of Newcombe 1998
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (95, 100, 0.8882, 0.9785)],
)
def test_wilson_interval_has_known_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 10_000), st.data())
def test_wilson_interval_holds_the_estimate(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1


def test_evaluation_counts_what_happened() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    result = evaluate_probabilities(probabilities, np.array([0, 0, 1, 1]))
    assert result.confusion == ((2, 0), (1, 1))
    assert result.accuracy == 0.75
    assert result.negative_log_likelihood == pytest.approx(-np.log([0.9, 0.6, 0.8, 0.3]).mean())
    # One photo a bin: 0.9 and 0.6 and 0.8 are right, 0.7 is wrong.
    assert result.calibration_error == pytest.approx((0.1 + 0.4 + 0.2 + 0.7) / 4)
    assert "75.0% (95 % interval" in str(result)
    assert result.to_json()["accuracy_95_interval"] == [round(bound, 4) for bound in result.interval]


def test_perfectly_calibrated_scores_have_no_calibration_error() -> None:
    probabilities = np.tile(np.array([[0.75, 0.25]], np.float32), (400, 1))
    labels = np.array([0, 0, 0, 1] * 100)
    assert evaluate_probabilities(probabilities, labels).calibration_error == pytest.approx(0, abs=1e-6)


def test_repeats_of_the_same_answers_change_no_figure() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]], np.float32)
    labels = np.array([0, 0, 1, 1])
    once = evaluate_probabilities(probabilities, labels)
    repeated = evaluate_probabilities(np.tile(probabilities, (3, 1)), np.tile(labels, 3), repeats=3)
    assert (repeated.photos, repeated.confusion, repeated.interval) == (4, once.confusion, once.interval)
    assert repeated.negative_log_likelihood == pytest.approx(once.negative_log_likelihood)
    assert repeated.calibration_error == pytest.approx(once.calibration_error)


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(1, 5))
def test_counts_that_are_shared_out_keep_their_sum_and_stay_close(counts: list[int], repeats: int) -> None:
    shared = share_out(np.array(counts), repeats)
    assert sum(shared) == round(sum(counts) / repeats)
    assert all(abs(mean - count / repeats) < 1 for mean, count in zip(shared, counts, strict=True))
