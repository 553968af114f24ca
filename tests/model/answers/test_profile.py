"""Profiles of answers, and how far apart two lists of shares are."""

import numpy as np
import pytest

from whisker.model.answers.profile import Profile, largest_stability_index, stability_index


def test_profile_counts_labels_and_scores() -> None:
    probabilities = np.array([[0.96, 0.04], [0.92, 0.08], [0.4, 0.6], [1.0, 0.0]], np.float32)
    profile = Profile.measure(probabilities, ("cat", "dog"))
    assert profile.labels == {"cat": 0.75, "dog": 0.25}
    assert [*profile.scores] == [0, 0.25, 0, 0.25, 0.25, 0.25]
    assert Profile.from_json(profile.to_json()) == profile


@pytest.mark.parametrize("document", [None, {}, {"labels": {}, "score_edges": [0.5], "scores": [1, 0]}])
def test_profile_of_another_version_is_none(document: dict[str, object] | None) -> None:
    assert Profile.from_json(document) is None


def test_stability_index_grows_with_the_difference() -> None:
    assert stability_index([0.5, 0.5], [0.5, 0.5]) == 0
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5)
    assert stability_index([0.5, 0.5], [0.6, 0.4]) == pytest.approx(0.0405, abs=1e-4)
    assert stability_index([0.5, 0.5], [1, 0]) > 0.25
    assert stability_index([1, 0], [1, 0]) == 0


def test_profile_of_several_labels_counts_each_of_them() -> None:
    probabilities = np.array([[0.96, 0.94], [0.92, 0.08], [0.4, 0.3], [1.0, 0.8]], np.float32)
    profile = Profile.measure_labels(probabilities >= 0.5, probabilities, ("cat", "dog"))
    assert profile.labels == {"cat": 0.75, "dog": 0.5}
    assert [*profile.scores] == [0.25, 0, 0, 0.25, 0.25, 0.25]
    assert Profile.from_json(profile.to_json()) == profile


def test_largest_index_is_that_of_the_label_that_moved_most() -> None:
    moved = stability_index([0.2, 0.8], [0.6, 0.4])
    assert largest_stability_index([0.9, 0.2, 0.5], [0.9, 0.6, 0.45]) == pytest.approx(moved)
    assert largest_stability_index([0.9, 0.0], [0.9, 0.0]) == 0
    assert largest_stability_index([], []) == 0
