"""The list of models: as a document for programs, and as rows of a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whisker.app.errors import RolloutError
from whisker.app.repository.commands.wording import percent
from whisker.app.repository.folder import Found, VersionFile
from whisker.app.repository.rollout import Rollout, served_version
from whisker.app.repository.rollout_file import read_rollout, rollout_document

COLUMNS = ("model", "version", "state", "detail")
Row = tuple[str, str, str, str]


def list_rows(root: Path, found: Found) -> Iterator[Row]:
    """Give a row for each version of each model, newest first; of a model without any, one that says so."""
    for name, versions in found.models.items():
        try:
            rollout = read_rollout(root / name)
        except RolloutError as exc:
            yield name, "", "error", str(exc)
            continue
        served = served_version(versions, rollout)
        if served.file is None:
            yield name, "", "nothing served", served.reason
        for it in reversed(versions):
            yield name, it.name, *_state(it, versions, rollout)


def list_document(root: Path, found: Found) -> dict[str, Any]:
    """Give the same for programs, with all that the files `rollout.json` say."""
    return {
        "models": [_model(root / name, versions) for name, versions in found.models.items()],
        "passed_over": [{"path": str(it.path), "reason": it.reason} for it in found.refused],
    }


def _model(folder: Path, versions: Sequence[VersionFile]) -> dict[str, Any]:
    try:
        rollout = read_rollout(folder)
    except RolloutError as exc:
        return {"name": folder.name, "error": str(exc)}
    served = served_version(versions, rollout)
    rows = ((it, *_state(it, versions, rollout)) for it in versions)
    return {
        "name": folder.name,
        "served": None if served.file is None else served.file.name,
        "reason": served.reason or None,
        "versions": [
            {"version": it.name, "bytes": it.stamp[1], "state": state, "detail": detail} for it, state, detail in rows
        ],
        "rollout": rollout_document(rollout),
    }


def _state(version: VersionFile, versions: Sequence[VersionFile], rollout: Rollout) -> tuple[str, str]:
    """Name the part that a version has, and say more of it."""
    if served_version(versions, rollout).file == version:
        return "served", "pinned" if rollout.pinned is not None else "newest"
    if rollout.canary is not None and rollout.canary.version == version.name:
        return "canary", f"{percent(rollout.canary.share)} of requests"
    if rollout.shadow is not None and rollout.shadow.version == version.name:
        return "shadow", f"{percent(rollout.shadow.share)} of requests"
    stopped = rollout.stopped_because(version.name)
    return ("stopped", f"{stopped.at:%Y-%m-%d %H:%M %Z}: {stopped.reason}") if stopped else ("", "")
