"""Signatures: only the very bytes that the owner of the key has signed are looked at; the library agrees."""

import datetime as dt
import json
import os
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from whisker.model import load_checkpoint
from whisker.model.errors import CheckpointError, ConfigError, SignatureError

pytest.importorskip("model_signing", reason="model-signing is not installed: pip install 'whisker-vision[signing]'")

from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from model_signing._cli import main as library_command
from typer.testing import CliRunner as TyperRunner

from whisker.cli import cli
from whisker.model.signature import require_signature, sign_file

_YEAR = dt.timedelta(days=365)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write `ours.key` and `ours.pub`, those of a stranger, and files that are no such keys."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "stranger"):
        write_key(folder / name, ec.generate_private_key(ec.SECP256R1()))
    write_key(folder / "rsa", rsa.generate_private_key(65_537, 2_048))
    write_key(folder / "curve", ec.generate_private_key(ec.SECP256K1()))
    (folder / "text.pub").write_text("-----BEGIN PUBLIC KEY-----\nnone\n")
    return folder


@pytest.fixture
def signed(keys: Path, tmp_path: Path) -> Path:
    """Sign a file that is no checkpoint, which is said only of a file whose signature is right."""
    path = tmp_path / "new.safetensors"
    path.write_bytes(b"the bytes that were signed")
    sign_file(path, key=keys / "ours.key")
    return path


def write_key(path: Path, key: Any, password: bytes | None = None) -> None:
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.with_suffix(".key").write_bytes(key.private_bytes(pem, kind, hidden))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)


def certify(name: str, key: Any, issuer: str, issuer_key: Any, *, is_root: bool) -> bytes:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _YEAR)
        .not_valid_after(now + _YEAR)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(not is_root, False, False, False, False, is_root, is_root, False, False),  # noqa: FBT003 - its names are long
            critical=True,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def change(signature: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    bundle = json.loads(signature.read_text())
    edit(bundle)
    signature.write_text(json.dumps(bundle))


def forged(name: str, path: Path, signature: Path, keys: Path) -> None:
    """Do to a signed file, or to its signature, what somebody without the key can do."""
    whole = signature.read_bytes()
    other = path.with_name("other.safetensors")
    other.write_bytes(b"other bytes")
    actions: dict[str, Callable[[], Any]] = {
        "no signature": signature.unlink,
        "a stranger's": lambda: sign_file(path, key=keys / "stranger.key"),
        "a stranger's, named ours": lambda: claim(path, signature, keys),
        "altered file": lambda: path.write_bytes(b"the bytes that were altered"),
        "of another file": lambda: sign_file(other, key=keys / "ours.key").replace(signature),
        "altered payload": lambda: change(signature, lambda it: it["dsseEnvelope"].update(payload="e30=")),
        "no signatures": lambda: change(signature, lambda it: it["dsseEnvelope"].update(signatures=[])),
        "nothing": lambda: signature.write_bytes(b""),
        "half": lambda: signature.write_bytes(whole[: len(whole) // 2]),
        "a list": lambda: signature.write_text("[]"),
        "deep": lambda: signature.write_text("[" * 100_000),
        "no text": lambda: signature.write_bytes(b"\xff\xfe"),
        "long": lambda: signature.write_bytes(b" " * 1_000_001),
        "a pipe": lambda: os.mkfifo(signature),
        "a folder": signature.mkdir,
    }
    if name in ("a pipe", "a folder"):
        signature.unlink()
    actions[name]()


def claim(path: Path, signature: Path, keys: Path) -> None:
    """Sign with a stranger's key, and say that it is ours."""
    hint = json.loads(signature.read_text())["verificationMaterial"]
    sign_file(path, key=keys / "stranger.key")
    change(signature, lambda it: it.update(verificationMaterial=hint))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no signature", "has no signature: put its new.safetensors.sig beside it"),
        *((name, "is not the file that") for name in ("altered file", "of another file")),
        *((name, "is not a signature that") for name in ("a stranger's", "a stranger's, named ours")),
        *((name, "is not a signature that") for name in ("altered payload", "no signatures", "nothing")),
        *((name, "is not a signature that") for name in ("half", "a list", "deep", "no text")),
        *((name, "cannot be read") for name in ("long", "a pipe", "a folder")),
    ],
)
def test_file_without_a_valid_signature_is_refused_unread(signed: Path, keys: Path, fault: str, said: str) -> None:
    with pytest.raises(CheckpointError, match="not a safetensors file"):  # but its signature is right
        load_checkpoint(signed, signed_by=keys / "ours.pub")
    forged(fault, signed, signed.with_name("new.safetensors.sig"), keys)
    with pytest.raises(SignatureError, match=said):
        load_checkpoint(signed, signed_by=keys / "ours.pub")


def test_digest_of_the_bytes_in_memory_counts_and_not_the_file(signed: Path, keys: Path) -> None:
    with pytest.raises(SignatureError, match="is not the file that"):
        require_signature(signed, "0" * 64, keys / "ours.pub")


@pytest.mark.parametrize("name", ["none.pub", "rsa.pub", "curve.pub", "ours.key", "text.pub"])
def test_unusable_key_lets_nothing_pass(signed: Path, keys: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read|is neither a certificate, nor the public part"):
        load_checkpoint(signed, signed_by=keys / name)


@pytest.mark.parametrize("missing", ["model_signing", "OpenSSL"])
def test_missing_extra_lets_nothing_pass(
    signed: Path, keys: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("model_signing", "whisker.model.signature"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=r"pip install 'whisker-vision\[signing\]'"):
        load_checkpoint(signed, signed_by=keys / "ours.pub")


def test_library_takes_our_signatures_and_we_take_those_of_the_library(
    signed: Path, keys: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    signature, run = signed.with_name("new.safetensors.sig"), CliRunner()
    check = ["verify", "key", str(signed), "--signature", str(signature), "--public_key", str(keys / "ours.pub")]
    assert run.invoke(library_command, check).output == "Verification succeeded\n"
    signature.unlink()
    sign = ["sign", "key", str(signed), "--signature", str(signature), "--private_key", str(keys / "ours.key")]
    assert run.invoke(library_command, sign).output == "Signing succeeded\n"
    change(signature, lambda it: it["verificationMaterial"]["publicKey"].clear())  # which old versions left empty
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(signed, signed_by=keys / "ours.pub")
    assert ([record.getMessage() for record in caplog.records], capsys.readouterr().out) == (
        ["The signature has an old form: sign again"],
        "",
    )


def test_certificate_of_the_root_vouches_for_the_key(signed: Path, tmp_path: Path) -> None:
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
    write_key(tmp_path / "leaf", key)
    (tmp_path / "leaf.pem").write_bytes(certify("leaf", key, "root", root, is_root=False))
    (tmp_path / "root.pem").write_bytes(certify("root", root, "root", root, is_root=True))
    (tmp_path / "strangers.pem").write_bytes(certify("root", key, "root", key, is_root=True))
    sign_file(signed, key=tmp_path / "leaf.key", certificate=tmp_path / "leaf.pem")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_checkpoint(signed, signed_by=tmp_path / "root.pem")
    with pytest.raises(SignatureError, match="is not a signature that"):
        load_checkpoint(signed, signed_by=tmp_path / "strangers.pem")


def test_identity_of_sigstore_accepts_nothing_else(signed: Path, tmp_path: Path) -> None:
    public = files("sigstore._store") / quote("https://tuf-repo-cdn.sigstore.dev", safe="")
    trust = {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads((public / "trusted_root.json").read_text()),
        "signingConfig": json.loads((public / "signing_config.v0.2.json").read_text()),
    }
    (tmp_path / "trust.json").write_text(json.dumps(trust))
    policy = {"identity": "release@example.org", "issuer": "https://example.org", "trust_config": "trust.json"}
    (tmp_path / "who.json").write_text(json.dumps(policy))
    with pytest.raises(SignatureError, match="is not a signature that"):
        load_checkpoint(signed, signed_by=tmp_path / "who.json")
    for wrong in ({"issuer": ""}, {"issuer": None}, {"identity": 1}, {"trust_config": "none.json"}):
        (tmp_path / "who.json").write_text(json.dumps(policy | wrong))
        with pytest.raises(ConfigError, match="nor a JSON object with identity, issuer, trust_config"):
            load_checkpoint(signed, signed_by=tmp_path / "who.json")


def test_command_signs_and_checks(signed: Path, keys: Path, tmp_path: Path) -> None:
    write_key(tmp_path / "hidden", ec.generate_private_key(ec.SECP256R1()), b"secret")
    hidden, public = str(tmp_path / "hidden.key"), str(tmp_path / "hidden.pub")
    assert answer(signed, "--key", hidden, typed="secret\n") == f"Wrote {signed}.sig: keep it beside the file."
    assert answer(signed, "--check", public) == f"{signed} has a valid signature of {public}."
    for arguments, refused in {
        ("--key", hidden): "with the right one",
        ("--key", str(keys / "rsa.key")): "is not an elliptic-curve key",
        ("--key", str(keys / "none.key")): "none.key cannot be read: No such file",
        ("--check", str(keys / "ours.pub")): "is not a signature that",
        (): "Give a private --key",
    }.items():
        with pytest.raises((ConfigError, SignatureError), match=refused):
            answer(signed, *arguments, typed="wrong\n")


def answer(path: Path, *arguments: str, typed: str = "") -> str:
    command = ["sign", str(path), *arguments]
    return TyperRunner().invoke(cli, command, input=typed, catch_exceptions=False).stdout.splitlines()[-1]
