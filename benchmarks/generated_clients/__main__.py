"""Generate clients from the description of the API, and let each ask a real server for everything.

`python -m benchmarks.generated_clients --modules FOLDER/node_modules`; the versions tried are in
docs/reference/compatibility.md.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import httpx
import typer
from PIL import Image

from benchmarks.errors import BenchmarkError
from benchmarks.generated_clients.generators import DESCRIPTION, GENERATORS, PHOTO, Generator, Tools
from benchmarks.process import running
from benchmarks.reliability.pictures import encode
from benchmarks.servers import WHISKER
from whisker.app.client import Client
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.errors import WhiskerError

_PROGRAMS = Path(__file__).with_name("programs")
_NAMES = [generator.name for generator in GENERATORS]
_NO_PICTURE = "unsupported_picture_format"
_PNG = "89504e47"  # how every PNG begins


def main(
    *,
    python: Annotated[str, typer.Option(help="Python that has openapi-python-client.")] = sys.executable,
    modules: Annotated[Path, typer.Option(help="Folder node_modules that has the other generators.")] = Path(
        "node_modules"
    ),
    node: Annotated[str, typer.Option(help="Node.js of 22.18 or later, which orval needs.")] = "node",
    only: Annotated[list[str] | None, typer.Option(help=f"May be repeated: {', '.join(_NAMES)}.")] = None,
) -> None:
    """Compare what generated clients are answered with what Whisker's own is; the exit status is 1 if one differs."""
    tools = Tools(python, shutil.which(node) or node, modules.resolve())
    chosen = [generator for generator in GENERATORS if generator.name in (only or _NAMES)]
    versions = [generator.version(tools) for generator in chosen]
    photo = encode(Image.new("RGB", (200, 150), "teal"), "JPEG")
    differ = False
    with _serving(photo) as url:
        expected = _expect(url, photo)
        for generator, version in zip(chosen, versions, strict=True):
            answered = _try(generator, tools, url, photo)
            differ |= answered != expected
            verdict = "as it should" if answered == expected else f"{answered}, not {expected}"
            typer.echo(f"{generator.name} {version}: {verdict}")
    if differ:
        raise typer.Exit(1)


@contextmanager
def _serving(photo: bytes) -> Iterator[str]:
    """Serve the bundled checkpoint, with a folder for corrections."""
    with TemporaryDirectory(prefix="whisker-") as corrections:
        server = replace(WHISKER, command=(*WHISKER.command, f"--corrections={corrections}"))
        with running(server, sys.executable, BUNDLED_CHECKPOINT, photo) as whisker:
            yield f"http://127.0.0.1:{whisker.port}"


def _expect(url: str, photo: bytes) -> dict[str, object]:
    with Client(url) as client:
        label, classes = client.predict(photo).label, client.model().classes
    return {
        "classes": classes,
        "label": label,
        "listed": 1,
        "refused": [415, _NO_PICTURE],
        "several": [label, _NO_PICTURE],
        "map": _PNG,
        "kept": classes[-1],
        "status": "ready",
    }


def _try(generator: Generator, tools: Tools, url: str, photo: bytes) -> object:
    """Return what a generator's client was answered, or what went wrong."""
    with TemporaryDirectory(prefix="whisker-") as name:
        folder = Path(name)
        shutil.copytree(_PROGRAMS, folder, dirs_exist_ok=True)
        (folder / "package.json").write_text('{"type": "module"}')
        (folder / DESCRIPTION).write_bytes(httpx.get(f"{url}/openapi.json").raise_for_status().content)
        (folder / "node_modules").symlink_to(tools.modules)
        (folder / PHOTO).write_bytes(photo)
        try:
            return generator.run(tools, folder, url)
        except BenchmarkError as exc:
            return str(exc)


if __name__ == "__main__":
    try:
        typer.run(main)
    except WhiskerError as exc:
        sys.exit(f"benchmark: {exc}")
