"""What a checkpoint's card holds, as JSON: the document that an inference worker sends, and pages and routes read."""

from typing import TypedDict, Union

from whisker.model.answers.kinds import Task

JsonValue = Union[None, bool, int, float, str, list["JsonValue"], dict[str, "JsonValue"]]  # noqa: UP007 - recursive, which `|` cannot be


class LabelThreshold(TypedDict):
    """From which score on a class is a label, and whether that was shown to keep its target precision."""

    label: str
    threshold: float
    guaranteed: bool


class CheckpointCard(TypedDict):
    """Everything that there is to know about a checkpoint that is being served.

    A single-label one has the score below which an answer is `unsure`, and whether photos have `shown` that answers
    above it keep their promised precision; a multi-label one has its `label_thresholds`.
    """

    name: str
    sha256: str
    device: str
    engine: str
    task: Task
    classes: list[str]
    preprocessing: dict[str, JsonValue]
    network: dict[str, JsonValue]
    temperature: float
    unsure: float | None
    shown: bool | None
    label_thresholds: list[LabelThreshold] | None
    knows_novelty: bool
    has_heat_maps: bool
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
