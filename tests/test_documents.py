"""What README, docs and Makefile say is what the code does."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from whisker.cli import EXAMPLES as COMMAND_EXAMPLES
from whisker.cli import MODELS_EXAMPLES, cli
from whisker.model import BUNDLED_CHECKPOINT, load_checkpoint

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("wheels/**/*.md")])


def commands(text: str) -> list[list[str]]:
    """List the `whisker ...` lines of code blocks and the inline commands of tables."""
    lines = re.findall(r"^(?:\$ )?(whisker [a-z].*)$", text, re.MULTILINE) + re.findall(r"`(whisker [a-z][^`]*)`", text)
    return [shlex.split(line, comments=True) for line in lines]


ALL_COMMANDS = [(page.name, words) for page in PAGES for words in commands(page.read_text())]
EXAMPLES = [
    ("--help", words)
    for examples in (COMMAND_EXAMPLES | MODELS_EXAMPLES).values()
    for words in commands("\n".join(examples))
]


def test_every_command_is_shown_in_a_page() -> None:
    assert {"train", "evaluate", "predict", "serve"} <= {words[1] for words in commands(README)}
    assert {words[1] for _, words in ALL_COMMANDS} == set(get_command(cli).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("page", "words"), ALL_COMMANDS + EXAMPLES, ids=lambda value: str(value)[:60])
def test_every_command_in_a_page_exists_with_its_options(page: str, words: list[str]) -> None:
    subcommands = get_command(cli).commands  # type: ignore[attr-defined]
    assert words[1] in subcommands, page
    command = subcommands[words[1]]
    for word in words[2:3] if hasattr(command, "commands") else ():
        assert word in command.commands, page
        command = command.commands[word]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, page


def test_options_of_train_are_documented() -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text()
    train = get_command(cli).commands["train"]  # type: ignore[attr-defined]
    options = {option for parameter in train.params for option in parameter.opts if option.startswith("--")}
    assert {option for option in options if f"`{option}" not in page} == set()


def test_every_make_target_in_a_page_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b(?=[`\s]*(?:#|`|$))", page.read_text())}
    assert {"run", "test", "check"} <= named <= targets


def test_no_page_has_a_gap_left_to_fill() -> None:
    assert [page.name for page in PAGES if "@@" in page.read_text()] == []


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_index_of_decisions_lists_all() -> None:
    listed = re.findall(r"^\d+\. \[.+\]\((.+)\)$", (ROOT / "docs" / "adr" / "README.md").read_text(), re.MULTILINE)
    assert listed == sorted(path.name for path in ROOT.glob("docs/adr/[0-9]*.md"))


def test_pages_that_sources_name_exist() -> None:
    sources = [
        path
        for folder in ("app", "benchmarks", "model", "training", "whisker")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    named = {
        (path.name, page)
        for path in sources
        for page in re.findall(r"\bdocs/(?:[\w/-]+\.md|adr/\d+)", path.read_text())
    }
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES}
    assert len(named) > 10
    assert [(name, page) for name, page in named if not any(known.startswith(page) for known in pages)] == []


def test_figures_of_the_bundled_checkpoint_are_its_own() -> None:
    test = load_checkpoint(BUNDLED_CHECKPOINT).metrics["test"]
    low, high = test["accuracy_95_interval"]
    page = (ROOT / "docs" / "explanation" / "bundled-checkpoint.md").read_text()
    for figure in (f"{test['accuracy']:.1%}", f"{low:.1%}", f"{high:.1%}", f"{test['photos']:,}"):
        assert figure in page


def test_ci_calls_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    check = re.search(r"^check: ([a-z ]+?) *##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert check is not None
    called = {name for line in re.findall(r"^make (.+)$", script, re.MULTILINE) for name in line.split()}
    assert called == set(check[1].split())
    assert "test" in called
