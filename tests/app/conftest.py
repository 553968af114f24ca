"""Tiny real checkpoints, generated pictures, and the application with its lifespan entered."""

import dataclasses
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from fastapi import FastAPI
from PIL import Image

from app.main import create_app
from app.settings import Settings
from model import (
    Checkpoint,
    Classifier,
    NetworkConfig,
    Preprocessing,
    build_network,
    load_checkpoint,
    save_checkpoint,
    with_golden_answers,
)
from model.checkpoint import Golden
from model.novelty import Novelty

Serving = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("WHISKER_"):
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
def strict(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tiny checkpoint with a measure of novelty that knows nothing but one direction of its features."""
    checkpoint = load_checkpoint(tiny)
    features = checkpoint.state["fc.weight"].shape[1]
    prototypes = -torch.ones(1, features) / features**0.5  # features are never negative, so none is like this
    novelty = Novelty(prototypes, torch.zeros(features), neighbours=1, distance_weight=1, typical=0.1, threshold=0.5)
    path = tmp_path_factory.mktemp("checkpoints") / "strict.safetensors"
    save_checkpoint(dataclasses.replace(checkpoint, novelty=novelty), path)
    return path


@pytest.fixture(scope="session")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint that answers for black pictures, while brighter ones overflow to infinity."""
    config = NetworkConfig(family="mlp", width=2, depth=1, size=32)
    state = build_network(config, 2).state_dict()
    state["normalization.mean"].fill_(0.0)
    state["normalization.std"].fill_(1e-30)
    state["hidden.0.weight"].fill_(1e30)
    state["fc.weight"].fill_(1.0)
    checkpoint = Checkpoint(
        name="fragile", network=config, preprocessing=Preprocessing(size=32), classes=("cat", "dog"), state=state
    )
    black = picture(colour="black")
    golden = Golden((black,), Classifier(checkpoint).answers([black]))
    path = tmp_path_factory.mktemp("checkpoints") / "fragile.safetensors"
    save_checkpoint(dataclasses.replace(checkpoint, golden=golden), path)
    return path


@pytest.fixture(scope="session")
def settings(tiny: Path) -> Settings:
    return Settings(checkpoint=tiny, device="cpu", threads=1, decode_threads=2)


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
