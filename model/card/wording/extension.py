"""What people read about the classes that were added to a checkpoint without the old photos."""

from collections.abc import Iterator

from whisker.model.card.metrics import ExtensionMetrics
from whisker.model.card.wording.formats import percent

_NAMED = 5  # classes


def describe_extension(extension: ExtensionMetrics) -> Iterator[str]:
    """Say which classes were added, how good their answers are, and what it cost the old ones."""
    names = ", ".join(extension.new_classes[:_NAMED])
    more = len(extension.new_classes) - _NAMED
    yield (
        f"Added later: {names}{f' and {more:,} more' if more > 0 else ''}. {percent(extension.new_accuracy)} of "
        f"{extension.new_photos:,} photos of what was added are answered correctly, each by a layer fitted without it."
    )
    if not extension.drawn or extension.old_accuracy is None or extension.old_accuracy_before is None:
        return
    yield (
        f"The classes it knew before: {percent(extension.old_accuracy_before)} correct before, and at best about "
        f"{percent(extension.old_accuracy)} now. Their photos were not there: {extension.drawn:,} features drawn from "
        "stored statistics, which are easier than photos, stand in for them. Test it on photos of theirs before use."
    )
    lost = extension.lost
    if lost:
        to = f", most often to {lost.to}" if lost.to else ""
        yield f"{lost.label} loses most: from {percent(lost.before)} to {percent(lost.after)} at best{to}."
