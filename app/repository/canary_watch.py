"""Whether a canary must be stopped: its answers beside those of the version that is served, over the same period.

A bound is left if the estimate is beyond it, and if chance does not explain that the canary is worse at all
(`whisker.app.repository.evidence`). A canary that is identical is therefore not stopped, not even if a bound is zero.
"""

import math
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whisker.app.errors import quoted
from whisker.app.repository.evidence import (
    SURE,
    chance_index,
    evidence_of_difference,
    evidence_of_more,
    join_rare,
)
from whisker.app.repository.rollout import Bounds
from whisker.model.answers.profile import SCORE_EDGES, stability_index

_WINDOW = 1000  # latest answers of the canary that are compared
_COMPANIONS = 4  # answers of the served version for each of them: more would add little
_EVERY = 25  # answers of the canary between two comparisons of latency and drift, at least
_EVERY_SHARE = 0.1  # of the answers in the window, between two such comparisons


@dataclass(frozen=True, slots=True)
class _Answer:
    turn: int  # how many answers of the canary there were by then
    refused: bool
    seconds: float
    labels: tuple[str, ...]
    score_bin: int


class _Side:
    """The latest answers of a version."""

    def __init__(self) -> None:
        self.answers: deque[_Answer] = deque()
        self.refused = 0

    @property
    def count_used(self) -> int:
        return len(self.answers) - self.refused

    @property
    def used(self) -> list[_Answer]:
        return [it for it in self.answers if not it.refused]

    def append(self, answer: _Answer) -> None:
        self.answers.append(answer)
        self.refused += answer.refused

    def drop_before(self, turn: int) -> None:
        while self.answers and self.answers[0].turn < turn:
            self.refused -= self.answers.popleft().refused


class CanaryWatch:
    """Keep the latest answers of both versions, and say when a canary must be stopped.

    Both sides are of the same period: what the served version answered before the oldest answer of the canary that is
    kept is forgotten. Memory is bounded, by some 5,000 answers with the usual bounds.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._window = max(_WINDOW, bounds.answers)
        self._canary, self._served = _Side(), _Side()
        self._turn = self._companions = self._next_turn = 0
        self._reason: str | None = None

    def record(self, *, is_canary: bool, refused: bool, seconds: float, labels: Sequence[str], score: float) -> None:
        """Record an answer: whether it refused the picture, or else what it said, and how long that took to compute.

        `seconds` are those of decoding and inference. Only answers whose version was drawn by chance may be recorded,
        and only one of each request: the pictures of a batch have a client in common.
        """
        if is_canary:
            self._turn += 1
            self._companions = 0
        elif self._companions == _COMPANIONS:
            return
        side = self._canary if is_canary else self._served
        self._companions += not is_canary
        side.append(_Answer(self._turn, refused, seconds, tuple(labels), bisect_right(SCORE_EDGES, score)))
        for each in (self._canary, self._served):
            each.drop_before(self._turn - self._window + 1)

    def reason(self) -> str | None:
        """Say, in one sentence with figures, why the canary must be stopped; `None` if it may go on.

        It may be asked after every answer: latency and drift are compared now and then only.
        """
        if self._reason is None:
            self._reason = self._excess_of_refusals()
        if self._reason is None and self._turn >= self._next_turn:
            self._reason = self._comparison()
        return self._reason

    def _excess_of_refusals(self) -> str | None:
        canary, served, most = self._canary, self._served, self._bounds.refusals
        count, other_count = len(canary.answers), len(served.answers)
        if not canary.refused or not other_count:
            return None
        share, other_share = canary.refused / count, served.refused / other_count
        evidence = evidence_of_more(canary.refused, count, served.refused, other_count)
        if share - other_share <= most or evidence < SURE:
            return None
        return (
            f"It refused, or did not know, {share:.1%} of {count:,} pictures, and the served version "
            f"{other_share:.1%} of {other_count:,}: at most {100 * most:g} percentage points more are allowed."
        )

    def _comparison(self) -> str | None:
        if self._canary.count_used < self._bounds.answers or not self._served.count_used:
            return None
        answers, others = self._canary.used, self._served.used
        self._next_turn = self._turn + max(_EVERY, int(_EVERY_SHARE * len(answers)))
        return self._slowness(answers, others) or self._drift(answers, others)

    def _slowness(self, answers: Sequence[_Answer], others: Sequence[_Answer]) -> str | None:
        p95, other_p95 = (_p95([it.seconds for it in side]) for side in (answers, others))
        limit = self._bounds.latency * other_p95
        slow, other_slow = (sum(it.seconds > limit for it in side) for side in (answers, others))
        if p95 <= limit or evidence_of_more(slow, len(answers), other_slow, len(others)) < SURE:
            return None
        return (
            f"Its p95 of decoding and inference is {1000 * p95:.3g} ms over {len(answers):,} answers, and the served "
            f"version's {1000 * other_p95:.3g} ms: at most {self._bounds.latency:g} times as long is allowed."
        )

    def _drift(self, answers: Sequence[_Answer], others: Sequence[_Answer]) -> str | None:
        for what, populations in (("labels", _labels(answers, others)), ("scores", [_scores(answers, others)])):
            for population in populations:
                index = population.index
                if index > self._bounds.drift and population.evidence - math.log(len(populations)) >= SURE:
                    return (
                        f"The stability index between its {what} and the served version's is {index:.2f} over "
                        f"{len(answers):,} answers, and at most {self._bounds.drift:g} is allowed: "
                        f"{population.largest_change()}."
                    )
        return None


@dataclass(frozen=True, slots=True)
class _Population:
    """How many answers of the canary, and of the served version, are in each category."""

    names: Sequence[str]
    counts: Sequence[int]
    others: Sequence[int]

    @property
    def index(self) -> float:
        """Give the stability index, less what chance adds to it."""
        counts, others = join_rare(self.counts, self.others)
        count, other_count = sum(counts), sum(others)
        shares, other_shares = [it / count for it in counts], [it / other_count for it in others]
        return stability_index(other_shares, shares) - chance_index(len(counts), count, other_count)

    @property
    def evidence(self) -> float:
        return evidence_of_difference(*join_rare(self.counts, self.others))

    def largest_change(self) -> str:
        count, other_count = sum(self.counts), sum(self.others)
        changes = [(a / count, b / other_count) for a, b in zip(self.counts, self.others, strict=True)]
        name, (share, other) = max(zip(self.names, changes, strict=True), key=lambda it: abs(it[1][0] - it[1][1]))
        return f"{name} makes up {share:.1%} instead of {other:.1%}"


def _labels(answers: Sequence[_Answer], others: Sequence[_Answer]) -> list[_Population]:
    """Count labels: as one population if every answer has exactly one, or else as one for each label."""
    counts, other_counts = (Counter(label for it in side for label in it.labels) for side in (answers, others))
    names = sorted(counts | other_counts)
    if all(len(it.labels) == 1 for side in (answers, others) for it in side):
        quoted_names = [quoted(name) for name in names]
        return [_Population(quoted_names, [counts[it] for it in names], [other_counts[it] for it in names])]
    pairs = ((name, counts[name], other_counts[name]) for name in names)
    return [
        _Population((quoted(name), f"no {quoted(name)}"), (n, len(answers) - n), (m, len(others) - m))
        for name, n, m in pairs
    ]


def _scores(answers: Sequence[_Answer], others: Sequence[_Answer]) -> _Population:
    counts, other_counts = (Counter(it.score_bin for it in side) for side in (answers, others))
    bins = range(len(SCORE_EDGES) + 1)
    return _Population([*_bin_names()], [counts[it] for it in bins], [other_counts[it] for it in bins])


def _bin_names() -> Iterator[str]:
    for low, high in zip((0, *SCORE_EDGES), (*SCORE_EDGES, 1), strict=True):
        yield f"a score from {low:g} to {high:g}"


def _p95(seconds: Sequence[float]) -> float:
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
