"""Names and sentences from elsewhere, made harmless: for a terminal, and for a spreadsheet."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"  # invisible, but parts of words and emoji
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what follows may be shown in another order than it has
_UNSAFE = re.compile(rf"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff{_DIRECTIONS}]")
# A cell that begins so is run as a formula, by one spreadsheet or another; the last four are wide forms.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_WRITTEN_FORMULA = re.compile("'" + _FORMULA.pattern)


def printable(text: str) -> str:
    r"""Escape line breaks, bytes that are not UTF-8, and whatever else cannot be printed: `\n`, `\udcff`."""
    if text.isprintable():
        return text
    return "".join(c if _is_printable(c) else c.encode("unicode_escape").decode() for c in text)


def is_safe(text: str) -> bool:
    """Tell whether text has no control characters, line breaks, marks of direction, and halves of characters.

    Unlike what `isprintable` says of it, that does not depend on the version of Python.
    """
    return not _UNSAFE.search(text)


def printable_json(document: str) -> str:
    """Escape, in a JSON document, what JSON need not escape and a terminal may obey."""
    return _UNSAFE.sub(lambda it: it[0] if it[0] in "\n\t" else f"\\u{ord(it[0]):04x}", document)


def to_cell(text: str) -> str:
    """Put an apostrophe before a cell of a CSV file that a spreadsheet would run as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def from_cell(cell: str) -> str:
    """Take away the apostrophe that `to_cell` has put there."""
    return cell[1:] if _WRITTEN_FORMULA.match(cell) else cell


def _is_printable(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
