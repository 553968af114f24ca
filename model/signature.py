"""Signatures of single files, as the OpenSSF's model signing makes them: a sigstore bundle beside the file.

A bundle holds the SHA-256 of what was signed. Its file is read and checked by `model-signing`, but never what it was
made for: whoever loads that has hashed the very bytes that are used, so that no other ones can take their place.
Importing this raises `ImportError` without the extra `signing`.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path, PurePosixPath

from model_signing import hashing, signing, verifying
from model_signing._hashing.hashing import Digest
from model_signing.manifest import FileManifestItem, Manifest, SerializationType

from whisker.model.atomic_write import atomic_write
from whisker.model.errors import ConfigError, SignatureError
from whisker.model.regular_file import open_regular, read_regular

_SUFFIX = ".sig"
_MAX_BYTES = 1_000_000  # of a signature, a key or certificates: a signature with three of these has 6 kB
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
_WHOLE_FILE = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
_KEYLESS = ("identity", "issuer", "trust_config")  # of Sigstore
_CURVES = "an elliptic-curve key of P-256, P-384 or P-521, in PEM"


logger = logging.getLogger(__name__)


class _KnownDigest(hashing.Config):
    """The SHA-256 of a file, for a library that would read the file again."""

    def __init__(self, sha256: str) -> None:
        super().__init__()
        self._sha256 = sha256
        self.was_asked = False  # which happens only after the signature was found to be valid

    def hash(
        self,
        model_path: hashing.PathLike,
        *,
        files_to_hash: Iterable[hashing.PathLike] | None = None,  # noqa: ARG002 - the library's interface
    ) -> Manifest:
        self.was_asked = True
        whole = FileManifestItem(path=PurePosixPath(), digest=Digest("sha256", bytes.fromhex(self._sha256)))
        return Manifest(Path(str(model_path)).name, [whole], SerializationType.from_args(_WHOLE_FILE))


def signature_of(path: Path) -> Path:
    """Name the file that holds the signature of another."""
    return path.with_name(path.name + _SUFFIX)


def digest_of(path: Path) -> str:
    """Compute the SHA-256 of a file; raise `ConfigError` if it cannot be read."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc


def is_encrypted(key: Path) -> bool:
    """Tell whether a private key needs a password; raise `ConfigError` if it cannot be read."""
    return any(mark in _read(key) for mark in _ENCRYPTED)


def sign_file(path: Path, *, key: Path, certificate: Path | None = None, password: bytes | None = None) -> Path:
    """Write the signature of a file beside it, in place of an older one, and return its path.

    `certificate` is a PEM of the key's certificate, and those that lead from it to the root. Raises `ConfigError`.
    """
    config = signing.Config().set_hashing_config(_KnownDigest(digest_of(path)))
    try:
        if certificate is None:
            config.use_elliptic_key_signer(private_key=key, password=password)
        else:
            config.use_certificate_signer(
                private_key=key, signing_certificate=certificate, certificate_chain=[certificate]
            )
    except OSError as exc:
        raise ConfigError(f"{exc.filename} cannot be read: {exc.strerror}.") from exc
    except Exception as exc:  # whatever the libraries make of a file that is no key
        given = f"{key} is not" if certificate is None else f"{key} and {certificate} are not the certificate of"
        raise ConfigError(f"{given} {_CURVES}, without a password or with the right one.") from exc
    signature = signature_of(path)
    try:
        with atomic_write(signature) as temporary:
            config.sign(path, temporary)
    except OSError as exc:
        raise ConfigError(f"{signature} cannot be written: {exc.strerror}.") from exc
    return signature


def require_signature(path: Path, sha256: str, signed_by: Path) -> None:
    """Raise `SignatureError` unless there is a valid signature of a file with this SHA-256.

    `signed_by` holds who may sign: a public key, root certificates, or a JSON object that names an `identity` of
    Sigstore, its `issuer` and the file of a `trust_config`. Raises `ConfigError` if it holds none of these.
    """
    config, known, signature, printed = _verifier(signed_by), _KnownDigest(sha256), signature_of(path), StringIO()
    try:
        read_regular(signature, max_bytes=_MAX_BYTES)  # the library would wait for a pipe, and read any number of bytes
    except FileNotFoundError as exc:
        raise SignatureError(f"{path} has no signature: put its {signature.name} beside it.") from exc
    except OSError as exc:
        raise SignatureError(f"The signature {signature} cannot be read: {exc.strerror}.") from exc
    try:
        with redirect_stdout(printed):
            config.set_hashing_config(known).verify(path, signature)
    except Exception as exc:  # whatever a hostile file makes the libraries raise, it is refused
        if known.was_asked:
            raise SignatureError(f"{path} is not the file that {signature} was made for.") from exc
        raise SignatureError(
            f"{signature} is not a signature that {signed_by} allows: somebody else made it, or it was altered."
        ) from exc
    if printed.getvalue():  # of a signature that does not name its key, as old ones do not
        logger.warning("The signature has an old form: sign again", extra={"signature": str(signature)})


def _verifier(signed_by: Path) -> verifying.Config:
    content = _read(signed_by)
    try:
        if _CERTIFICATE in content:
            return verifying.Config().use_certificate_verifier(certificate_chain=[signed_by])
        if content.lstrip().startswith(b"{"):
            return _keyless_verifier(signed_by, content)
        return verifying.Config().use_elliptic_key_verifier(public_key=signed_by)
    except Exception as exc:  # as for private keys
        raise ConfigError(
            f"{signed_by} is neither a certificate, nor the public part of {_CURVES}, nor a JSON object with "
            f"{', '.join(_KEYLESS)}."
        ) from exc


def _keyless_verifier(signed_by: Path, content: bytes) -> verifying.Config:
    """Verify by certificates of Sigstore, with its roots from a file: without, the library would ask the internet."""
    identity, issuer, trust_config = (json.loads(content)[name] for name in _KEYLESS)
    if not all(isinstance(it, str) and it for it in (identity, issuer, trust_config)):
        raise ValueError("The library would check less.")
    return verifying.Config().use_sigstore_verifier(
        identity=identity, oidc_issuer=issuer, trust_config=signed_by.parent / trust_config
    )


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, max_bytes=_MAX_BYTES)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}.") from exc
