"""What a checkpoint's card says to people: sentences and rows out of what training has measured."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MAX_CLASSES_PICTURED = 30  # of a confusion matrix
_MAX_CLASSES_LISTED = 200
_FEW = 100  # test photos

Document = Mapping[str, Any]


def describe(card: Document) -> dict[str, Any]:
    """Write what the template shows; a checkpoint that was not measured in some respect says nothing of it."""
    metrics, provenance, classes = card["metrics"], card["provenance"], card["classes"]
    photos: Document = provenance.get("data", {}).get("photos", {})
    confusion = metrics.get("test", {}).get("confusion")
    return {
        "taught": _taught(classes, photos),
        "photos": photos,
        "per_class": bool(metrics.get("figures", {}).get("per_class")),
        "rows": [*_rows(classes, photos, metrics.get("figures", {}).get("per_class", ()))][:_MAX_CLASSES_LISTED],
        "right": [*_right(metrics)],
        "limits": [*_limits(card)],
        "made": [*_made(card)],
        "confusion": None if confusion is None else _shades(classes, confusion),
    }


def percent(share: float) -> str:
    """Write a share of 0 to 1 as people read it."""
    return f"{100 * share:.1f} %"


def format_score(score: float) -> str:
    """Say a score as the page's script does: none that is not certain looks so."""
    if 0.999 < score < 1:
        return "> 99.9 %"
    return "< 0.1 %" if 0 < score < 0.001 else percent(score)


def _taught(classes: Sequence[str], photos: Document) -> str:
    if not photos:
        return f"To tell {len(classes)} classes apart: {', '.join(classes)}."
    return f"To tell {len(classes)} classes apart, with {sum(photos.values()):,} photos, some of them kept for tests."


def _rows(classes: Sequence[str], photos: Document, measured: Sequence[Document]) -> Iterator[dict[str, str]]:
    found = measured or [{}] * len(classes)
    for label, figures in zip(classes, found, strict=True):
        yield {
            "label": label,
            "photos": f"{photos.get(label, 0):,}",
            "recall": _share(figures, "recall"),
            "precision": _share(figures, "precision"),
        }


def _share(figures: Document, name: str) -> str:
    value = figures.get(name)
    return "-" if value is None else percent(value)


def _right(metrics: Document) -> Iterator[str]:
    test, confident = metrics.get("test", {}), metrics.get("confident", {})
    if "accuracy_95_interval" in test:
        low, high = test["accuracy_95_interval"]
        yield (
            f"Of {test['photos']:,} photos that it had not seen in training, it named {percent(test['accuracy'])} "
            f"rightly (95 % interval: {percent(low)} to {percent(high)})."
        )
    if "expected_calibration_error" in test:
        error = percent(test["expected_calibration_error"])
        yield f"On average its scores differ by {error} from how often it is right; 0 would be perfect."
    if confident.get("answers"):
        yield (
            f"It called {confident['answers']:,} of {confident['of']:,} answers confident; of those, "
            f"{confident['wrong']:,} {'was' if confident['wrong'] == 1 else 'were'} wrong."
        )
    if 0 < test.get("photos", 0) < _FEW:
        yield "With so few test photos, all of this is rough."


def _limits(card: Document) -> Iterator[str]:
    size, unknown = card["preprocessing"]["size"], card["metrics"].get("unknown", {})
    yield f"It knows these classes and no others, and it sees a photo squashed to {size} x {size} pixels."
    if not card["knows_novelty"]:
        yield "It has no measure of what it does not know: it names one of its classes whatever the picture shows."
        return
    yield "Of a picture that is like nothing it was taught, it says so."
    if outliers := unknown.get("outliers"):
        yield (
            f"It said so of {outliers['caught']:,} of {outliers['of']:,} pictures of other things, and wrongly of "
            f"{unknown['false_alarms']:,} of {unknown['of']:,} photos of what it knows."
        )


def _made(card: Document) -> Iterator[tuple[str, str]]:
    provenance, network = card["provenance"], card["network"]
    yield "Network", f"{network['family']}, width {network['width']}"
    yield "Engine here", f"{card['engine']} on {card['device']}"
    if "date" in provenance:
        yield "Trained", provenance["date"]
    if "training_minutes" in provenance:
        yield "Training took", f"{provenance['training_minutes']} minutes"
    yield "SHA-256", card["sha256"]


def _shades(classes: Sequence[str], confusion: Sequence[Sequence[int]]) -> dict[str, Any] | None:
    """Give each cell of a confusion matrix its place, its count and its share of the row: how dark it is."""
    if len(classes) > _MAX_CLASSES_PICTURED:
        return None
    cells = [
        {"row": row, "column": column, "count": count, "share": round(count / max(1, sum(counts)), 4)}
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
    ]
    return {"classes": classes, "cells": cells}
