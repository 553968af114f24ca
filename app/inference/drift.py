"""Drift: how much the latest answers differ from the checkpoint's answers on its test photos."""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence

from whisker.app.metrics import Metrics
from whisker.model.answers.kinds import Task
from whisker.model.answers.profile import SCORE_EDGES, Profile, largest_stability_index, stability_index

_ANSWERS = 1000  # compared at a time, the latest ones; with fewer, chance looks like drift
_ANSWERS_A_CLASS = 20
_EVERY = 100  # answers between two comparisons


class Drift:
    """Compare the latest answers with a checkpoint's profile, if it has one, and report two stability indices."""

    def __init__(
        self,
        metrics: Metrics,
        name: str,
        classes: Sequence[str],
        profile: Profile | None,
        *,
        task: Task = "single-label",
    ) -> None:
        self._profile = profile
        self._metrics = metrics
        self._name = name
        self._index_of_labels = stability_index if task == "single-label" else largest_stability_index
        self._latest: deque[tuple[Sequence[str], int]] = deque(maxlen=max(_ANSWERS, _ANSWERS_A_CLASS * len(classes)))
        self._answers = 0

    def record(self, labels: Sequence[str], score: float) -> None:
        """Record an answer: its labels, and the score of the best class."""
        if self._profile is None:
            return
        self._latest.append((labels, bisect_right(SCORE_EDGES, score)))
        self._answers += 1
        if self._answers % _EVERY == 0 and len(self._latest) == self._latest.maxlen:
            self._compare(self._profile)

    def _compare(self, profile: Profile) -> None:
        labels = Counter(label for named, _ in self._latest for label in named)
        bins = Counter(score_bin for _, score_bin in self._latest)
        count = len(self._latest)
        shares = [labels[name] / count for name in profile.labels]
        of_scores = stability_index(profile.scores, [bins[index] / count for index in range(len(profile.scores))])
        self._metrics.drift.labels(self._name, "labels").set(self._index_of_labels([*profile.labels.values()], shares))
        self._metrics.drift.labels(self._name, "scores").set(of_scores)
