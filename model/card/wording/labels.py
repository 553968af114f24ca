"""What people read about a multi-label checkpoint beside `sentences`: how well it finds labels, which to trust."""

from collections.abc import Iterator, Sequence

from whisker.model.card.metrics import ConfidentMetrics, LabelMetrics, SplitMetrics, TestMetrics
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.facts import Fact, known
from whisker.model.card.wording.formats import describe_share, percent
from whisker.model.card.wording.sentences import describe_test, test_photos


def describe_labels(summary: CheckpointSummary) -> Iterator[str]:
    """Say how well labels were found in the test photos, and which of them keep their precision."""
    confident = summary.metrics.confident
    yield from _describe_quality(summary.metrics)
    yield from describe_guarantees(label_metrics(summary))
    if confident:
        yield from _describe_confident_answers(confident)


def label_metrics(summary: CheckpointSummary) -> Sequence[LabelMetrics]:
    """Give the figures of each label, in the order of the classes; none if it was not measured."""
    figures = summary.metrics.figures
    return (figures.per_label if figures else None) or ()


def describe_guarantees(labels: Sequence[LabelMetrics]) -> Iterator[str]:
    """Say how many labels have a guaranteed precision, and what becomes of the others."""
    targets = [(label.target_precision, label.guaranteed is True) for label in labels if label.target_precision]
    if not targets:
        return
    shown = [target for target, guaranteed in targets if guaranteed]
    kept, precision = len(shown), percent(min(shown or [target for target, _ in targets]))
    yield (
        f"For {kept:,} of {len(labels):,} labels, photos that were not trained on show that at least {precision} of "
        "the photos in which the label is found have it."
    )
    if kept < len(labels):
        yield "The other labels have the threshold with the best F1 score, and answers with them are unsure."


def list_label_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what the verdict "confident" was measured to be worth, and the figures over all labels."""
    test, confident = summary.metrics.test or SplitMetrics(), summary.metrics.confident
    return known(
        ("Confident answers", describe_share(confident.answers, confident.of) if confident else None),
        (
            "With a wrong label among them",
            describe_share(confident.wrong, confident.answers, confident.error_95_interval) if confident else None,
        ),
        ("Mean average precision", _rate(test.mean_average_precision)),
        ("Micro F1", _rate(test.micro_f1)),
        ("Macro F1", _rate(test.macro_f1)),
    )


def describe_guarantee(label: LabelMetrics | None, *, guaranteed: bool) -> str:
    """Write which precision of a label is guaranteed."""
    if not guaranteed:
        return "none"
    return (
        "yes"
        if label is None or label.target_precision is None
        else f"\N{GREATER-THAN OR EQUAL TO} {percent(label.target_precision)}"
    )


def _describe_quality(metrics: TestMetrics) -> Iterator[str]:
    test = metrics.test or SplitMetrics()
    if test.mean_average_precision is not None and test.photos is not None:
        mean = percent(test.mean_average_precision)
        yield f"Mean average precision {mean} on {test.photos:,} {test_photos(metrics)}. {describe_test(metrics)}"
    if test.micro_f1 is not None and test.macro_f1 is not None:
        yield (
            f"At the thresholds, the F1 score is {percent(test.micro_f1)} over all labels of all photos (micro) and "
            f"{percent(test.macro_f1)} on average over the labels (macro)."
        )


def _describe_confident_answers(confident: ConfidentMetrics) -> Iterator[str]:
    if confident.answers:
        yield (
            f"{confident.answers:,} of {confident.of:,} answers were confident, and {confident.wrong:,} of those named "
            f"a label that the photo does not have ({percent(confident.wrong / confident.answers)})."
        )


def _rate(value: float | None) -> str | None:
    return None if value is None else percent(value)
