"""Why a file is no photo, and what to do where a program has put something else in a photo's place."""

from pathlib import Path

from whisker.model.errors import PictureError
from whisker.model.regular_file import open_regular
from whisker.training.data.folders.walk import leads_nowhere

_LONGEST_POINTER = 1_024  # bytes of a text that stands for a photo
_POINTERS = (
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS: fetch the photo with `git lfs pull`"),
    (b"/annex/objects/", "a pointer of git-annex: fetch the photo with `git annex get`"),
)


def why_unreadable(file: Path, exc: OSError | PictureError) -> str:
    """Say it in a sentence."""
    if isinstance(exc, OSError):
        if leads_nowhere(file):
            return (
                f"The file cannot be read: {exc.strerror}. It is a link that leads nowhere: fetch what should be there "
                "(`dvc pull`, `git annex get`) or remove it."
            )
        return f"The file cannot be read: {exc.strerror}."
    pointer = _pointer(file)
    return f"The file is {pointer}." if pointer else str(exc)


def _pointer(file: Path) -> str:
    """Tell which program has left a text in the place of a photo, and how to fetch the photo; "" if none has."""
    try:
        with open_regular(file) as opened:
            start = opened.read(_LONGEST_POINTER)
    except OSError:  # it was there a moment ago; what was wrong with it is known already
        return ""
    return next((said for mark, said in _POINTERS if start.startswith(mark)), "")
