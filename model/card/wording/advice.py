"""What to do next, in three sentences, from what was measured: more photos, the classes confused, and the verdicts."""

from collections.abc import Iterator, Sequence

from whisker.model.card.confusion import photos_of_classes, wrong_cells
from whisker.model.card.metrics import LearningCurve, SplitMetrics
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.formats import percent

_WORTHWHILE = 0.02  # gain in accuracy for which twice as many photos are worth the work
_GOOD = 0.98  # accuracy above which errors are mostly wrong labels
_MANY = 1_000  # photos of a class, with which a network can be trained from scratch


def advise(summary: CheckpointSummary) -> list[str]:
    """Say what to do next: one sentence each on photos, on classes and on verdicts.

    Of an imported classifier, whose training is not known, there is nothing to advise on photos.
    """
    if summary.provenance.imported is not None:
        return [*_on_classes(summary), *_on_verdicts(summary)]
    return [*_on_photos(summary), *_on_classes(summary), *_on_verdicts(summary)]


def describe_learning_curve(curve: LearningCurve, classes: Sequence[str]) -> str:
    """Say what twice as many photos are expected to bring, and to which class most."""
    low, high = curve.doubled.accuracy_95_interval
    sentence = (
        f"With twice as many photos ({curve.doubled.photos:,}), expect about {percent(curve.doubled.accuracy)} "
        f"(95 % interval {percent(low)} to {percent(high)})"
    )
    best = _gains_most(curve, classes)
    return f"{sentence}; {best[0]} would gain most." if best else f"{sentence}."


def _on_photos(summary: CheckpointSummary) -> Iterator[str]:
    test, curve = summary.metrics.test or SplitMetrics(), summary.metrics.learning_curve
    if test.accuracy is None:
        return
    if curve is None and _started_from_scratch(summary) and test.accuracy < _GOOD:
        yield (
            "Start from pretrained weights, as `whisker train` does by default: with fewer than "
            f"{_MANY:,} photos a class, a network from scratch is much less accurate."
        )
        return
    if curve is None:
        yield (
            "To know whether more photos would help, train on half of them and compare: if that costs more than "
            f"{percent(_WORTHWHILE, 0)}, twice as many will help."
        )
        return
    gain = curve.doubled.accuracy - test.accuracy
    if gain < _WORTHWHILE and summary.shown is False:
        yield (
            "Add photos: twice as many would hardly bring more right answers, but may show which of them can be relied "
            "on."
        )
        return
    if gain < _WORTHWHILE:
        yield (
            f"Twice as many photos like these would bring little (about {percent(max(0.0, gain))} more right answers): "
            "look for other kinds of photos instead, as the service will get them."
        )
        return
    best = _gains_most(curve, summary.classes)
    first = f", of {best[0]} first" if best else ""
    yield f"Add photos{first}: twice as many would bring about {percent(curve.doubled.accuracy)} right answers."


def _started_from_scratch(summary: CheckpointSummary) -> bool:
    """Tell whether random weights had to learn from few photos."""
    provenance = summary.provenance
    photos = (provenance.data.photos if provenance.data else None) or {}
    is_random = provenance.pretrained == "" and not provenance.method
    return is_random and 0 < min(photos.values(), default=0) < _MANY


def _on_classes(summary: CheckpointSummary) -> Iterator[str]:
    test = summary.metrics.test or SplitMetrics()
    cells = test.cells
    if test.accuracy is None or cells is None:
        return
    wrong = wrong_cells(cells)
    if not wrong:
        yield "No photo was confused with another class: test with photos from another camera, place or time."
        return
    first, second, photos = max(wrong, key=lambda cell: (cell[2], cell))
    label, answer = summary.classes[first], summary.classes[second]
    if test.accuracy >= _GOOD:
        yield (
            f"Look at the wrong answers one by one ({label} answered as {answer} is the most common): at this "
            "accuracy, many are wrong labels."
        )
        return
    of = photos_of_classes(cells, len(summary.classes))[first]
    yield (
        f"Photos of {label} are most often taken for {answer} ({photos:,} of {of:,}): check "
        "their labels, and add photos that show the difference, or make them one class."
    )


def _on_verdicts(summary: CheckpointSummary) -> Iterator[str]:
    confident, unknown = summary.metrics.confident, summary.metrics.unknown
    if summary.metrics.extension is not None and summary.shown is False:
        yield (
            "No answer is called confident, as classes were added without the photos of the others: check every "
            "answer, or train on the photos of all classes."
        )
    elif summary.shown is False:
        yield (
            "No answer is called confident, as the photos are too few or too hard to show that such answers can be "
            "relied on: check every answer, or promise less with --precision."
        )
    elif unknown is not None and (unknown.outliers is None or not unknown.outliers.of):
        yield (
            "Give photos of anything else with --outliers to measure, and perhaps improve, how many unrelated photos "
            "are called unknown."
        )
    elif confident is not None and confident.answers:
        rest = 1 - confident.answers / confident.of
        yield (
            f"Decide what happens to the {percent(rest, 0)} of answers that are not confident: have people look at "
            "them, and send corrections."
        )


def _gains_most(curve: LearningCurve, classes: Sequence[str]) -> tuple[str, float] | None:
    if not curve.gains or max(curve.gains) <= 0:
        return None
    index = max(range(len(curve.gains)), key=lambda label: curve.gains[label])
    return classes[index], curve.gains[index]
