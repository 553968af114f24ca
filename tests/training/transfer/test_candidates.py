"""What becomes the final network: accuracy chooses among what is no less likely than the probe."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from whisker.training.transfer.candidates import PROBE, Candidate, choose, judge

SHARES = (PROBE, 0.5, 0.75)


def logits_for(labels: NDArray[np.int64], right: int, margin: float = 1.0) -> NDArray[np.float32]:
    """Answer the first `right` photos rightly and the others wrongly."""
    answers = np.where(np.arange(len(labels)) < right, labels, 1 - labels)
    return (margin * np.eye(2)[answers]).astype(np.float32)


def test_candidates_are_judged_by_accuracy_and_by_likelihood_at_their_best_temperature() -> None:
    labels = np.arange(40) % 2
    probe, scaled, better = judge(
        {PROBE: logits_for(labels, 30), 0.5: logits_for(labels, 30, margin=7), 1.0: logits_for(labels, 38)}, labels
    )
    assert (probe.share, scaled.share, better.share) == (PROBE, 0.5, 1.0)
    assert probe.accuracy == 0.75
    assert better.accuracy == pytest.approx(0.95)
    assert scaled.likelihood == pytest.approx(probe.likelihood, abs=1e-4)  # temperature undoes the scale
    assert probe.likelihood == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=0.01)
    assert better.likelihood < probe.likelihood


def test_most_accurate_candidate_is_chosen() -> None:
    candidates = [Candidate(PROBE, 0.8, 0.5), Candidate(0.5, 0.9, 0.4), Candidate(0.75, 0.85, 0.3)]
    assert choose(candidates) is candidates[1]


def test_more_likely_one_of_equally_accurate_candidates_is_chosen() -> None:
    candidates = [Candidate(PROBE, 0.8, 0.5), Candidate(0.5, 0.8, 0.45), Candidate(0.75, 0.8, 0.4)]
    assert choose(candidates) is candidates[2]


def test_accuracy_alone_does_not_beat_the_probe() -> None:
    candidates = [Candidate(PROBE, 0.8, 0.5), Candidate(0.5, 1.0, 0.51)]
    assert choose(candidates) is candidates[0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3)), min_size=3, max_size=3))
def test_choice_is_never_less_likely_nor_less_accurate_than_the_probe(figures: list[tuple[float, float]]) -> None:
    candidates = [Candidate(share, *pair) for share, pair in zip(SHARES, figures, strict=True)]
    chosen, probe = choose(candidates), candidates[0]
    assert chosen in candidates
    assert chosen.likelihood <= probe.likelihood
    assert chosen.accuracy >= probe.accuracy


@pytest.mark.parametrize(
    ("share", "name"),
    [(PROBE, "Linear probe"), (1.0, "Fine-tuned"), (0.75, "Fine-tuned, averaged with the probe (75%)")],
)
def test_candidate_has_a_name_for_people(share: float, name: str) -> None:
    assert Candidate(share, 0.9, 0.2).name == name
