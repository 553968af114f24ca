"""The application, as any ASGI server sees it."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Message

from whisker.app import main
from whisker.app.main import create_app
from whisker.app.routes.state import state_of
from whisker.app.settings import Settings
from whisker.model.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.anyio


def is_ready(app: FastAPI) -> bool:
    models = state_of(app).models
    return models is not None and models.is_ready


async def test_lifespan_loads_and_lets_go(settings: Settings) -> None:
    app = create_app(settings)
    ready: list[bool] = []
    sent = await _live(app, ready)
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert ready == [True]
    assert not is_ready(app)


async def test_environment_is_read_without_settings(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_CHECKPOINT", str(tiny))
    assert state_of(create_app()).settings.checkpoint == tiny


async def test_app_is_made_when_it_is_asked_for(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "app" not in vars(main)
    monkeypatch.setenv("WHISKER_DEVICE", "tpu")
    with pytest.raises(ConfigError, match="WHISKER_DEVICE"):
        _ = main.app
    monkeypatch.setenv("WHISKER_DEVICE", "cpu")
    monkeypatch.setenv("WHISKER_CHECKPOINT", str(tiny))
    try:
        assert main.app is main.app
        assert state_of(main.app).settings.checkpoint == tiny
    finally:
        vars(main).pop("app", None)
    with pytest.raises(AttributeError, match="has no attribute 'application'"):
        _ = main.application


async def test_lifespan_fails_with_the_sentence(settings: Settings, tmp_path: Path) -> None:
    app = create_app(settings.model_copy(update={"checkpoint": tmp_path / "none"}))
    with pytest.raises(CheckpointError, match="There is no checkpoint file"):
        await _live(app, [])


async def _live(app: FastAPI, ready: list[bool]) -> list[Message]:
    """Start and stop `app` by the lifespan protocol; note between the two whether it was ready."""
    sent: list[Message] = []

    async def receive() -> Message:
        if not sent:
            return {"type": "lifespan.startup"}
        ready.append(is_ready(app))
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
    return sent
