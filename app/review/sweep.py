"""Bring catalogue and files together again: after a crash, and after somebody has moved or deleted photos by hand."""

import logging
from collections.abc import Collection
from pathlib import Path

from whisker.app.review.catalogue import Transaction
from whisker.app.review.entry import Entry
from whisker.app.review.folder import WAITING, ReviewFolder

logger = logging.getLogger(__name__)


def sweep(catalogue: Transaction, folder: ReviewFolder, now: str) -> None:
    """Delete what a crash has left, and follow what was moved or deleted by hand.

    Photos that the catalogue does not know are people's, and stay: all that are labelled, and all that are older than
    the catalogue, which then is a new one. Nothing is changed if the folder cannot be looked through.
    """
    try:
        found, unfinished = folder.found()
    except OSError as exc:
        logger.warning("The review folder is not swept", extra={"reason": exc.strerror})
        return
    entries = [*catalogue.all()]
    strange = [path for photo in found.keys() - {it.id for it in entries} for path in found[photo]]
    left = [
        path
        for path in strange
        if not entries or path.parent != folder.root / WAITING or _written_at(path) < catalogue.born()
    ]
    if left:
        logger.warning(
            "Photos that the catalogue of the review folder does not know are left", extra={"count": len(left)}
        )
    for entry in entries:
        mend(catalogue, folder, entry, found.get(entry.id, ()), now)
    folder.remove([*unfinished, *({*strange} - {*left})])


def mend(catalogue: Transaction, folder: ReviewFolder, entry: Entry, places: Collection[Path], now: str) -> None:
    """Bring an entry together with the places where its photo was found.

    A photo that lies somewhere else than its labels say was moved by hand, and has the labels of its place. So has one
    that waits, and lies in a labelled place, too: whoever put it there, it is a person's work.
    """
    if not places:
        catalogue.delete(entry.id)
        return
    wanted, labels = {*folder.paths(entry.id, entry.labels)}, folder.labels_at(places)
    if not wanted <= {*places} or (entry.labels is None and labels is not None):
        wanted = {*folder.paths(entry.id, labels)}
        catalogue.label(entry.id, labels, at=None if labels is None else now, size=entry.bytes)
    folder.remove({*places} - wanted)


def _written_at(path: Path) -> float:
    """Tell when a file was written, in seconds since 1970."""
    return path.stat().st_mtime
