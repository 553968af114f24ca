"""The whole way of a version: trained, signed, added, refused without a signature, tried, promoted, rolled back."""

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.pictures import draw, encode
from whisker.app.main import create_app
from whisker.app.settings import Settings
from whisker.cli import main
from whisker.model import Classifier, load_checkpoint, save_checkpoint, with_golden_answers
from whisker.training.job import Training

pytestmark = pytest.mark.anyio

Command = Callable[..., str]


@pytest.fixture
def whisker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Give a function that runs a command, which has to succeed, and returns what it prints."""

    def run(*words: object) -> str:
        monkeypatch.setattr(sys, "argv", ["whisker", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, ended.value.code
        return capsys.readouterr().out

    return run


async def test_version_is_signed_tried_promoted_and_rolled_back(
    trained: Training, tmp_path: Path, whisker: Command
) -> None:
    pytest.importorskip("model_signing", reason="needs the extra signing")
    key, public = _write_keys(tmp_path)
    root, folder, first, second = (
        tmp_path / "models",
        tmp_path / "models" / "shapes",
        trained.out,
        tmp_path / "b.safetensors",
    )
    root.mkdir()
    _soften(first, second)
    upload = encode(draw("rings", 900))
    expected = {
        name: Classifier.load(file).predict([upload])[0].score for name, file in (("v1", first), ("v2", second))
    }
    assert expected["v1"] - expected["v2"] > 0.01

    await asyncio.to_thread(whisker, "models", "add", folder, first)
    await asyncio.to_thread(whisker, "sign", folder / "v1.safetensors", "--key", key)
    app = create_app(Settings(models=root, signed_by=public, device="cpu", inference_workers=1))
    async with app.router.lifespan_context(app), _connected(app) as client:

        async def answered(**headers: str) -> str:
            answer = (await client.post("/predict", content=upload, headers=_PNG | headers)).raise_for_status().json()
            version: str = answer["model"]["version"]
            assert answer["score"] == pytest.approx(expected[version], abs=0.02), version
            return version

        async def until(condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            while not condition(found := (await client.get("/models/shapes")).json()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
            return dict(found)

        assert await answered() == "v1"
        await asyncio.to_thread(whisker, "models", "add", folder, second, "--canary", "0")
        found = await until(lambda it: it["versions"][-1]["state"] == "failed")
        assert "v2.safetensors has no signature" in found["versions"][-1]["reason"]
        await asyncio.to_thread(whisker, "sign", folder / "v2.safetensors", "--key", key)
        await until(lambda it: it["versions"][-1]["state"] == "canary")
        assert [await answered(), await answered(**{"Whisker-Canary": "always"})] == ["v1", "v2"]
        await asyncio.to_thread(whisker, "models", "promote", folder)
        await until(lambda it: it["serving"] == "v2")
        assert await answered() == "v2"
        await asyncio.to_thread(whisker, "models", "rollback", folder)
        await until(lambda it: it["serving"] == "v1")
        assert await answered() == "v1"


_PNG = {"Content-Type": "image/png"}


def _connected(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://whisker")


def _soften(first: Path, second: Path) -> None:
    """Write a version whose scores are lower."""
    checkpoint = load_checkpoint(first)
    softened = dataclasses.replace(checkpoint, temperature=4 * checkpoint.temperature)
    save_checkpoint(with_golden_answers(softened), second)


def _write_keys(folder: Path) -> tuple[Path, Path]:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - comes with the extra
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private, public = folder / "key.pem", folder / "key.pub"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public
