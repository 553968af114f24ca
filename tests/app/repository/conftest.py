"""A folder of models whose versions can be told by their answers: each leans to one class."""

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from tests.app.conftest import connected, picture
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.model import load_checkpoint, save_checkpoint, with_golden_answers

KEY = "0123456789abcdef0123456789abcdef"


@dataclass
class House:
    """An application that follows a folder, and a client for it."""

    root: Path
    app: FastAPI
    client: httpx.AsyncClient

    async def predict(self, path: str = "/predict", **asked: Any) -> dict[str, Any]:
        """Send a picture; return the answer, which has to be one."""
        response = await self.client.post(path, content=picture(), headers=_PNG | asked.pop("headers", {}), **asked)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def model(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.client.get(f"/models/{name}")).json()
        return answer

    async def until(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until a model is as wanted."""
        while not condition(found := await self.model(name)):  # noqa: ASYNC110 - a service tells nobody
            await asyncio.sleep(0.02)
        return found

    async def until_serving(self, name: str, version: str) -> dict[str, Any]:
        return await self.until(name, lambda found: found.get("serving") == version)


_PNG = {"Content-Type": "image/png"}
Opening = Callable[..., Any]


@pytest.fixture(scope="session")
def leaning(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give a function that writes the tiny checkpoint as one that answers one class, whatever it sees."""
    folder = tmp_path_factory.mktemp("leaning")

    def write(label: str) -> Path:
        path = folder / f"{label}.safetensors"
        if not path.exists():
            checkpoint = load_checkpoint(tiny)
            state = dict(checkpoint.state)
            bias = state["fc.bias"].clone()
            bias[checkpoint.classes.index(label)] += 20
            leant = dataclasses.replace(checkpoint, name=label, state={**state, "fc.bias": bias})
            save_checkpoint(with_golden_answers(leant), path)
        return path

    return write


@pytest.fixture
def root(tmp_path: Path, leaning: Callable[[str], Path]) -> Path:
    """Make a folder with one model, whose first version answers bird."""
    (tmp_path / "models" / "pets").mkdir(parents=True)
    shutil.copy(leaning("bird"), tmp_path / "models" / "pets" / "v1.safetensors")
    return tmp_path / "models"


@pytest.fixture
def opened(root: Path) -> Opening:
    """Give a context in which an application follows the folder."""

    @asynccontextmanager
    async def open_house(**changes: Any) -> AsyncIterator[House]:
        given: dict[str, Any] = {
            "models": root,
            "device": "cpu",
            "engine": "auto",
            "threads": 1,
            "inference_workers": 1,
        }
        app = create_app(Settings(**{**given, "deadline_seconds": 60, **changes}))
        async with app.router.lifespan_context(app), connected(app) as client:
            yield House(root, app, client)

    return open_house


def put(source: Path, target: Path) -> None:
    """Let a version appear as a whole."""
    target.parent.mkdir(exist_ok=True)
    hidden = target.with_name(f".{target.name}")
    shutil.copy(source, hidden)
    hidden.rename(target)


def keyed(**more: Any) -> dict[str, Any]:
    """Ask for a key, and let whoever has it change what is served."""
    return {"api_key": SecretStr(KEY), "model_control": "on", **more}
