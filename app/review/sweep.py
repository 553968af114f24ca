"""Bring catalogue and files together again: after a crash, and after somebody has moved or deleted photos by hand."""

from whisker.app.review.catalogue import Transaction
from whisker.app.review.folder import ReviewFolder


def sweep(catalogue: Transaction, folder: ReviewFolder, now: str) -> None:
    """Delete files that are half written, or lie where the catalogue knows nothing of them.

    A photo that lies somewhere else than its labels say was moved by hand, and has the labels of its place.
    """
    found, odd = folder.found(), folder.unfinished()
    for entry in [*catalogue.all()]:
        places = found.pop(entry.id, set())
        if not places:
            catalogue.delete(entry.id)
            continue
        wanted = {*folder.paths(entry.id, entry.labels)}
        if not wanted <= places:
            labels = folder.labels_at(places)
            wanted = {*folder.paths(entry.id, labels)}
            catalogue.label(entry.id, labels, at=None if labels is None else now, size=entry.bytes)
        odd += places - wanted
    folder.remove([*odd, *(path for places in found.values() for path in places)])
