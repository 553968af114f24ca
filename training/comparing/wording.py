"""What a comparison says in words: the conclusion first."""

from collections.abc import Iterator, Sequence

from whisker.model.answers.decision_rule import Verdict
from whisker.model.plain_text import printable
from whisker.training.comparing.figures import ClassChange, Comparison
from whisker.training.comparing.marks import CheckpointFigures
from whisker.training.comparing.paired import mcnemar_exact

_MAX_NAMED = 10  # classes in a sentence
_UNKNOWN_TRAINING = (
    "This holds if neither checkpoint was trained on these photos; the files cannot tell of single photos."
)


def conclude(comparison: Comparison) -> str:
    """Say in a sentence or two which checkpoint is better, or that the photos do not show it."""
    low, high = comparison.interval
    what = "accuracy" if comparison.task == "single-label" else "exactly right answers"
    by = f"{_points(comparison.difference)} points of {what} (95 % interval {_points(low)} to {_points(high)})"
    if comparison.outcome != "no difference shown":
        return f"B is {comparison.outcome}: {by}, on {comparison.photos:,} photos."
    least = comparison.least_difference
    if least is None:
        return f"No difference shown: {by}. {comparison.photos:,} photos are too few to show any."
    return (
        f"No difference shown: {by}. These {comparison.photos:,} photos can only show differences of about "
        f"{100 * least:.1f} points or more."
    )


def describe_pairs(comparison: Comparison) -> Iterator[str]:
    """Count the photos that tell the checkpoints apart, and say how likely that is by chance."""
    only_a, only_b = comparison.only_a, comparison.only_b
    yield (
        f"Right by A alone: {only_a:,} photos; by B alone: {only_b:,}. McNemar's test: mid-p "
        f"{_p_value(comparison.p_value)}, exact p {_p_value(mcnemar_exact(only_a, only_b))}."
    )
    kinds = [change.change for change in comparison.changes]
    yield (
        f"Photos with another answer or verdict: {len(kinds):,}; {kinds.count('now wrong'):,} of them became wrong, "
        f"and {kinds.count('now right'):,} right."
    )


def describe_classes(comparison: Comparison) -> Iterator[str]:
    """Name the classes that are found less or more often, those that the photos show first."""
    lower = [change for change in comparison.classes if change.right[1] < change.right[0]]
    higher = [change for change in comparison.classes if change.right[1] > change.right[0]]
    for title, some, outcome in (("Worse", lower, "worse"), ("Better", higher, "better")):
        shown = [change for change in some if change.outcome == outcome]
        rest = [change for change in some if change.outcome != outcome]
        if shown:
            yield f"{title} in {_list(shown)}."
        if rest:
            yield f"{title} in {_list(rest)}, though that may be chance."
    names = {"A": "B does not know it", "B": "A does not know it"}
    for foreign in comparison.foreign:
        yield printable(
            f"Not compared: {foreign.label}, as {names[foreign.known_to]}. {foreign.known_to} finds "
            f"{foreign.right:,} of its {foreign.photos:,} photos."
        )


def describe_limits(comparison: Comparison) -> Iterator[str]:
    """Say what the figures rest on, besides photos that were trained on."""
    yield from comparison.notes
    if not comparison.trained_on:
        yield _UNKNOWN_TRAINING
    if comparison.a.sha256 == comparison.b.sha256:
        yield "A and B are copies of the same file."


def table_rows(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Write the figures of both checkpoints: a name, and what it is of A and of B."""
    a, b = comparison.a, comparison.b
    exact = "Accuracy" if comparison.task == "single-label" else "Exactly right"
    yield exact, _accuracy(a), _accuracy(b)
    optional = (
        ("Mean average precision", a.mean_average_precision, b.mean_average_precision),
        ("Micro F1", a.micro_f1, b.micro_f1),
        ("Calibration error", a.calibration_error, b.calibration_error),
    )
    for name, first, second in optional:
        if first is not None and second is not None:
            yield name, f"{first:.1%}", f"{second:.1%}"
    verdicts: tuple[Verdict, ...] = ("confident", "unsure", "unknown")
    for verdict in verdicts:
        yield verdict.capitalize(), _verdict(a, verdict), _verdict(b, verdict)
    yield "Confident and right", _precision(a), _precision(b)
    yield "File", f"{a.bytes / 1e6:.1f} MB", f"{b.bytes / 1e6:.1f} MB"
    yield "Multiply-adds a photo", f"{a.multiply_adds / 1e6:,.0f} million", f"{b.multiply_adds / 1e6:,.0f} million"
    yield "Time a photo, in batches", f"{a.milliseconds:.2f} ms, {a.engine}", f"{b.milliseconds:.2f} ms, {b.engine}"


def _accuracy(figures: CheckpointFigures) -> str:
    low, high = figures.interval
    return f"{figures.accuracy:.1%} ({low:.1%} to {high:.1%})"


def _verdict(figures: CheckpointFigures, verdict: Verdict) -> str:
    count = figures.verdicts.get(verdict, 0)
    return f"{count / figures.photos:.1%} ({count:,})"


def _precision(figures: CheckpointFigures) -> str:
    answers, wrong = figures.verdicts.get("confident", 0), figures.wrong.get("confident", 0)
    return f"{1 - wrong / answers:.1%} ({wrong:,} wrong)" if answers else "\N{EN DASH}"


def _list(changes: Sequence[ClassChange]) -> str:
    most = sorted(changes, key=lambda change: -abs(change.right[1] - change.right[0]) / change.photos)
    named = [f"{it.label} ({it.right[0]:,} to {it.right[1]:,} of {it.photos:,} found)" for it in most[:_MAX_NAMED]]
    more = f" and {len(most) - _MAX_NAMED:,} other classes" if len(most) > _MAX_NAMED else ""
    return printable(", ".join(named) + more)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def _p_value(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
