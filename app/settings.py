"""Everything an operator can set: environment variables `WHISKER_*`, each mirrored by a flag of `whisker serve`.

Importing this must stay cheap (no PyTorch, no web framework): `whisker --help` reads the flags from here.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

from whisker.app.setting_values import (
    AUTO_CACHE,
    PROTOCOLS,
    checked_cache,
    checked_device,
    checked_file,
    checked_folder,
    checked_hosts,
    checked_key,
    checked_origins,
    checked_protocols,
    checked_sha256,
    checked_workers,
    checked_writable_folder,
)
from whisker.model import BUNDLED_CHECKPOINT, MAX_PIXELS
from whisker.model.errors import ConfigError

Engine = Literal["auto", "cuda-graphs", "openvino-int8", "openvino", "torch-bf16", "torch-folded", "torch"]

PREFIX = "WHISKER_"
# Vertex AI's, SageMaker's, and that of Cloud Run, Knative, Heroku and App Runner.
PLATFORM_PORTS = ("AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT", "PORT")
# What Kubernetes puts into a variable `..._PORT` for each Service.
SERVICE_ADDRESS = re.compile(r"(?:tcp|udp|sctp)://\S+", re.IGNORECASE)
RENAMED = {"lanes": "inference_workers"}  # old names of settings, which work until the next release
_PRIVATE = PREFIX + "API_KEY"  # the variable that no other process needs
_SECRETS = (_PRIVATE, "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")  # a collector's key, for one
_VALIDATOR_SAYS = "Value error, "  # that pydantic puts before the message of our validators


class Settings(BaseSettings):
    """How the service runs; read once, validated and frozen. `load_settings` raises readable errors."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    checkpoint: Path = Field(
        default=BUNDLED_CHECKPOINT, description="Checkpoint file to serve, as `whisker train` wrote it."
    )
    more_checkpoints: str | None = Field(
        default=None,
        description="Other checkpoint files to serve besides, separated by commas, each under its file's name.",
    )
    models: Annotated[Path, AfterValidator(checked_folder)] | None = Field(
        default=None,
        description="Folder of models to serve and follow instead, as `<name>/<version>.safetensors`.",
    )
    max_model_bytes: int = Field(
        default=1_000_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Maximum bytes of all loaded models in all inference workers of an HTTP worker; "
        "the least recently used give way.",
    )
    model_control: Literal["off", "on"] = Field(
        default="off",
        description="Whether `POST /models/{name}/load` may change what is served; needs WHISKER_API_KEY.",
    )
    checkpoint_sha256: Annotated[str, AfterValidator(checked_sha256)] | None = Field(
        default=None, description="Refuse to start with a checkpoint file of any other SHA-256."
    )
    signed_by: Annotated[Path, AfterValidator(checked_file)] | None = Field(
        default=None,
        description="Refuse checkpoints without a valid signature; this file has the public key, a root certificate, "
        "or an identity.",
    )
    device: Annotated[str, AfterValidator(checked_device)] = Field(
        default="auto", description="Where to compute: cpu, cuda, cuda:N, or auto for CUDA where there is a GPU."
    )
    engine: Engine = Field(
        default="auto", description="Inference engine; auto takes the fastest one that is accurate on this machine."
    )
    cache: Annotated[str, AfterValidator(checked_cache)] = Field(
        default=AUTO_CACHE,
        description="Folder to keep in what loading a checkpoint came to, so that the next start needs no PyTorch; "
        "auto is the user's own cache, off is none.",
    )
    host: str = Field(
        default="0.0.0.0", min_length=1, description="Address to listen on; 127.0.0.1 keeps it to this machine."
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes any free one.")
    workers: Annotated[int | Literal["auto"], BeforeValidator(checked_workers)] = Field(
        default=1, description="HTTP workers, the processes that answer requests; auto starts one for every four cores."
    )
    inference_workers: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="Inference workers, which decode and predict, for each HTTP worker; 0 starts one per core.",
    )
    threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads of each inference worker; 0 takes its share of the cores."
    )
    max_batch: int = Field(default=4, ge=1, le=32, description="Maximum number of pictures in a batch.")
    max_batch_seconds: float = Field(
        default=0.05,
        ge=0.001,
        le=60,
        description="Longest time for a batch, as measured at start-up; limits the size of batches.",
    )
    max_in_flight: int = Field(
        default=64,
        ge=1,
        le=100_000,
        description="Maximum number of pictures answered at once; more are refused with 503.",
    )
    max_body_bytes: int = Field(
        default=50_000_000,
        ge=1,
        le=1_000_000_000,
        description="Maximum bytes of a request's body; more are refused with 413.",
    )
    max_held_bytes: int = Field(
        default=200_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Maximum bytes of all uploads in memory at once; more are refused with 503.",
    )
    max_files: int = Field(
        default=32,
        ge=1,
        le=1000,
        description="Maximum number of pictures in a request to /predict/batch; more are refused with 422.",
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        le=89_478_485,
        description="Maximum pixels of a picture, half as many for WebP and AVIF, four times as many for most JPEGs; "
        "more are refused with 413, undecoded.",
    )
    deadline_seconds: float = Field(
        default=10.0, ge=0.001, le=600, description="Longest time from a complete upload to its answer; then 504."
    )
    receive_seconds: float = Field(
        default=30.0,
        ge=0.001,
        le=3600,
        description="Longest time to receive a body: 10 s plus its size at 16 kB/s, up to this; then 408.",
    )
    keep_alive_seconds: float = Field(
        default=75.0,
        ge=1,
        le=3600,
        description="Longest time for the next request on an idle connection; "
        "longer than a proxy in front keeps its own, which is 60 s for many.",
    )
    drain_seconds: float = Field(
        default=3.0,
        ge=0,
        le=600,
        description="Time after SIGTERM in which `/readyz` and `/health` say 503 while everything is still answered.",
    )
    api_key: Annotated[SecretStr, AfterValidator(checked_key)] | None = Field(
        default=None,
        description="API key that clients must send as `Authorization: Bearer KEY`, except for health, pages and docs.",
    )
    allowed_hosts: Annotated[str, AfterValidator(checked_hosts)] | None = Field(
        default=None,
        description="Names under which the service may be asked, separated by commas; by default any, others get 421.",
    )
    cors_origins: Annotated[str, AfterValidator(checked_origins)] | None = Field(
        default=None,
        description="Origins of web pages that may use the service from their visitors' browsers, "
        "separated by commas, or * for all.",
    )
    protocols: Annotated[str, AfterValidator(checked_protocols)] = Field(
        default="all",
        description="Compatible APIs to enable: all, none, or some of "
        "huggingface, oip, kserve, vertex and sagemaker, separated by commas.",
    )
    examples: Annotated[Path, AfterValidator(checked_folder)] | None = Field(
        default=None, description="Folder of example photos for the page, the first 24 by name."
    )
    corrections: Annotated[Path, AfterValidator(checked_writable_folder)] | None = Field(
        default=None,
        description="Folder for photos that people submit with their correct label; by default none is kept.",
    )
    max_corrections_bytes: int = Field(
        default=1_000_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Maximum bytes of photos in that folder; more are refused with 507.",
    )
    review: Annotated[Path, AfterValidator(checked_writable_folder)] | None = Field(
        default=None,
        description="Folder for uploads to label at `/label`; needs WHISKER_API_KEY. By default none is kept.",
    )
    review_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the answered pictures that are considered for that folder, 0 to 1.",
    )
    max_review_bytes: int = Field(
        default=1_000_000_000,
        ge=1,
        le=1_000_000_000_000,
        description="Maximum bytes of that folder; when it is full, photos least worth a label give way.",
    )
    stall_seconds: float = Field(
        default=2.0, ge=0.001, le=3600, description="Longest time for a batch before its inference worker is replaced."
    )
    start_seconds: float = Field(
        default=120.0,
        ge=0.001,
        le=86_400,
        description="Longest time for an inference worker to load and verify the checkpoint; then the start fails.",
    )
    tracing: Literal["off", "otlp"] = Field(
        default="off",
        description="Send traces of requests to an OpenTelemetry collector, which OTEL_ variables describe: "
        "otlp, or off.",
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="Log lines as json or text; auto is text on a terminal and json elsewhere."
    )
    log_requests: Literal["failed", "all"] = Field(
        default="failed", description="Log a line for requests that failed, or for all; `/metrics` counts all anyway."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log lines to write."
    )


def chosen_checkpoints(settings: Settings) -> list[Path]:
    """Return the checkpoint files to serve, the default one first."""
    more = "" if settings.more_checkpoints is None else settings.more_checkpoints
    return [settings.checkpoint, *(Path(name.strip()) for name in more.split(",") if name.strip())]


def require_one_source(settings: Settings) -> None:
    """Raise `ConfigError` if the settings name a folder of models and checkpoints, too, or leave its control open."""
    for name in ("checkpoint", "more_checkpoints", "checkpoint_sha256"):
        if settings.models is not None and name in settings.model_fields_set:
            raise ConfigError(f"{variable('models')} and {variable(name)} are both set: give one of them.")
    if settings.model_control == "on" and settings.api_key is None:
        raise ConfigError(
            "WHISKER_MODEL_CONTROL lets clients change what is served, so set WHISKER_API_KEY, too: "
            "without a key everybody could."
        )


def chosen_protocols(settings: Settings) -> frozenset[str]:
    """Return the names of the enabled protocols, besides our own."""
    return frozenset({"all": PROTOCOLS, "none": ()}.get(settings.protocols, settings.protocols.split(",")))


def chosen_hosts(settings: Settings) -> frozenset[str] | None:
    """Return the names under which the service may be asked; `None` if any will do."""
    return None if settings.allowed_hosts is None else frozenset(settings.allowed_hosts.split(","))


def chosen_origins(settings: Settings) -> frozenset[str]:
    """Return the origins whose pages may use the service."""
    return frozenset(() if settings.cors_origins is None else settings.cors_origins.split(","))


def load_settings(*, listens: bool = True, **overrides: str | None) -> Settings:
    """Read the environment; an override that is not `None` wins over it, and it over a port that a platform names.

    A platform's port counts only if the program `listens`. Overrides and variables may have an old name (`RENAMED`).
    Raises `ConfigError` with one sentence that names the variable, its value and what is allowed.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    port_variable = variable("port")
    if "port" not in given:
        port_variable, given["port"] = find_port(os.environ, PLATFORM_PORTS if listens else ())
    for old, new in RENAMED.items():
        value = given.pop(old, None) or (os.environ.get(variable(old)) if not os.environ.get(variable(new)) else None)
        if value:
            given.setdefault(new, value)
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        error = exc.errors()[0]
        name = str(error["loc"][0])
        value = "a secret" if variable(name) == _PRIVATE else repr(str(error["input"]))  # errors end up in logs
        raise ConfigError(
            f"{_origin(name, port_variable)} is {value}, but must be "
            f"{_allowed(Settings.model_fields[name], error['msg'])}."
        ) from exc


def environment_for_children() -> dict[str, str]:
    """Give the environment that another process of the service may have: all of it but the keys."""
    return {name: value for name, value in os.environ.items() if name not in _SECRETS}


def forget_secrets() -> None:
    """Take the API key out of the environment, once it is read, so that no process that is started inherits it.

    An empty one stays, to be warned of.
    """
    if os.environ.get(_PRIVATE):
        del os.environ[_PRIVATE]


def variable(name: str) -> str:
    """Name the environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """Name the flag of a setting."""
    return "--" + name.replace("_", "-")


def find_port(variables: Mapping[str, str], platform_ports: Iterable[str]) -> tuple[str, str]:
    """Name the variable whose port is followed, and give its value; the default's is that of the setting."""
    own = variable("port")
    for name in (own, *platform_ports):
        value = variables.get(name)
        if value and not SERVICE_ADDRESS.fullmatch(value):
            return name, value
    return own, str(Settings.model_fields["port"].default)


def _origin(name: str, port_variable: str) -> str:
    """Name the variable that a setting's value comes from, and the flag that would win over it."""
    if name == "port" and port_variable != variable(name):
        return f"{port_variable} (over which {variable(name)} and {flag(name)} win)"
    return f"{variable(name)} (or {flag(name)})"


def _allowed(field: FieldInfo, message: str) -> str:
    """Describe the values that a field accepts; `message` is pydantic's for the refused value."""
    if message.startswith(_VALIDATOR_SAYS):
        return message.removeprefix(_VALIDATOR_SAYS)
    if choices := get_args(field.annotation):
        return ", ".join(choices[:-1]) + f" or {choices[-1]}"
    minimum = next((bound.ge for bound in field.metadata if hasattr(bound, "ge")), None)
    maximum = next((bound.le for bound in field.metadata if hasattr(bound, "le")), None)
    if minimum is None or maximum is None:
        return "a string that is not empty"
    return f"a {'whole ' if field.annotation is int else ''}number from {minimum} to {maximum}"
