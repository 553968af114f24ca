"""The chart as the tests see it: rendered once, with its parts within reach."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "whisker"
EXAMPLES = {path.stem: path for path in sorted((ROOT / "deploy" / "helm" / "examples").glob("*.yaml"))}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """What Helm makes of some values: objects, notes and complaints, or why it refuses them."""

    objects: tuple[Document, ...] = ()
    notes: str = ""
    lint: tuple[str, ...] = ()
    error: str = ""

    def find(self, kind: str) -> Document:
        """Return the one object of a kind."""
        (found,) = [it for it in self.objects if it["kind"] == kind]
        return found

    @property
    def kinds(self) -> set[str]:
        return {it["kind"] for it in self.objects}

    @property
    def pod(self) -> Document:
        """Return the specification of the service's pods."""
        specification: Document = self.find("Deployment")["spec"]["template"]["spec"]
        return specification

    @property
    def container(self) -> Document:
        (found,) = self.pod["containers"]
        return dict(found)

    @property
    def variables(self) -> dict[str, Any]:
        """Return the container's environment: values, or where they come from."""
        return {it["name"]: it.get("value", it.get("valueFrom")) for it in self.container["env"]}

    @property
    def pods(self) -> list[Document]:
        """Return the specifications of all pods, that of `helm test` among them."""
        return [self.pod, self.find("Pod")["spec"]]


def render(cases: dict[str, Document], files: dict[str, Path]) -> dict[str, Release]:
    """Render the chart with each of the values, or skip the test that asks for it."""
    if find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk is not installed")
    request = {"chart": str(CHART), "cases": cases, "files": {name: str(path) for name, path in files.items()}}
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, Path(__file__).with_name("rendering.py")],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return {name: _read(**answer) for name, answer in json.loads(ended.stdout).items()}


def _read(*, objects: Sequence[Document] = (), lint: Sequence[str] = (), **texts: str) -> Release:
    return Release(tuple(objects), lint=tuple(lint), **texts)
