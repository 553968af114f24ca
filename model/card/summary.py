"""A checkpoint's summary: what sentences about it are made of, wherever the checkpoint comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from whisker.model.answers.kinds import Task
from whisker.model.card.consistency import consistent
from whisker.model.card.document import CheckpointCard, JsonValue
from whisker.model.card.metrics import TestMetrics
from whisker.model.card.provenance import Provenance


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """What a checkpoint knows of itself; `network` and `preprocessing` are the configurations in its header."""

    task: Task
    classes: Sequence[str]
    network: Mapping[str, JsonValue]
    preprocessing: Mapping[str, JsonValue]
    temperature: float
    unsure: float | None  # the score below which a single-label answer is unsure
    shown: (
        bool | None
    )  # whether single-label answers above it were shown to keep their precision; if not, all are unsure
    knows_novelty: bool
    metrics: TestMetrics
    provenance: Provenance
    sha256: str

    @classmethod
    def from_card(cls, card: CheckpointCard) -> Self:
        """Summarise the checkpoint of a running service."""
        return cls(
            task=card["task"],
            classes=card["classes"],
            network=card["network"],
            preprocessing=card["preprocessing"],
            temperature=card["temperature"],
            unsure=card["unsure"],
            shown=card["shown"],
            knows_novelty=card["knows_novelty"],
            metrics=consistent(TestMetrics.from_json(card["metrics"]), len(card["classes"])),
            provenance=Provenance.from_json(card["provenance"]),
            sha256=card["sha256"],
        )
