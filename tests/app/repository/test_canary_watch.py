"""A canary is stopped soon if it is worse, and not if it is the same."""

import random

import pytest

from benchmarks.canaries import TIGHTEST, WORSE, Traffic, first_alarm
from whisker.app.repository.canary_watch import CanaryWatch
from whisker.app.repository.rollout import Bounds

_RUNS = 12  # of each traffic; `python -m benchmarks.canaries` makes 1,000


@pytest.mark.parametrize("traffic", [Traffic(), Traffic(refusals=0.3, classes=500)])
def test_identical_canary_is_not_stopped_even_by_the_tightest_bounds(traffic: Traffic) -> None:
    for seed in range(_RUNS):
        rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
        assert first_alarm(rng, traffic, traffic, bounds=TIGHTEST, answers=10_000, share=0.2) is None


@pytest.mark.parametrize(
    ("what", "answers", "sentence"),
    [
        ("refuses 10 % more", 600, "It refused, or did not know, "),
        ("refuses everything", 20, "It refused, or did not know, 100.0% of "),
        ("is 3 times slower", 250, "Its p95 of decoding and inference is "),
        ("always answers one class", 250, "The stability index between its labels and the served version's is "),
        ("has scores that are lower by a fifth", 250, "The stability index between its scores "),
    ],
)
def test_worse_canary_is_stopped(what: str, answers: int, sentence: str) -> None:
    for seed in range(5):
        rng = random.Random(seed)  # noqa: S311 - traffic, not secrets
        alarm = first_alarm(rng, WORSE[what], Traffic(), bounds=Bounds(), answers=100_000)
        assert alarm is not None
        assert alarm.answers <= answers
        assert alarm.reason.startswith(sentence)


def test_figures_are_in_the_reason() -> None:
    watch = CanaryWatch(Bounds())
    for number in range(1000):
        is_canary = number % 4 == 0
        label = "cat" if is_canary or number % 2 else "dog"
        watch.record(is_canary=is_canary, refused=False, seconds=0.01, labels=[label], score=0.8)
    assert watch.reason() == (
        "The stability index between its labels and the served version's is 2.06 over 250 answers, "
        "and at most 0.25 is allowed: `cat` makes up 100.0% instead of 66.7%."
    )


def test_labels_of_multi_label_answers_are_compared_one_by_one() -> None:
    rng, watch = random.Random(0), CanaryWatch(Bounds())  # noqa: S311 - traffic, not secrets
    for _ in range(2000):
        is_canary = rng.random() < 0.5
        labels = [name for name in ("cat", "dog") if rng.random() < 0.3] + ["bird"] * (is_canary and rng.random() < 0.4)
        watch.record(is_canary=is_canary, refused=False, seconds=0.01, labels=labels, score=0.8)
    reason = watch.reason()
    assert reason is not None
    assert "`bird` makes up 39.8% instead of 0.0%" in reason


def test_both_sides_are_of_the_same_period() -> None:
    """The photos of the day differ from those of the night, and the canary's window reaches farther back."""
    rng, watch = random.Random(0), CanaryWatch(Bounds())  # noqa: S311 - traffic, not secrets
    for number in range(40_000):
        label = "day" if number > 36_000 else "night"
        watch.record(is_canary=rng.random() < 0.05, refused=False, seconds=0.01, labels=[label], score=0.8)
        assert watch.reason() is None
