"""Pretrained weights of timm on the Hugging Face Hub: downloaded when asked for, into the Hub library's own cache.

The library `huggingface_hub` is optional. What is in its cache is found without a network, too.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from whisker.model.errors import ConfigError
from whisker.training.errors import TrainingError
from whisker.training.pretrained.recognition import ChannelStatistics, Recognised, fit_size, recognise
from whisker.training.pretrained.unsupported import SUPPORTED
from whisker.training.pretrained.weights import Pretrained, file_digest, read_safetensors

PREFIX = "hf-hub:"
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
# timm's names of what Whisker builds. Others may have tensors of the same names and compute something else: with other
# padding (efficientnet_lite0, tf_mobilenetv3_large_100) or other pooling (resnetblur50).
_ARCHITECTURES = re.compile(
    r"resnet(18|26|34|50|101|152)d?"
    r"|mobilenetv3_(large|small)_100"
    r"|tf_efficientnet_lite[012]"
    r"|convnext_(atto|femto|pico|nano|tiny|small)"
)


class _Config(NamedTuple):
    """What weights were trained with: each channel's mean and deviation, and the pictures' side in pixels."""

    normalization: ChannelStatistics
    size: int


def read_hub(value: str, *, endpoint: str | None = None, cache: Path | None = None) -> Pretrained:
    """Download the weights that `hf-hub:OWNER/NAME[@REVISION]` names, or find them in the cache, and read them.

    `endpoint` and `cache` are those of the Hub's library unless given. Raises `TrainingError`.
    """
    repository, revision = _parse(value)
    download = partial(_download, repository, endpoint=endpoint, cache=cache)
    described = download(_CONFIG, revision)
    commit = described.parent.name  # the cache keeps the files of a commit in a folder of that name
    config = _read_config(described, value)
    file = download(_WEIGHTS, commit)
    found = _recognise(file, value)
    network = replace(found.network, size=fit_size(found.network, config.size))
    return Pretrained(
        found.weights,
        network,
        source=f"{PREFIX}{repository}@{commit}",
        sha256=file_digest(file),
        normalization=config.normalization,
        revision=commit,
    )


def _parse(value: str) -> tuple[str, str | None]:
    """Split an address into the repository and its branch, tag or commit."""
    match = re.fullmatch(rf"{PREFIX}([\w.-]+/[\w.-]+)(?:@(.+))?", value)
    if match is None:
        raise TrainingError(f"Weights on the Hugging Face Hub are named {PREFIX}OWNER/NAME[@REVISION], not {value}.")
    return match[1], match[2]


def _download(repository: str, file: str, revision: str | None, *, endpoint: str | None, cache: Path | None) -> Path:
    """Download a file into the cache, or find it there, and translate the library's errors."""
    try:
        from huggingface_hub import errors, hf_hub_download  # noqa: PLC0415 - optional, and slow to import
    except ImportError as exc:
        raise TrainingError(
            f"{PREFIX} needs the package huggingface-hub, which is not installed: "
            "run `pip install 'whisker-vision[hub]'`."
        ) from exc
    reasons: Mapping[type[Exception], str] = {  # the first that fits; some are kinds of others
        errors.HFValidationError: "cannot be the name of a repository: check it for typing errors",
        errors.GatedRepoError: "is for those who accepted its terms: do so on its page, then run `hf auth login`",
        errors.RepositoryNotFoundError: "does not exist, or is private: check the name, or run `hf auth login`",
        errors.RevisionNotFoundError: f"has no revision {revision}: check what follows the @",
        errors.LocalEntryNotFoundError: "is not in the cache, and the Hub cannot be reached: check the network",
        errors.EntryNotFoundError: f"has no {file}: choose a repository of timm that has one",
        # The HTTP library's own errors; which library it is depends on the version.
        errors.HfHubHTTPError.__bases__[0]: "could not be downloaded: check the network, and try again",
        OSError: "could not be downloaded: check the network and the space on the disk, and try again",
    }
    try:
        return Path(hf_hub_download(repository, file, revision=revision, endpoint=endpoint, cache_dir=cache))
    except tuple(reasons) as exc:
        reason = next(text for kind, text in reasons.items() if isinstance(exc, kind))
        raise TrainingError(f"{PREFIX}{repository} {reason}.") from exc


def _read_config(file: Path, value: str) -> _Config:
    """Read timm's description of the weights; refuse what Whisker would build differently."""
    try:
        document: Mapping[str, Any] = json.loads(file.read_bytes())
        architecture, trained = document["architecture"], document["pretrained_cfg"]
        mean, std, size = (tuple(trained[name]) for name in ("mean", "std", "input_size"))
        config = _Config((_numbers(mean), _numbers(std, above=0.0)), int(size[-1]))
    except (ValueError, LookupError, TypeError, OverflowError) as exc:
        raise TrainingError(f"{value} is not described as timm's weights are, by its {_CONFIG}; {SUPPORTED}.") from exc
    if not _ARCHITECTURES.fullmatch(str(architecture)) or document.get("model_args"):
        changed = " with other options" if document.get("model_args") else ""
        raise TrainingError(f"{value} is timm's {architecture}{changed}; {SUPPORTED}.")
    return config


def _numbers(values: tuple[Any, ...], above: float = -math.inf) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in values)
    if len(numbers) not in (1, 3) or not all(above < number < math.inf for number in numbers):
        raise ValueError(values)
    return numbers


def _recognise(file: Path, value: str) -> Recognised:
    state = read_safetensors(file)
    if state is None:
        raise TrainingError(f"{value} is a Whisker checkpoint: download it, and give --pretrained the file.")
    try:
        return recognise(state)
    except ConfigError as exc:
        raise TrainingError(f"{value} cannot be used as pretrained weights: {exc}") from exc
