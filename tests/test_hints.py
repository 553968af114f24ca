"""Every `pip install` that sources and pages name installs what they say, in the versions that were tried."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
_EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
_OPTIONAL = {canonicalize_name(Requirement(line).name) for lines in _EXTRAS.values() for line in lines}
_OURS = {"whisker-vision", "whisker-vision-client"}
_HINT = re.compile(r"`pip install\s([^`]+)`|^pip install ([^#\n]+)", re.MULTILINE)
_BROKEN_STRING = re.compile(r'"\s*\n\s*f?"')
_PEERS = "speed.md"  # programs that Whisker is compared with have environments of their own


def hints() -> list[tuple[str, str]]:
    folders = ("app", "model", "training", "whisker", "docs", "wheels")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md"}]
    return [
        (path.name, word.strip("'"))
        for path in (*files, ROOT / "README.md")
        if path.name != _PEERS
        for found in _HINT.findall(_BROKEN_STRING.sub("", path.read_text()))
        for word in "".join(found).split()
    ]


def is_right(word: str) -> bool:
    """Tell whether a word of a command is an option, a path, a package of ours, or one that no extra installs."""
    try:
        wanted = Requirement(re.sub(r"^\.(?=\[|$)", "whisker-vision", word))
    except InvalidRequirement:
        return True
    name = canonicalize_name(wanted.name)
    return wanted.extras <= {*_EXTRAS} if name in _OURS else name not in {"whisker", *_OPTIONAL}


def test_hints_name_this_distribution_and_its_extras() -> None:
    found = hints()
    assert ("hub.py", "whisker-vision[hub]") in found
    assert [hint for hint in found if not is_right(hint[1])] == []


def test_rule_refuses_strangers_and_bare_optional_packages() -> None:
    refused = ("whisker", "whisker[openvino]", "whisker-vision[nothing]", ".[nothing]", "pyarrow", "ray[data]")
    assert [word for word in refused if is_right(word)] == []
    assert all(map(is_right, ("--editable", ".[openvino]", "whisker-vision[hub]", "uvicorn==0.54.*", "dist/*.whl")))
