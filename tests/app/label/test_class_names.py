"""Names of classes that a labeller gives: what can be a folder, and is one that training takes for a class."""

import pytest

from whisker.app.errors import InvalidLabelError
from whisker.app.label.class_names import checked_labels, checked_name
from whisker.training.data.folders.names import is_skipped, side_named


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../cat",
        "a/b",
        "",
        " ",
        ".git",
        "a|b",
        "x" * 101,
        "a\nb",
        "\ud800",
        "a\u202eb",
        "\u3164",
        "\u2800",
        "\ufe0f",
        "\u200d",
        "a\u200d",
    ],
)
def test_what_cannot_be_a_folder_is_no_class(name: str) -> None:
    with pytest.raises(InvalidLabelError):
        checked_name(name, ())


@pytest.mark.parametrize("name", ["Test", "valid_set", "testing data", "__MACOSX", "Thumbs.db", "lost+found"])
def test_what_training_takes_for_something_else_is_no_class(name: str) -> None:
    assert side_named(name) is not None or is_skipped(name)
    with pytest.raises(InvalidLabelError, match="another meaning"):
        checked_name(name, ())


@pytest.mark.parametrize(
    "name",
    [
        "日本語",
        "🐱",
        "\u0645\u06cc\u200c\u0631\u0648\u062f",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f",
        "console",
        "名" * 66,
        "red fox (vulpes)",
        "test bench",
    ],
)
def test_new_names_may_be_in_any_script(name: str) -> None:
    assert checked_name(f" {name} ", ["cat"]) == name


@pytest.mark.parametrize("name", ["con", "NUL", "Com1", "lpt9.old", "aux .txt"])
def test_what_windows_takes_for_a_device_is_no_class(name: str) -> None:
    with pytest.raises(InvalidLabelError, match="another meaning"):
        checked_name(name, ())


def test_name_like_that_of_a_class_is_refused() -> None:
    with pytest.raises(InvalidLabelError, match="There is a class `red fox`"):
        checked_name("Red_Fox", ["red fox"])
    with pytest.raises(InvalidLabelError, match="There is a class `cat`"):
        checked_name("c\u200dat", ["cat"])


def test_classes_of_the_checkpoint_are_taken_as_they_are_unless_they_lead_elsewhere() -> None:
    assert checked_labels(["train"], ["train", "a:b"], several=False) == ["train"]
    assert checked_labels(["b", "a", "b"], ["a", "b"], several=True) == ["a", "b"]
    for hostile in ("../up", ".."):
        with pytest.raises(InvalidLabelError):
            checked_name(hostile, [hostile])
