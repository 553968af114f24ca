"""JSON in a checkpoint's header: parsed strictly, and its values checked one by one.

What is refused here could be written on purpose alone: a key twice, numbers that are none or that floating point cannot
hold, halves of characters, and nesting without an end. Any program can read what is left, and write it again.
"""

import json
import math
import reprlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from whisker.model.errors import CheckpointError

_MAX_DEPTH = 32
_MAX_INT = 2**53  # above it, JavaScript and floating point round
_MAX_FLOAT = 1e30


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object; refuse anything else, and what `whisker train` cannot have written."""
    try:
        document = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except (ValueError, RecursionError, MemoryError):
        document = None
    if not isinstance(document, dict):
        refuse("has a header that is not a JSON object")
    _check(document)
    return document


def plain_json(value: Any) -> Any:
    """Return a value as it will read back: tuples become lists, and numbers that JSON does not have become null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_object(value: object, what: str) -> Mapping[str, Any]:
    """Require an object of a field."""
    if not isinstance(value, dict):
        refuse(f"has {shown(value)} as its {what}, where an object belongs")
    return value


def read_number(value: object, what: str, low: float = -_MAX_FLOAT, high: float = _MAX_FLOAT) -> float:
    """Require a number in a range."""
    if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
        refuse(f"has {shown(value)} as its {what}, where a number from {low:g} to {high:g} belongs")
    return float(value)  # type: ignore[arg-type]


def shown(value: object) -> str:
    """Write a value of any kind and length in a sentence."""
    return reprlib.repr(value)


def refuse(problem: str, cause: Exception | None = None) -> NoReturn:
    """Raise with the end of a sentence that begins "The checkpoint PATH"."""
    raise CheckpointError(problem) from cause


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        refuse(f"has {shown(twice)} twice in its header")
    return found


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"has {name} in its header, where a number belongs")


def _check(document: dict[str, Any]) -> None:
    """Refuse values that no reader may meet; lists of a million numbers are looked through at once."""
    pending: list[tuple[Any, int]] = [(document, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > _MAX_DEPTH:
            refuse(f"has a header that is nested more than {_MAX_DEPTH} levels deep")
        items = [*value, *value.values()] if isinstance(value, dict) else value
        for item in items:
            kind = type(item)
            if kind is dict or kind is list:
                pending.append((item, depth + 1))
            elif (kind is int and abs(item) > _MAX_INT) or (kind is float and not abs(item) <= _MAX_FLOAT):
                refuse(f"has {shown(item)} in its header, which is too large")
            elif kind is str and not item.isascii() and not _is_unicode(item):
                refuse(f"has {shown(item)} in its header, which is not Unicode")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
