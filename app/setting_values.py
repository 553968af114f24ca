"""What a setting may be: each check raises `ValueError` with what is allowed, for a sentence about it."""

import os
import re
from pathlib import Path

from pydantic import SecretStr

AUTO_CACHE, NO_CACHE = "auto", "off"  # instead of a folder
PROTOCOLS = ("huggingface", "oip", "kserve", "vertex", "sagemaker")
# A name or an address, of any subdomain or not, at any port or one.
_HOST_PATTERN = re.compile(r"(?:(?:\*\.)?[\w-]+(?:\.[\w-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
# An origin as a browser sends it, or as people write it down, with a slash at its end.
_ORIGIN_PATTERN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?/?", re.ASCII | re.IGNORECASE)
_USUAL_PORTS = {"http": ":80", "https": ":443"}  # which browsers leave out


def checked_device(value: str) -> str:
    """Check where to compute."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValueError("auto, cpu, cuda or cuda:N")
    return value


def checked_cache(value: str) -> str:
    """Check where the cache is: a name that may be meant as another word for off is no folder."""
    if value.lower() in {AUTO_CACHE, NO_CACHE}:
        return value.lower()
    if "/" not in value:
        raise ValueError("auto, off, or a folder with a slash in it, such as ./cache")
    try:
        return str(Path(value).expanduser()) if value.startswith("~") else value
    except RuntimeError as exc:
        raise ValueError("auto, off, or a folder, of a user who exists") from exc


def checked_sha256(value: str) -> str:
    """Check a SHA-256, and write it in lower case."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("the 64 hexadecimal digits of a SHA-256")
    return value.lower()


def checked_file(value: Path) -> Path:
    """Check that a file exists."""
    if not value.is_file():
        raise ValueError("a file that exists")
    return value


def checked_folder(value: Path) -> Path:
    """Check that a folder exists."""
    if not value.is_dir():
        raise ValueError("a folder that exists")
    return value


def checked_writable_folder(value: Path) -> Path:
    """Check that a folder exists and can be written in."""
    if not os.access(checked_folder(value), os.W_OK | os.X_OK):
        raise ValueError("a folder that the service may write in")
    return value


def checked_key(value: SecretStr) -> SecretStr:
    """Check an API key."""
    if not re.fullmatch(r"[\x21-\x7e]{8,}", value.get_secret_value()):
        raise ValueError("8 or more ASCII letters, digits and punctuation characters, without spaces or line breaks")
    return value


def checked_hosts(value: str) -> str:
    """Check names separated by commas, and write them in lower case."""
    if not all(_HOST_PATTERN.fullmatch(host) for host in value.split(",")):
        raise ValueError("names separated by commas, each with a port or *. before it where wanted: *.example.org:8443")
    return value.lower()


def checked_origins(value: str) -> str:
    """Check origins separated by commas, and write them as browsers do."""
    if value.strip() == "*":
        return "*"
    origins = [_ORIGIN_PATTERN.fullmatch(origin.strip()) for origin in value.split(",")]
    known = [origin for origin in origins if origin is not None]
    if len(known) < len(origins):
        raise ValueError(
            "* for all, or origins separated by commas, each a scheme, a name and, if it is not the usual one, a port: "
            "https://shop.example.org,http://localhost:3000"
        )
    return ",".join(_normal_origin(*origin.groups("")) for origin in known)


def _normal_origin(scheme: str, host: str, port: str) -> str:
    scheme = scheme.lower()
    return f"{scheme}://{host.lower()}{'' if port == _USUAL_PORTS[scheme] else port}"


def checked_protocols(value: str) -> str:
    """Check names of protocols separated by commas."""
    names = value.split(",")
    if value not in ("all", "none") and not set(names) <= set(PROTOCOLS):
        raise ValueError(f"all, none, or some of {', '.join(PROTOCOLS)}, separated by commas")
    return value


def checked_workers(value: object) -> object:
    """Check a number of HTTP workers."""
    if not re.fullmatch(r"auto|[1-9]\d?", str(value)):
        raise ValueError("auto, or a whole number from 1 to 99")
    return value
