"""Names that a labeller may give: the checkpoint's classes, and new ones that can be a folder which training reads."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from whisker.app.errors import InvalidLabelError, quoted
from whisker.model.plain_text import is_safe

_MAX_LETTERS, _MAX_BYTES = 100, 200  # file systems take 255 bytes
_SIGNS = re.compile(r'[<>:"/\\|?*]')  # that a folder, on one system or another, or a file of labels cannot have
_JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_DEVICE = re.compile(r"(con|prn|aux|nul|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)  # on Windows, with any ending
# Names that training takes for something else than a class, or leaves out, in lower case.
_SIDE = re.compile(r"(train|training|val|valid|validation|dev|test|testing)[\W_]*(set|data|images)?", re.ASCII)
_LEFT_OUT = frozenset(
    {
        "__macosx",
        "__pycache__",
        "@eadir",
        "$recycle.bin",
        "desktop.ini",
        "ehthumbs.db",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)


def checked_labels(given: Iterable[str], classes: Iterable[str], *, several: bool) -> list[str]:
    """Check the labels of a photo, sorted; none says that it shows none of the classes.

    `classes` are the checkpoint's and those that other photos were labelled with. Raises `InvalidLabelError`.
    """
    known = [*classes]
    labels = sorted({checked_name(name, known) for name in given})
    if len(labels) > 1 and not several:
        raise InvalidLabelError("The checkpoint knows one class a photo: give one label, or none of them.")
    return labels


def checked_name(given: str, known: Iterable[str]) -> str:
    """Return the name of a class as its folder is called; raise `InvalidLabelError` for one that cannot be."""
    name = unicodedata.normalize("NFC", given)
    by_name = {unicodedata.normalize("NFC", it): it for it in known}
    if name in by_name:
        return _as_folder(by_name[name])
    name = name.strip()
    if not name or len(name) > _MAX_LETTERS or len(name.encode(errors="replace")) > _MAX_BYTES:
        raise InvalidLabelError(f"The name of a class has 1 to {_MAX_LETTERS} letters ({_MAX_BYTES} bytes in UTF-8).")
    if not _is_shown(name) or _SIGNS.search(name) or name[0] in ".~" or name[-1] == ".":
        raise InvalidLabelError(
            f"{quoted(name)} cannot be the name of a class, which becomes a folder: it may not begin with `.` or `~`, "
            'end with `.`, hold one of < > : " / \\ | ? *, or have nothing that can be seen.'
        )
    if _DEVICE.fullmatch(name) or _SIDE.fullmatch(name.lower()) or name.lower() in _LEFT_OUT:
        raise InvalidLabelError(f"{quoted(name)} has another meaning as the name of a folder: choose another name.")
    alike = next((it for it in by_name.values() if _key(it) == _key(name)), None)
    if alike is not None:
        raise InvalidLabelError(f"There is a class {quoted(alike)}: choose it, or give a name that is less like it.")
    return name


def _is_shown(name: str) -> bool:
    """Tell whether a name can be printed and has a sign that can be seen; joiners are parts of words and emoji."""
    rest = re.sub(f"(?<!^)[{_JOINERS}](?!$)", "", name)
    return is_safe(name) and rest.isprintable() and bool(_INVISIBLE.sub("", rest))


def _as_folder(name: str) -> str:
    """Return a name that is known; raise `InvalidLabelError` if it leads elsewhere, for a checkpoint may be hostile."""
    if PurePath(name).name != name or name.startswith(".") or "\0" in name or len(name.encode()) > 255:
        raise InvalidLabelError("The name of this class cannot be the name of a folder.")
    return name


def _key(name: str) -> str:
    return re.sub(rf"[\s_{_JOINERS}\ufe0e\ufe0f]+", "", unicodedata.normalize("NFKC", name).casefold())
