"""A service, and `whisker predict`, that ask for a signature: only a checkpoint that has one is used."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.app.conftest import Serving, picture
from whisker.cli import cli
from whisker.model.errors import SignatureError

pytest.importorskip("model_signing", reason="model-signing is not installed: pip install 'whisker-vision[signing]'")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whisker.model.signature import sign_file


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Make a key, with its public part in `release.pub` beside it."""
    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    hidden = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "release.key").write_bytes(key.private_bytes(pem, *hidden))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "release.pub").write_bytes(public)
    return tmp_path / "release.key"


@pytest.mark.anyio
async def test_only_a_signed_checkpoint_is_used(
    serving: Serving, tiny: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, photo = Path(shutil.copy(tiny, tmp_path / "c.safetensors")), tmp_path / "photo.png"
    photo.write_bytes(picture())
    public = key.with_suffix(".pub")
    with pytest.raises(SignatureError, match=r"c\.safetensors has no signature"):
        async with serving(checkpoint=checkpoint, signed_by=public):
            pass
    monkeypatch.setenv("WHISKER_SIGNED_BY", str(public))
    predict = ["predict", str(checkpoint), str(photo), "--json"]
    with pytest.raises(SignatureError, match="has no signature"):
        CliRunner().invoke(cli, predict, catch_exceptions=False)
    sign_file(checkpoint, key=key)
    assert CliRunner().invoke(cli, predict, catch_exceptions=False).exit_code == 0
    async with serving(checkpoint=checkpoint, signed_by=public) as client:
        assert (await client.post("/predict", files={"file": photo.read_bytes()})).status_code == 200
