"""The names of classes: those that a data set lists for their numbers, and those that it gives as labels."""

from collections.abc import Sequence

from whisker.model.plain_text import printable
from whisker.training.amount import amount
from whisker.training.data.folders.names import class_name
from whisker.training.errors import DatasetError

_UNKNOWN = "-1"  # the number of no class


def label_text(value: object) -> str:
    """Write a label as text; "" if it is missing or, as -1, says that it is unknown."""
    text = "" if value is None else str(value).strip()
    return "" if text == _UNKNOWN else text


def distinct_names(names: Sequence[str], place: str) -> tuple[tuple[str, ...], list[str]]:
    """Add a number to the later ones of equal names, which are classes of their own; return a sentence about that.

    Raises `DatasetError` for a class without a name.
    """
    plain = [class_name(name.strip()) for name in names]
    if "" in plain:
        raise DatasetError(f"{place} gives the class {plain.index('')} no name: name it there, as the numbers count.")
    taken, last, distinct = {*plain}, dict[str, int](), list[str]()
    for name in plain:
        number = last.get(name, 0) + 1
        while number > 1 and f"{name} ({number})" in taken:
            number += 1
        last[name] = number
        distinct.append(name if number == 1 else f"{name} ({number})")
    renamed = [new for old, new in zip(plain, distinct, strict=True) if old != new]
    if not renamed:
        return tuple(distinct), []
    count = amount(len(renamed), "class has", "classes have")
    return tuple(distinct), [printable(f"{count} the name of an earlier class, and a number behind it: {renamed[0]}.")]
