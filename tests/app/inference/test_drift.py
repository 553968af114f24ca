"""Drift is told once there are enough answers, and is small while they are as they were on the test split."""

import random

from whisker.app.inference.drift import Drift
from whisker.app.metrics import Metrics
from whisker.model.answers.profile import Profile

_PROFILE = Profile({"cat": 0.5, "dog": 0.5}, (0, 0.1, 0.1, 0.1, 0.2, 0.5))
_SCORES = [0.6, 0.8, 0.93, *[0.97] * 2, *[0.995] * 5]


def drift(metrics: Metrics) -> dict[str, float]:
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("whisker_drift{")]
    return {line.split('"')[3]: float(line.split()[-1]) for line in lines}


def test_drift_is_small_until_answers_change() -> None:
    metrics, chance = Metrics(), random.Random(0)  # noqa: S311 - answers, not secrets
    followed = Drift(metrics, "pets", ("cat", "dog"), _PROFILE)
    for _ in range(999):
        followed.record([chance.choice(("cat", "dog"))], chance.choice(_SCORES))
    assert drift(metrics) == {}
    followed.record(["cat"], 0.6)
    assert max(drift(metrics).values()) < 0.05
    for _ in range(500):
        followed.record(["cat"], 0.55)
    assert min(drift(metrics).values()) > 0.25
    assert drift(metrics).keys() == {"labels", "scores"}


def test_checkpoint_without_a_profile_reports_none() -> None:
    metrics = Metrics()
    followed = Drift(metrics, "pets", ("cat", "dog"), None)
    for _ in range(2000):
        followed.record(["cat"], 0.9)
    assert drift(metrics) == {}


def test_one_label_of_several_that_changes_is_drift() -> None:
    """Shares that do not exclude each other: each label is compared by itself."""
    metrics, chance = Metrics(), random.Random(0)  # noqa: S311 - answers, not secrets
    profile = Profile({"cat": 0.9, "dog": 0.5, "sofa": 0.1}, _PROFILE.scores)
    followed = Drift(metrics, "pets", ("cat", "dog", "sofa"), profile, task="multi-label")
    for _ in range(1000):
        labels = [name for name, share in profile.labels.items() if chance.random() < share]
        followed.record(labels, chance.choice(_SCORES))
    assert drift(metrics)["labels"] < 0.05
    for _ in range(1000):
        followed.record(["cat", "sofa"] if chance.random() < 0.5 else ["cat", "dog"], chance.choice(_SCORES))
    assert drift(metrics)["labels"] > 0.25
    assert drift(metrics)["scores"] < 0.05
