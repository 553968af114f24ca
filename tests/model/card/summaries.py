"""Summaries to write about, each with only the parts that a test is about, and what is written in plain spaces."""

from collections.abc import Iterable
from typing import Any

from whisker.model.card.metrics import TestMetrics
from whisker.model.card.provenance import Provenance
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.facts import Fact


def summary(
    metrics: dict[str, Any] | None = None, provenance: dict[str, Any] | None = None, **changes: Any
) -> CheckpointSummary:
    values: dict[str, Any] = {
        "task": "single-label",
        "classes": ("cat", "dog"),
        "network": {"family": "resnet", "activation": "relu", "width": 32, "depth": 2, "channels": 3},
        "preprocessing": {"size": 64},
        "temperature": 0.5,
        "unsure": 0.9,
        "shown": True,
        "knows_novelty": True,
        "sha256": "0" * 64,
    }
    return CheckpointSummary(
        **(values | changes),
        metrics=TestMetrics.from_json(metrics or {}),
        provenance=Provenance.from_json(provenance or {}),
    )


def plain(sentences: Iterable[str]) -> list[str]:
    """List sentences with ordinary spaces."""
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in sentences]


def plain_facts(facts: Iterable[Fact]) -> dict[str, str]:
    """Map terms to what is said of them, with ordinary spaces."""
    return {term: value.replace("\N{NO-BREAK SPACE}", " ") for term, value in facts}
