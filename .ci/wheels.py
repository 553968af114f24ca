"""Build the wheels of both distributions, for the package index: `python .ci/wheels.py FOLDER`.

`whisker-vision` is what `pip install .` builds, less the files of `whisker-vision-client`, which it requires instead.
No file belongs to both, so that either can be installed, upgraded and removed beside the other (docs/adr/0023).
"""

import base64
import csv
import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SOURCES = ("whisker", "app", "model", "training", "wheels", "pyproject.toml", "LICENSE", "NOTICE")
CLIENT = Path("wheels", "client")
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
_METADATA, _RECORD = ".dist-info/METADATA", ".dist-info/RECORD"


def build_all(folder: Path) -> tuple[Path, Path, Path]:
    """Build `pip install .`'s wheel and the two for the index; return the paths of all three."""
    with TemporaryDirectory() as copy:
        for name in SOURCES:
            _copy(ROOT / name, Path(copy, name))
        whole = _build(Path(copy), folder / "whole")
        client = _build(Path(copy, CLIENT), folder)
    return whole, client, split(whole, client, folder / whole.name)


def split(whole: Path, client: Path, rest: Path) -> Path:
    """Write a wheel of the files that the client's does not have, which requires the client in the same version."""
    with zipfile.ZipFile(client) as archive:
        taken = set(archive.namelist())
    with zipfile.ZipFile(whole) as given, zipfile.ZipFile(rest, "w", zipfile.ZIP_DEFLATED) as written:
        files = [info for info in given.infolist() if info.filename not in taken]
        record = []
        for info in files:
            content = given.read(info)
            if info.filename.endswith(_RECORD):
                continue
            if info.filename.endswith(_METADATA):
                content = _require(content, f"whisker-vision-client=={client.name.split('-')[1]}")
            written.writestr(info, content)
            record.append((info.filename, _digest(content), len(content)))
        (name,) = [info.filename for info in files if info.filename.endswith(_RECORD)]
        written.writestr(name, _record([*record, (name, "", "")]))
    return rest


def _copy(source: Path, copy: Path) -> None:
    if source.is_dir():
        left_out = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(source, copy, symlinks=True, ignore=left_out)
    else:
        shutil.copy(source, copy)


def _build(project: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    before = set(folder.glob("*.whl"))
    command = [sys.executable, "-c", _BUILD, str(folder.resolve())]
    ended = subprocess.run(command, cwd=project, check=False, capture_output=True, text=True)  # noqa: S603 - our own code
    if ended.returncode:
        sys.exit(f"The wheel of {project} could not be built:\n{ended.stderr}")
    (built,) = set(folder.glob("*.whl")) - before
    return built


def _require(metadata: bytes, requirement: str) -> bytes:
    head, blank, description = metadata.partition(b"\n\n")
    return head + b"\nRequires-Dist: " + requirement.encode() + blank + description


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _record(lines: Iterable[tuple[str, str, object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def main() -> None:
    """Build into the folder that is named, and say what is there."""
    folder = Path(sys.argv[1])
    for old in folder.glob("whisker_vision*.whl"):
        old.unlink()
    with TemporaryDirectory() as aside:
        for wheel in build_all(Path(aside))[1:]:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(wheel, folder / wheel.name)
            print(f"{folder / wheel.name}: {(folder / wheel.name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
