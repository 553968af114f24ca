"""Names from elsewhere, made harmless for a terminal and for a spreadsheet."""

import json

import pytest

from whisker.model.plain_text import from_cell, is_safe, printable, printable_json, to_cell

_HOSTILE = (
    "\x1b[31mred",
    "\x9b2J",
    "a\nb",
    "a\rb",
    "\x1b]0;title\x07",
    "\u202egnp.exe",
    "\u2066x",
    "a\u2028b",
    "\udcff",
)


@pytest.mark.parametrize("text", _HOSTILE)
def test_what_a_terminal_obeys_is_escaped(text: str) -> None:
    assert not is_safe(text)
    assert is_safe(printable(text))
    assert printable(text).isascii()
    document = json.dumps({text: text}, ensure_ascii=False)
    assert is_safe(printable_json(document))
    assert json.loads(printable_json(document)) == {text: text}


@pytest.mark.parametrize("text", ["café", "a\u00a0b", "犬\u3000猫", "\U0001f469\u200d\U0001f469", "95\u00a0%", "שלום"])
def test_letters_of_all_languages_stay_as_they_are(text: str) -> None:
    assert is_safe(text)
    assert printable(text) == text


@pytest.mark.parametrize("text", ["=1+1.jpg", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\uff1d1", "'=1", "''-1"])
def test_formula_gets_an_apostrophe_that_is_taken_away_again(text: str) -> None:
    assert to_cell(text) == f"'{text}"
    assert from_cell(to_cell(text)) == text


@pytest.mark.parametrize("text", ["", "a=1", "'a", "1-1", "cat/=1.jpg", "'"])
def test_other_cells_stay_as_they_are(text: str) -> None:
    assert to_cell(text) == from_cell(text) == text
