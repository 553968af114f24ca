"""How seldom a canary that is identical is stopped, and after how many answers one that is worse is.

`python -m benchmarks.canaries` draws traffic at random, and lets `CanaryWatch` judge it after each answer of a canary;
docs/how-to/models.md has the figures.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated

import typer

from whisker.app.repository.canary_watch import CanaryWatch
from whisker.app.repository.rollout import Bounds

TIGHTEST = Bounds(refusals=0, latency=1, drift=0, answers=1)  # with which only chance keeps a canary
_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Traffic:
    """How a version answers: shares of refusals, seconds, and labels of so many classes, the first the most frequent.

    With `only_label`, it answers nothing else.
    """

    refusals: float = 0.02
    median_seconds: float = 0.02
    classes: int = 10
    only_label: int | None = None
    lower_scores: float = 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """After how many answers of a canary it was stopped, and why."""

    answers: int
    reason: str


WORSE = {
    "refuses 10 % more": Traffic(refusals=0.12),
    "refuses everything": Traffic(refusals=1.0),
    "is 3 times slower": Traffic(median_seconds=0.06),
    "always answers one class": Traffic(only_label=0),
    "has scores that are lower by a fifth": Traffic(lower_scores=0.2),
}


def first_alarm(
    rng: random.Random,
    canary: Traffic,
    served: Traffic,
    *,
    bounds: Bounds,
    answers: int,
    share: float = _SHARE,
) -> Alarm | None:
    """Draw so many answers of both versions together, and give the first alarm."""
    watch, count = CanaryWatch(bounds), 0
    sources = {True: _answers(rng, canary), False: _answers(rng, served)}
    for _ in range(answers):
        is_canary = rng.random() < share
        refused, seconds, labels, score = next(sources[is_canary])
        watch.record(is_canary=is_canary, refused=refused, seconds=seconds, labels=labels, score=score)
        count += is_canary
        if is_canary and (reason := watch.reason()):
            return Alarm(count, reason)
    return None


def main(
    *,
    runs: Annotated[int, typer.Option(help="Runs of 10,000 answers of an identical canary.")] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
) -> None:
    """Count false alarms, and the answers until a worse canary is stopped."""
    for name, bounds in (("the default bounds", Bounds()), ("the tightest bounds", TIGHTEST)):
        alarms = 0
        for run in range(runs):
            # Half of 20,000 answers are the canary's: the most looks that 10,000 of them allow.
            rng, same = random.Random(seed + run), Traffic()  # noqa: S311 - traffic, not secrets
            alarms += first_alarm(rng, same, same, bounds=bounds, answers=20_000, share=0.5) is not None
        typer.echo(f"Identical, {name}: stopped in {alarms:,} of {runs:,} runs of 10,000 answers.")
    for name, traffic in WORSE.items():
        rng = random.Random(seed)  # noqa: S311
        found = [first_alarm(rng, traffic, Traffic(), bounds=Bounds(), answers=100_000) for _ in range(100)]
        counts = sorted(it.answers for it in found if it is not None)
        typer.echo(
            f"{name}: stopped in {len(counts)} of 100 runs, after {counts[49]:,} (median), {counts[-1]:,} (max)."
        )


def _answers(rng: random.Random, traffic: Traffic) -> Iterator[tuple[bool, float, tuple[str, ...], float]]:
    names = [f"class {index}" for index in range(traffic.classes)]
    weights = [*accumulate(1 / (1 + index) for index in range(traffic.classes))]
    while True:
        refused = rng.random() < traffic.refusals
        seconds = traffic.median_seconds * rng.lognormvariate(0, 0.5)
        label = rng.choices(names, cum_weights=weights)[0] if traffic.only_label is None else names[traffic.only_label]
        score = (1 - 0.6 * rng.random() ** 2) * (1 - traffic.lower_scores)
        yield refused, seconds, () if refused else (label,), score


if __name__ == "__main__":
    typer.run(main)
