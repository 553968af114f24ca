"""The generators: what each needs, what makes its client, and what uses that."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

DESCRIPTION = "client.json"  # the file that clients are generated from
PHOTO = "photo.jpg"  # what they send
_PYTHON, _NODE, _URL = "{python}", "{node}", "{url}"  # stand-ins in a command
_BASE = "CLIENT_URL"  # the variable that has the address for clients that are generated with it
_BIN = "node_modules/.bin/"
_TYPES = ("--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable", "--types", "node")
_COMPILE = (_NODE, f"{_BIN}tsc", "--strict", "--skipLibCheck", *_TYPES)
_SECONDS = 300  # for a command; more is a hang
_SAID_LINES = 5  # of a command that fails


@dataclass(frozen=True, slots=True)
class Tools:
    """Where the generators are: a Python that has one, Node.js, and a folder of packages for that."""

    python: str
    node: str
    modules: Path


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator of clients; the last of its `commands` prints what its client was answered, as JSON."""

    name: str
    packages: tuple[str, ...]  # of npm; none if it comes from pip
    commands: tuple[tuple[str, ...], ...]

    def version(self, tools: Tools) -> str:
        """Return the version that is there; raise `BenchmarkError` with how to install what is not."""
        missing = [name for name in self.packages if not (tools.modules / name / "package.json").is_file()]
        if missing:
            raise BenchmarkError(
                f"{self.name} is not here: npm install {' '.join(self.packages)}, and give the folder node_modules."
            )
        if self.packages:
            package = json.loads((tools.modules / self.packages[0] / "package.json").read_text())
            return str(package["version"])
        look = f"from importlib.metadata import version; print(version({self.name!r}))"
        found = subprocess.run([tools.python, "-c", look], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if found.returncode != 0:
            raise BenchmarkError(f"{self.name} is not here: pip install {self.name}, and give that Python.")
        return found.stdout.strip()

    def run(self, tools: Tools, folder: Path, url: str) -> object:
        """Generate the client in a folder, and return what it prints; raise `BenchmarkError` if anything fails."""
        values = {_PYTHON: tools.python, _NODE: tools.node, _URL: url}
        said = ""
        for command in self.commands:
            words = [values.get(word, word) for word in command]
            ended = subprocess.run(  # noqa: S603 - ours
                words,
                cwd=folder,
                env={**os.environ, _BASE: url},
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
            if ended.returncode != 0:
                last = (ended.stdout + ended.stderr).strip().splitlines()[-_SAID_LINES:]
                raise BenchmarkError(f"{self.name} fails at `{' '.join(words)}`: {' / '.join(last)}")
            said = ended.stdout
        return json.loads(said)


_TO_TYPESCRIPT = (_NODE, f"{_BIN}openapi-typescript", DESCRIPTION, "--output", "client.ts")
_TO_PYTHON = ("generate", "--path", DESCRIPTION, "--output-path", "client", "--meta", "none")
_PYTHON_CONFIG = ("--config", "openapi-python-client.json")  # which says that a PNG is bytes
GENERATORS = (
    Generator(
        "openapi-python-client",
        (),
        (
            (_PYTHON, "-m", "openapi_python_client", *_TO_PYTHON, *_PYTHON_CONFIG),
            (_PYTHON, "python_client.py", _URL, PHOTO),
        ),
    ),
    Generator(
        "orval",
        ("orval", "typescript", "@types/node"),
        (
            (_NODE, f"{_BIN}orval", "--config", "orval.config.mjs"),
            (*_COMPILE, "orval.ts"),
            (_NODE, "orval.js", _URL, PHOTO),
        ),
    ),
    Generator(
        "openapi-typescript",
        ("openapi-typescript", "openapi-fetch", "typescript", "@types/node"),
        (_TO_TYPESCRIPT, (*_COMPILE, "openapi_typescript.ts"), (_NODE, "openapi_typescript.js", _URL, PHOTO)),
    ),
    Generator("openapi-to-postmanv2", ("openapi-to-postmanv2", "newman"), ((_NODE, "postman.cjs", _URL, PHOTO),)),
)
