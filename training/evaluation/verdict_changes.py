"""What fitting verdicts anew has changed: how often each is given, before and after."""

from collections.abc import Iterator

import numpy as np

from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.card.metrics import TestMetrics
from whisker.model.checkpoint.contents import Checkpoint
from whisker.model.classifier import Classifier
from whisker.training.data.dataset import batched
from whisker.training.data.outliers import Outliers

_BATCH = 32


def describe_verdict_changes(
    before: Checkpoint, after: Checkpoint, outliers: Outliers | None, device: str
) -> Iterator[str]:
    """Say how the verdicts have changed, and if the earlier checkpoint is better at finding unrelated photos."""
    was, now = TestMetrics.from_json(before.metrics), TestMetrics.from_json(after.metrics)
    if was.confident and now.confident:
        yield (
            f"Confident answers on held-out photos: {was.confident.answers:,} of {was.confident.of:,} before "
            f"({was.confident.wrong:,} wrong), {now.confident.answers:,} of {now.confident.of:,} now "
            f"({now.confident.wrong:,} wrong)."
        )
    if was.unknown and now.unknown:
        yield (
            f"Known photos called unknown: {was.unknown.false_alarms:,} of {was.unknown.of:,} before, "
            f"{now.unknown.false_alarms:,} of {now.unknown.of:,} now."
        )
    if outliers is None or before.novelty is None or now.unknown is None or now.unknown.outliers is None:
        return
    found, caught = _count_unknown(before, outliers, device), now.unknown.outliers.caught
    yield f"Unrelated photos called unknown: {found:,} of {len(outliers.rows):,} before, {caught:,} now."
    if caught < found:
        yield f"Warning: {before.name} finds more unrelated photos than the new checkpoint: consider keeping it."


def _count_unknown(checkpoint: Checkpoint, outliers: Outliers, device: str) -> int:
    classifier = Classifier(checkpoint, device)
    scores = [classifier.scores([*outliers.pixels[rows]]).unknown for rows in batched(outliers.rows, _BATCH)]
    return sum(int(np.count_nonzero(part > UNKNOWN_SCORE)) for part in scores if part is not None)
