"""Names of folders: which are classes, which are sides of a data set, and which are left behind by programs."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Literal, TypeAlias

Side: TypeAlias = Literal["train", "validation", "test"]
SIDES: tuple[Side, ...] = ("train", "validation", "test")
_SIDE_OF: dict[str, Side] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_SET = re.compile(r"[\W_]*(set|data|images)$")  # behind the name of a side: `training_set`
_LEFT_BEHIND = frozenset(
    {
        "__macosx",
        "__pycache__",
        "$recycle.bin",
        "@eadir",
        "desktop.ini",
        "ehthumbs.db",
        "icon\r",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
_PICTURES = frozenset(
    "jpg jpeg jpe jfif png webp gif bmp dib tif tiff heic heif avif jxl".split()  # noqa: SIM905 - it is read faster
)


def class_name(folder: str) -> str:
    """Give the name of a class: the two ways to write an accented letter in Unicode are one."""
    return unicodedata.normalize("NFC", folder)


def side_named(folder: str) -> Side | None:
    """Tell which side of a data set a folder's name stands for."""
    return _SIDE_OF.get(_SET.sub("", folder.lower()))


def is_skipped(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left behind by a program that nobody asked to."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def is_named_as_picture(path: str) -> bool:
    """Tell from a file's name whether it may be a picture; one without an ending may."""
    name = path.rpartition("/")[2]
    _, dot, ending = name.rpartition(".")
    return not dot or ending.lower() in _PICTURES


def has_picture_ending(name: str) -> bool:
    """Tell whether a file's name ends as those of pictures do."""
    _, dot, ending = name.rpartition(".")
    return bool(dot) and ending.lower() in _PICTURES


def similar_names(classes: Iterable[str]) -> list[tuple[str, ...]]:
    """List the names that differ only by case, blanks or underscores."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        key = re.sub(r"[\s_]+", "", unicodedata.normalize("NFKC", name).casefold())
        alike.setdefault(key, []).append(name)
    return [tuple(names) for names in alike.values() if len(names) > 1]
