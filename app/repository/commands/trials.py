"""`whisker models canary | promote | shadow | stop`."""

from typing import Annotated

import typer

from whisker.app.repository import steps
from whisker.app.repository.commands.arguments import Model, Version, take_step
from whisker.app.repository.rollout import MAX_ANSWERS, Bounds, Canary, Shadow

_USUAL = Bounds()


def canary(
    model: Model,
    version: Version,
    *,
    share: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of requests that it answers, 0..1.")
    ] = 0.05,
    max_refusals: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            metavar="SHARE",
            help="How much higher its share of refused pictures may be, 0.05 for 5 points.",
        ),
    ] = _USUAL.refusals,
    max_latency: Annotated[
        float,
        typer.Option(min=1, max=1000, metavar="TIMES", help="How many times as long its p95 of computing may be."),
    ] = _USUAL.latency,
    max_drift: Annotated[
        float,
        typer.Option(
            min=0, max=1000, metavar="INDEX", help="How large the stability index of its labels and scores may be."
        ),
    ] = _USUAL.drift,
    min_answers: Annotated[
        int,
        typer.Option(min=1, max=MAX_ANSWERS, metavar="N", help="Answers of it before latency and drift are judged."),
    ] = _USUAL.answers,
) -> None:
    """Let a version answer a share of requests, until it is promoted, or stopped by its bounds or by you.

    What is served is pinned, and is what the canary is compared with over the same period.
    """
    bounds = Bounds(max_refusals, max_latency, max_drift, min_answers)
    trial = Canary(version, share, bounds)
    take_step(model, lambda versions, rollout: steps.start_canary(versions, rollout, trial))


def promote(model: Model) -> None:
    """Serve the canary: it is pinned in place of the version that is served."""
    take_step(model, steps.promote)


def shadow(
    model: Model,
    version: Version,
    *,
    share: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of requests that it answers, too, 0..1.")
    ] = 0.1,
) -> None:
    """Let a version answer a share of requests a second time; clients get none of its answers."""
    trial = Shadow(version, share)
    take_step(model, lambda versions, rollout: steps.start_shadow(versions, rollout, trial))


def stop(model: Model) -> None:
    """End the canary and the shadow; what is served stays."""
    take_step(model, steps.stop_trials)
