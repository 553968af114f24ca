"""The command `whisker sign`. Modules that are slow to import are imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from whisker.model.errors import ConfigError
from whisker.model.plain_text import printable


def sign(
    file: Annotated[
        Path, typer.Argument(help="File to sign: a checkpoint, or any other.", metavar="CHECKPOINT", show_default=False)
    ],
    *,
    key: Annotated[
        Path | None,
        typer.Option(
            help="Private key to sign with, on an elliptic curve, in PEM.", metavar="FILE", show_default=False
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            help="The key's certificate, and those that lead from it to the root, in PEM.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            help="Sign nothing: check the signature, by this public key, root certificate or identity.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Sign a file, in CHECKPOINT.sig beside it, so that a service can refuse all others; or check that signature."""
    if (key is None) == (check is None) or (check is not None and certificate is not None):
        raise ConfigError("Give a private --key to sign with, and its --certificate if it has one; or --check alone.")
    try:
        from whisker.model.signature import digest_of, is_encrypted, require_signature, sign_file  # noqa: PLC0415
    except ImportError as exc:
        raise ConfigError("To sign, install the extra: `pip install 'whisker-vision[signing]'`.") from exc
    if check is not None:
        require_signature(file, digest_of(file), check)
        typer.echo(printable(f"{file} has a valid signature of {check}."))
    elif key is not None:
        asks = certificate is None and is_encrypted(key)
        password = typer.prompt(f"Password of {key}", hide_input=True, err=True).encode() if asks else None
        signature = sign_file(file, key=key, certificate=certificate, password=password)
        typer.echo(printable(f"Wrote {signature}: keep it beside the file."))
