"""Render the chart with Helm's own library, in a process of its own: it brings Go's threads and signal handlers.

Reads `{"chart": folder, "cases": {name: values}, "files": {name: file of values}}` as JSON, and writes
`{name: {"objects": [manifest], "notes": text, "lint": [message]} or {"error": message}}`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import helm_python

_RELEASE = {"name": "whisker", "namespace": "photos"}
_WARNING = 2
_IMAGE = {"repository": "registry.example.org/whisker"}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    cases = {name: helm_python.values_from_yaml(Path(file).read_text()) for name, file in request["files"].items()}
    with helm_python.Chart.load(request["chart"]) as chart:
        for name, values in (cases | request["cases"]).items():
            cases[name] = _render(chart, request["chart"], values)
    json.dump(cases, sys.stdout)


def _render(chart: Any, folder: str, values: dict[str, Any]) -> dict[str, Any]:
    values = {**values, "image": {**_IMAGE, **values.get("image", {})}}
    try:
        documents = chart.render(values, **_RELEASE)
    except helm_python.HelmError as exc:
        return {"error": str(exc)}
    notes = documents.pop("whisker/templates/NOTES.txt")
    messages = helm_python.lint(folder, values, strict=True)["messages"]
    return {
        "objects": [helm_python.values_from_yaml(text) for text in documents.values() if text.strip()],
        "notes": notes,
        "lint": [message["error"] for message in messages if message["severity"] >= _WARNING],
    }


if __name__ == "__main__":
    main()
