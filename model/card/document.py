"""What a checkpoint's card holds, as JSON: the document that an inference worker sends, and pages and routes read."""

from typing import TypedDict, Union

JsonValue = Union[None, bool, int, float, str, list["JsonValue"], dict[str, "JsonValue"]]  # noqa: UP007 - recursive, which `|` cannot be


class CheckpointCard(TypedDict):
    """Everything that there is to know about a checkpoint that is being served."""

    name: str
    sha256: str
    device: str
    engine: str
    classes: list[str]
    preprocessing: dict[str, JsonValue]
    network: dict[str, JsonValue]
    temperature: float
    unsure: float
    knows_novelty: bool
    has_heat_maps: bool
    metrics: dict[str, JsonValue]
    provenance: dict[str, JsonValue]
