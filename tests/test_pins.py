"""What the Docker image installs: every file by its hash, in the versions that development has, and nothing else."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import whisker

ROOT = Path(__file__).parents[1]
_IMAGE = {"python_version": "3.11", "python_full_version": "3.11.9", "sys_platform": "linux"} | {
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "extra": "",
}
_BUILD_WITH_CUDA = re.compile(r"nvidia-|cuda-|triton$")  # what PyTorch without CUDA does not ask for
_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def script(name: str, folder: Path = ROOT / ".ci") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(file: str) -> dict[str, str]:
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def installed_in_the_image() -> dict[str, str]:
    return pins("requirements-image.txt") | pins("requirements-torch.txt")


def test_versions_are_those_of_constraints_txt() -> None:
    constraints = pins("constraints.txt")
    assert {name: constraints.get(name) for name in installed_in_the_image()} == installed_in_the_image()


@pytest.mark.parametrize("file", ["requirements-image.txt", "requirements-torch.txt"])
def test_every_package_is_pinned_by_hashes(file: str) -> None:
    text = re.sub(r" \\\n", " ", (ROOT / file).read_text())
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines
    pinned = re.compile(r"[\w.-]+==[\w.]+( +;[^\\-]+)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [line for line in lines if not pinned.fullmatch(line)] == []


def test_packages_are_all_that_whisker_needs_but_telemetry() -> None:
    """Walk from pyproject.toml through what the installed packages require."""
    extras = _PROJECT["optional-dependencies"]
    found: set[str] = set()
    waiting = [Requirement(line) for line in _PROJECT["dependencies"] + extras["openvino"] + extras["imagenet"]]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in found or (one.marker and not one.marker.evaluate(_IMAGE)) or _BUILD_WITH_CUDA.match(name):
            continue
        found.add(name)
        waiting += [Requirement(line) for line in requires(one.name) or ()]
    assert found - {"openvino-telemetry"} == set(installed_in_the_image())


def test_image_installs_nothing_without_hashes_and_runs_as_a_number() -> None:
    dockerfile = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text())
    runs = [line for line in dockerfile.splitlines() if line.startswith("RUN") and "pip install" in line]
    plain = [run for run in runs if "--require-hashes" not in run]
    assert len(runs) == 3
    assert ["--no-deps --no-build-isolation ." in run for run in plain] == [True]
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE)


def test_labels_of_the_image_say_version_and_licence() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', (ROOT / "Dockerfile").read_text()))
    assert (labels["version"], labels["licenses"]) == (whisker.__version__, _PROJECT["license"])
    assert labels["description"] == _PROJECT["description"]


def test_pins_are_written_from_what_uv_resolves() -> None:
    compiled = (
        "annotated-doc==0.0.7 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
        "nvidia-nvtx==13.0 ; sys_platform == 'linux' \\\n    --hash=sha256:cc\n"
        "fastapi-offline==1.7.7 \\\n    --hash=sha256:dd\n"
    )
    written = script("pins").image_requirements(compiled, {"annotated-doc", "fastapi-offline"})
    assert re.findall(r"^[a-z-]+(?===)|[a-d]{2}$", written, re.MULTILINE) == [
        "annotated-doc",
        "bb",
        "fastapi-offline",
        "dd",
    ]


def test_pytorch_is_pinned_for_every_processor() -> None:
    wheels = (
        "cp311-cp311-manylinux_2_28_aarch64",
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp312-cp312-manylinux_2_28_x86_64",
    )
    page = "".join(f'<a href="torch-2.1%2Bcpu-{wheel}.whl#sha256={number:064}">' for number, wheel in enumerate(wheels))
    written = script("pins").torch_requirements(page, "2.1")
    assert re.findall(r"sha256:0*(\d)", written) == ["0", "1"]
    assert "torch==2.1 \\\n" in written


@pytest.mark.parametrize(
    ("report", "error", "code", "sentence"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], "", 0, "Pins audited: 1; known vulnerabilities: 0."),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}],
            "",
            1,
            "a 1: X-1, fixed in: 2",
        ),
        ([{"name": "a", "skip_reason": "-"}], "", 0, "The pins were not audited"),
        (
            [{"name": "a", "skip_reason": "-"}, {"name": "b", "version": "1", "vulns": []}],
            "",
            0,
            "does not know them: a",
        ),
        (None, "Traceback\nConnectionError: none", 0, "cannot be used (ConnectionError: none)"),
    ],
)
def test_audit_fails_on_a_vulnerability_only(
    tmp_path: Path, report: object, error: str, code: int, sentence: str
) -> None:
    document = json.dumps({"dependencies": report}) if report is not None else ""
    lines = f"import sys; print({document!r}); sys.stderr.write({error!r}); sys.exit({1 if error or code else 0})"
    (tmp_path / "pip_audit.py").write_text(lines)
    ended = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, ROOT / ".ci" / "audit.py"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, sentence in ended.stdout) == (code, True), ended


def test_docker_page_locks_the_container_down() -> None:
    page = (ROOT / "docs" / "how-to" / "docker.md").read_text()
    assert "--read-only --cap-drop ALL --security-opt no-new-privileges" in page
