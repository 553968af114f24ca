"""Preparing a classifier that was loaded, with PyTorch, for processes without it."""

from typing import cast

from whisker.model.card.document import CheckpointCard, JsonValue, LabelThreshold
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.classifier import Classifier
from whisker.model.prepared.contents import pack


def prepare(classifier: Classifier, *, threads: int, largest: int) -> tuple[CheckpointCard, bytes]:
    """Give the card, and the container of the classifier compiled for batches up to `largest`.

    The container is empty if the engine needs PyTorch.
    """
    compiled, card = classifier.compiled(threads=threads, largest=largest), card_of(classifier)
    return card, b"" if compiled is None else pack(compiled, card)


def card_of(classifier: Classifier) -> CheckpointCard:
    """Describe the checkpoint, and how it runs here."""
    checkpoint = classifier.checkpoint
    is_single = checkpoint.task == "single-label"
    return {
        "name": checkpoint.name,
        "sha256": checkpoint.sha256,
        "device": classifier.device,
        "engine": classifier.engine,
        "task": checkpoint.task,
        "classes": list(checkpoint.classes),
        "preprocessing": checkpoint.preprocessing.to_json(),
        "network": checkpoint.network.to_json(),
        "temperature": checkpoint.temperature,
        "unsure": checkpoint.thresholds.unsure if is_single else None,
        "shown": checkpoint.thresholds.shown if is_single else None,
        "label_thresholds": None if is_single else _label_thresholds(checkpoint),
        "knows_novelty": checkpoint.novelty is not None,
        "has_heat_maps": checkpoint.network.has_feature_map,
        "metrics": cast("dict[str, JsonValue]", dict(checkpoint.metrics)),
        "provenance": cast("dict[str, JsonValue]", dict(checkpoint.provenance)),
    }


def _label_thresholds(checkpoint: Checkpoint) -> list[LabelThreshold]:
    thresholds = checkpoint.thresholds
    rows = zip(checkpoint.classes, thresholds.labels, thresholds.guaranteed, strict=True)
    return [{"label": name, "threshold": score, "guaranteed": guaranteed} for name, score, guaranteed in rows]
