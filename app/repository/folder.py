"""The folder of models: `DIR/<name>/<version>.safetensors`, as it lies on disk.

Versions are ordered by their names, with digits by their value: v2 before v10, and 2026-11-3 before 2026-11-26. The
newest is the last in that order. Times of files say nothing: copies and volumes lose them.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from whisker.app.errors import RepositoryError

SUFFIX = ".safetensors"
SIGNATURE = ".sig"  # behind the name of a version's file: its signature, as `whisker sign` writes it
ROLLOUT = "rollout.json"  # beside the versions of a model: what is served of them
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"  # of a model, and of a version
NAME_RULE = "1 to 128 ASCII letters, digits, dots, dashes and underscores, with a letter or a digit first"

Stamp = tuple[int, int, int]  # of a file: when it was changed, in nanoseconds, its size, and its inode


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A version of a model; a file that takes its place has another `stamp`."""

    name: str
    path: Path
    stamp: Stamp
    signature: Stamp | None = field(default=None, compare=False)

    @property
    def attempt(self) -> tuple[str, Stamp, Stamp | None]:
        """Give what has to change before a file that could not be used is tried again."""
        return self.name, self.stamp, self.signature


@dataclass(frozen=True, slots=True)
class Refused:
    """What is passed over, and why; `reason` continues a sentence that begins with the path."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder of models: the versions of each, oldest first, and what is passed over.

    A model whose folder cannot be listed is among the `refused`, and not among the `models`.
    """

    models: Mapping[str, tuple[VersionFile, ...]]
    refused: tuple[Refused, ...]


def is_name(text: str) -> bool:
    """Tell whether a model or a version can have this name."""
    return re.fullmatch(NAME, text) is not None


def find_models(root: Path) -> Found:
    """List the models of a folder by name, those without a version, too; raise `RepositoryError` if it has no list."""
    models: dict[str, tuple[VersionFile, ...]] = {}
    refused: list[Refused] = []
    for path in _listed(root):
        if reason := _no_model(path):
            refused.append(Refused(path, reason))
            continue
        try:
            models[path.name], passed_over = _find(path)
        except RepositoryError as exc:
            refused.append(Refused(path, f"cannot be listed: {exc}"))
        else:
            refused += passed_over
    return Found(models, tuple(refused))


def find_versions(folder: Path) -> tuple[VersionFile, ...]:
    """List the versions of one model, oldest first; raise `RepositoryError` if its folder cannot be listed."""
    return _find(folder)[0]


def signature_of(path: Path) -> Path:
    """Name the file that holds the signature of another."""
    return path.with_name(path.name + SIGNATURE)


def stamp_of(path: Path) -> Stamp | None:
    """Give the stamp of a file, or of the file that a link leads to; `None` if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def version_order(name: str) -> tuple[list[str | int], str]:
    """Give the key by which versions are ordered."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name.lower())], name


def _find(folder: Path) -> tuple[tuple[VersionFile, ...], list[Refused]]:
    versions, refused = list[VersionFile](), list[Refused]()
    for path in _listed(folder):
        if path.name == ROLLOUT or path.name.endswith(f"{SUFFIX}{SIGNATURE}"):
            continue
        if reason := _no_version(path):
            refused.append(Refused(path, reason))
        elif (stamp := stamp_of(path)) is not None:  # it may be gone by now
            signature = stamp_of(signature_of(path))
            versions.append(VersionFile(path.name.removesuffix(SUFFIX), path, stamp, signature))
    return tuple(sorted(versions, key=lambda it: version_order(it.name))), refused


def _listed(folder: Path) -> list[Path]:
    """List a folder by name, without hidden files: those of atomic writes are, and those behind Kubernetes' links."""
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries) if not name.startswith(".")]
    except FileNotFoundError as exc:
        raise RepositoryError(f"There is no folder {folder}: give the folder of the models.") from exc
    except OSError as exc:
        raise RepositoryError(f"The folder {folder} cannot be listed: {exc.strerror}.") from exc


def _no_model(path: Path) -> str:
    if not path.is_dir():
        if path.suffix == SUFFIX:
            return "belongs into the folder of a model, as <name>/<version>.safetensors"
        return "is no folder of a model"
    return "" if is_name(path.name) else f"is no name of a model, which has {NAME_RULE}"


def _no_version(path: Path) -> str:
    if path.suffix != SUFFIX:
        return f"does not end in {SUFFIX}"
    if not is_name(path.name.removesuffix(SUFFIX)):
        return f"is no name of a version, which has {NAME_RULE}, before {SUFFIX}"
    try:
        mode = path.stat().st_mode
    except OSError as exc:
        return f"cannot be read: {exc.strerror}" if path.is_symlink() else ""
    return "" if stat.S_ISREG(mode) else "is no regular file"
