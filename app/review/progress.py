"""How far the labelling has come."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from whisker.app.review.entry import Labels


@dataclass(frozen=True, slots=True)
class Progress:
    """How many photos wait, show none of the classes, or have labels, and how many of each class, most first."""

    waiting: int
    outliers: int
    labelled: int
    classes: dict[str, int]


def count_labels(counts: Iterable[tuple[Labels, int]]) -> Progress:
    """Add up how many photos have which labels."""
    waiting = outliers = labelled = 0
    classes = Counter[str]()
    for labels, count in counts:
        if labels is None:
            waiting += count
        elif not labels:
            outliers += count
        else:
            labelled += count
            classes.update(dict.fromkeys(labels, count))
    return Progress(waiting, outliers, labelled, dict(classes.most_common()))
