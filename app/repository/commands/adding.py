"""Bringing a checkpoint file into the folder of a model: whole or not at all, and never in place of another."""

import re
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from whisker.app.errors import RepositoryError, quoted
from whisker.app.repository.folder import NAME_RULE, SUFFIX, VersionFile, is_name, signature_of
from whisker.app.repository.rollout_file import locked
from whisker.model.atomic_write import atomic_write

_FIRST = "v1"


def choose_version(versions: Sequence[VersionFile], wanted: str | None) -> str:
    """Check the name that is wanted, or count on from the newest version: v1, v2, or 7, 8, or day01, day02.

    Raises `RepositoryError` if it cannot be a name, or if the newest version does not end in a number alone.
    """
    if wanted is not None:
        if not is_name(wanted):
            raise RepositoryError(f"{quoted(wanted)} is no name of a version, which has {NAME_RULE}.")
        return wanted
    if not versions:
        return _FIRST
    newest = versions[-1].name
    counted = re.fullmatch(r"([A-Za-z]*)([0-9]+)", newest)
    if counted is None:
        raise RepositoryError(f"The newest version is {newest}, which cannot be counted on from: give --version.")
    letters, digits = counted.groups()
    return f"{letters}{int(digits) + 1:0{len(digits)}}"


def create_model(folder: Path) -> None:
    """Make the folder of a model, in the folder of models; raise `RepositoryError` if that cannot be."""
    if not is_name(folder.name):
        raise RepositoryError(f"{quoted(folder.name)} is no name of a model, which has {NAME_RULE}.")
    if not folder.parent.is_dir():
        raise RepositoryError(f"There is no folder {folder.parent}: make the folder of the models first.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise RepositoryError(f"The folder {folder} cannot be made: {exc.strerror}.") from exc


def add_version(folder: Path, file: Path, version: str) -> None:
    """Copy a file, and its signature if it has one, into the folder of a model, by an atomic rename.

    Raises `RepositoryError` if the version is there.
    """
    path, signature = folder / f"{version}{SUFFIX}", signature_of(file)
    _require_free(path, version)  # before gigabytes are copied in vain
    try:
        if signature.exists():  # first, since a service may look for it as soon as the version is there
            with atomic_write(signature_of(path)) as temporary:
                shutil.copyfile(signature, temporary)
        with ExitStack() as held, atomic_write(path) as temporary:
            shutil.copyfile(file, temporary)
            held.enter_context(locked(folder))
            _require_free(path, version)
    except OSError as exc:
        raise RepositoryError(f"{path} cannot be written, so that nothing was added: {exc.strerror}.") from exc


def _require_free(path: Path, version: str) -> None:
    if path.exists():
        raise RepositoryError(f"The version {version} is there already, and is never replaced: give another --version.")
