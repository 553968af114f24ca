"""Tiny real checkpoints, generated pictures, and the application with its lifespan entered."""

import dataclasses
import errno
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import httpx
import numpy as np
import psutil
import pytest
import torch
from fastapi import FastAPI
from PIL import Image

from benchmarks.reliability.checkpoints import write_fragile
from whisker.app.batch.job import Job
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.model import (
    Checkpoint,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from whisker.model.answers.novelty import Novelty
from whisker.model.checkpoint.contents import Thresholds

ROOT = Path(__file__).parents[2]

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WHISKER_") or name == "PORT":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint of three classes; untrained, so its answers are arbitrary but fixed."""
    torch.manual_seed(0)
    config = NetworkConfig(family="resnet", width=2, depth=1, size=32)
    classes = ("bird", "cat", "dog")
    checkpoint = Checkpoint(
        name="tiny",
        network=config,
        preprocessing=Preprocessing(size=32),
        classes=classes,
        state=build_network(config, len(classes)).state_dict(),
        metrics={"test": {"accuracy": 0.5}},
        provenance={"recipe": "none"},
    )
    path = tmp_path_factory.mktemp("checkpoints") / "tiny.safetensors"
    save_checkpoint(with_golden_answers(checkpoint), path)
    return path


@pytest.fixture(scope="session")
def several_file(several: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the multi-label checkpoint, which finds a bird and a cat in every picture."""
    path = tmp_path_factory.mktemp("checkpoints") / "several.safetensors"
    save_checkpoint(several, path)
    return path


@pytest.fixture(scope="session")
def doubtful_file(several: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the multi-label checkpoint with thresholds that leave the cat in doubt."""
    path = tmp_path_factory.mktemp("checkpoints") / "doubtful.safetensors"
    thresholds = Thresholds(labels=(0.9, 0.9, 0.9), guaranteed=(True, True, True))
    save_checkpoint(dataclasses.replace(several, thresholds=thresholds), path)
    return path


@pytest.fixture(scope="session")
def strict(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny checkpoint with a measure of novelty that knows nothing but one direction of its features."""
    checkpoint = load_checkpoint(tiny)
    features = checkpoint.state["fc.weight"].shape[1]
    # Features are never negative, so none is like this.
    prototypes = np.full((1, features), -1 / features**0.5, np.float32)
    none = np.zeros(features, np.float32)
    novelty = Novelty(prototypes, none, neighbours=1, distance_weight=1, typical=0.1, threshold=0.5)
    path = tmp_path_factory.mktemp("checkpoints") / "strict.safetensors"
    save_checkpoint(dataclasses.replace(checkpoint, novelty=novelty), path)
    return path


@pytest.fixture(scope="session")
def unproven(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny checkpoint as one whose photos were too few to show that its answers can be relied on."""
    checkpoint = load_checkpoint(tiny)
    path = tmp_path_factory.mktemp("checkpoints") / "unproven.safetensors"
    save_checkpoint(dataclasses.replace(checkpoint, thresholds=Thresholds(shown=False)), path)
    return path


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint that answers for black pictures, while brighter ones overflow to infinity."""
    path = tmp_path_factory.mktemp("checkpoints") / "fragile.safetensors"
    write_fragile(path, picture(colour="black"))
    return path


@pytest.fixture(scope="session")
def settings(tiny: Path) -> Settings:
    """Serve the tiny checkpoint with the engine that starts fastest; real servers in the tests choose their own."""
    return Settings(checkpoint=tiny, device="cpu", engine="openvino", threads=1, inference_workers=1)


@pytest.fixture(scope="session")
def serving(settings: Settings) -> Serving:
    """Give a context in which the application runs, with some settings changed, and a client for it."""

    @asynccontextmanager
    async def serve(**changes: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(settings.model_copy(update=changes))
        async with app.router.lifespan_context(app), connected(app) as client:
            yield client

    return serve


@pytest.fixture(scope="module")
async def client(serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with serving() as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write 80 photos, more than two batches, with a damaged one and a text among them."""
    root = tmp_path / "photos"
    for number in range(80):
        path = root / f"{number % 3}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour=f"#{number * 3:02x}80{255 - number:02x}"))
    (root / "1" / "damaged.png").write_bytes(picture()[:60])
    (root / "notes.txt").write_text("hello")
    return root


@pytest.fixture
def job(folder: Path, settings: Settings, tmp_path: Path) -> Job:
    return Job([folder], tmp_path / "results.jsonl", settings)


class Server:
    """A `whisker serve` of its own, on a free port."""

    def __init__(
        self, checkpoint: Path, *options: str, max_descriptors: str = "", limits: str = "", **variables: str
    ) -> None:
        """Start it, and wait until it serves; `limits` are assignments to those of the time limits, `t`."""
        shell = ["sh", "-c", f'ulimit -n {max_descriptors}; exec "$@"', "sh"] if max_descriptors else []
        program = ["-m", "whisker"]
        if limits:
            program = [
                "-c",
                f"from whisker.app import time_limits as t; {limits}; from whisker.cli import main; main()",
            ]
        command = [*shell, sys.executable, *program, "serve", "--host=127.0.0.1", "--port=0", "--threads=1"]
        self.process = subprocess.Popen(  # noqa: S603 - the command is ours
            [*command, f"--checkpoint={checkpoint}", *options],
            cwd=ROOT,
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self.address = f"http://{self.read_until('Serving')['address']}"
        self.client = httpx.Client(base_url=self.address, trust_env=False)

    def read_until(self, message: str) -> dict[str, Any]:
        """Read the log up to a line that begins with `message`, and return that."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(json.loads(line))
            if self.lines[-1]["message"].startswith(message):
                return self.lines[-1]
        raise AssertionError(f"The log ends without {message!r}: {self.lines}")

    def stop(self) -> tuple[int, list[str]]:
        """Ask it to end; return its exit code and the messages of its last lines."""
        self.process.send_signal(signal.SIGTERM)
        code, rest = self.end()
        return code, [json.loads(line)["message"] for line in rest]

    def end(self) -> tuple[int, list[str]]:
        """Wait for the end of all its processes; return its exit code and the last lines on stderr."""
        assert self.process.stderr is not None
        rest = self.process.stderr.read()  # not by `communicate`, which overlooks what `read_until` has buffered
        return self.process.wait(), rest.splitlines()

    def clean_up(self) -> None:
        """Leave nothing behind, whatever a test has left undone."""
        self.client.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


def child_processes() -> set[int]:
    """List the processes that this one has started, but for Python's own helper."""
    return {child.pid for child in psutil.Process().children() if not _is_helper(child)}


def _is_helper(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.NoSuchProcess:  # it has ended, but nobody has looked
        return False


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file that is written whole or not at all be completed."""

    def refuse(_descriptor: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def connected(app: FastAPI) -> httpx.AsyncClient:
    """Connect a client to an application, in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://whisker")


def picture(width: int = 40, height: int = 30, *, colour: str = "teal", format_: str = "PNG") -> bytes:
    """Draw and encode a picture that no other colour gives."""
    image = Image.new("RGB", (width, height), colour)
    image.paste("black", (0, 0, width // 3, height // 2))
    buffer = io.BytesIO()
    image.save(buffer, format_)
    return buffer.getvalue()
