"""Write the software bill of materials of the Docker image, CycloneDX 1.6: `python .ci/sbom.py OUT PINS...`.

What is installed here in the pinned versions is described by its own metadata, everything else is left out. The file is
the same every time: without dates, and in a fixed order.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from licences import CONCLUDED, normal

OURS = "whisker-vision"
_COMMAND = ("-m", "cyclonedx_py", "environment", "--output-reproducible", "--output-format=JSON", "--spec-version=1.6")


def bill(environment: Mapping[str, Any], pins: Mapping[str, str]) -> dict[str, Any]:
    """Keep the pinned packages of an environment's bill, and those of their dependencies that are kept."""
    found = {normal(one["name"]): one for one in environment["components"]}
    components = {name: _pinned(found[name], version) for name, version in sorted(pins.items())}
    references = {found[name]["bom-ref"]: one["bom-ref"] for name, one in components.items()}
    ours = _product(found[OURS])
    references[found[OURS]["bom-ref"]] = ours["bom-ref"]
    needs = {one["ref"]: one.get("dependsOn", ()) for one in environment["dependencies"]}
    return {
        "$schema": environment["$schema"],
        "bomFormat": environment["bomFormat"],
        "specVersion": environment["specVersion"],
        "version": 1,
        "metadata": {**environment["metadata"], "component": ours},
        "components": [*components.values()],
        "dependencies": [
            {"ref": ref, "dependsOn": sorted({references[need] for need in needs[old] if need in references})}
            for old, ref in sorted(references.items(), key=lambda pair: pair[1])
        ],
    }


def missing(environment: Mapping[str, Any], names: set[str]) -> list[str]:
    """List the packages that are not installed."""
    return sorted(names - {normal(one["name"]) for one in environment["components"]})


def _pinned(component: dict[str, Any], version: str) -> dict[str, Any]:
    """Describe a package in its pinned version: a build's label, as in `2.13.0+cpu`, is not part of it.

    Properties tell what else is installed here.
    """
    name = normal(component["name"])
    purl = f"pkg:pypi/{name}@{version}"
    licences = component.get("licenses") or [{"license": {"id": CONCLUDED[name], "acknowledgement": "concluded"}}]
    pages = [page for page in component.get("externalReferences", ()) if not page["url"].startswith("file:")]
    added = {"version": version, "purl": purl, "bom-ref": purl, "licenses": licences, "externalReferences": pages}
    return {name: value for name, value in {**component, **added}.items() if name != "properties"}


def _product(component: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the project itself, without the folder that it is installed from."""
    version = component["version"]
    return {
        "type": "application",
        "bom-ref": f"pkg:pypi/{OURS}@{version}",
        "name": OURS,
        "version": version,
        "purl": f"pkg:pypi/{OURS}@{version}",
        "licenses": [{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}],
    }


def _environment() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = Path(folder, "environment.json")
        subprocess.run([sys.executable, *_COMMAND, f"--output-file={file}", sys.executable], check=True)  # noqa: S603 - as is
        document: dict[str, Any] = json.loads(file.read_text())
        return document


def main() -> None:
    """Write the file that is named first, from the pins in the others."""
    out, *files = map(Path, sys.argv[1:])
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", "".join(file.read_text() for file in files), re.MULTILINE)
    pins = {normal(name): version for name, version in lines}
    environment = _environment()
    if absent := missing(environment, {*pins, OURS}):
        sys.exit(f"{out} is not written, as these are not installed here: {', '.join(absent)}.")
    document = bill(environment, pins)
    out.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    print(f"{out}: {len(document['components'])} components.")


if __name__ == "__main__":
    main()
