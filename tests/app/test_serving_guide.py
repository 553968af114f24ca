"""The reference of settings, routes and errors, in agreement with the code."""

import re
from pathlib import Path

from whisker.app.main import create_app
from whisker.app.settings import Settings, variable
from whisker.app.web.advice import ADVICE
from whisker.app.web.problem_kinds import HTTP_KINDS, KINDS

_REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_settings_table_holds_every_setting_as_it_is() -> None:
    rows = dict(re.findall(r"^\| `(WHISKER_\w+)` \| (.+ \| .+) \|$", _page("settings"), re.MULTILINE))
    expected = {
        variable(name): f"{_default(field.default)} | {field.description}"
        for name, field in Settings.model_fields.items()
    }
    assert rows == expected


def test_error_table_holds_every_code() -> None:
    table = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+?) \| (.+) \|$", _page("errors"), re.MULTILINE)
    rows = [(*row, re.sub(r"\[(.+?)\]\(.+?\)", r"\1", advice)) for *row, advice in table]
    kinds = sorted((*KINDS.values(), *HTTP_KINDS.values()), key=lambda kind: kind.status)
    assert rows == [(str(kind.status), kind.code, kind.meaning, ADVICE[kind.code]) for kind in kinds]


def test_routes_table_holds_every_route(settings: Settings) -> None:
    listed = set(re.findall(r"`((?:GET|POST) /[\w/{}]+)` \|", _page("http-api")))
    paths = create_app(settings).openapi()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods} <= listed


def _page(name: str) -> str:
    return (_REFERENCE / f"{name}.md").read_text()


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"the bundled `{value.name}`" if isinstance(value, Path) else f"`{value}`"
