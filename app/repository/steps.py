"""The steps of a rollout: pin, roll back, try a canary or a shadow, promote it, stop it.

Each makes a new document of the one that stands in the folder, for `whisker.app.repository.rollout_file`; `versions`
are those of the model, oldest first. They raise `RolloutError` for what makes no sense.
"""

from collections.abc import Sequence
from dataclasses import replace

from whisker.app.errors import RolloutError, quoted
from whisker.app.repository.folder import VersionFile, version_order
from whisker.app.repository.rollout import Canary, Rollout, Shadow, served_version

Versions = Sequence[VersionFile]


def pin(versions: Versions, rollout: Rollout, version: str) -> Rollout:
    """Serve a version, whatever else lies in the folder; it is no canary, no shadow and not stopped any more."""
    _require(versions, version)
    return replace(_released(rollout, version), pinned=version)


def unpin(rollout: Rollout) -> Rollout:
    """Serve the newest version again, as it changes."""
    return replace(rollout, pinned=None)


def pin_served(versions: Versions, rollout: Rollout) -> Rollout:
    """Pin what is served now, so that a version that is tried does not take its place."""
    served = served_version(versions, rollout)
    if served.file is None:
        raise RolloutError(f"There is nothing to compare a trial with: {served.reason}")
    return replace(rollout, pinned=served.file.name)


def roll_back(versions: Versions, rollout: Rollout) -> Rollout:
    """Pin the version before the one that is served, passing over those that were stopped, and end the canary."""
    served = rollout.pinned if rollout.pinned is not None else _name(served_version(versions, rollout).file)
    older = [
        it.name
        for it in versions
        if served is not None
        and version_order(it.name) < version_order(served)
        and rollout.stopped_because(it.name) is None
    ]
    if not older:
        what = "nothing is served" if served is None else f"no version before {served} can be served"
        raise RolloutError(f"There is nothing to roll back to: {what}.")
    return replace(pin(versions, rollout, older[-1]), canary=None)


def start_canary(versions: Versions, rollout: Rollout, canary: Canary) -> Rollout:
    """Let a version answer a share of the requests, beside the one that is served, which is pinned."""
    pinned = _beside_served(versions, rollout, canary.version)
    return replace(pinned, canary=canary)


def start_shadow(versions: Versions, rollout: Rollout, shadow: Shadow) -> Rollout:
    """Let a version answer a share of the requests once more; what is served is pinned."""
    pinned = _beside_served(versions, rollout, shadow.version)
    return replace(pinned, shadow=shadow)


def promote(versions: Versions, rollout: Rollout) -> Rollout:
    """Serve the canary."""
    if rollout.canary is None:
        raise RolloutError("There is no canary to promote.")
    return pin(versions, rollout, rollout.canary.version)


def stop_trials(versions: Versions, rollout: Rollout) -> Rollout:
    """End canary and shadow; what is served stays."""
    if rollout.canary is None and rollout.shadow is None:
        raise RolloutError("There is neither a canary nor a shadow to stop.")
    pinned = rollout if served_version(versions, rollout).file is None else pin_served(versions, rollout)
    return replace(pinned, canary=None, shadow=None)


def welcome(versions: Versions, rollout: Rollout, version: str, canary: Canary | None) -> Rollout:
    """Take in a file that is new, and start it as a canary; an earlier one of its name may have been stopped as one."""
    return _forgiven(rollout, version) if canary is None else start_canary(versions, rollout, canary)


def _beside_served(versions: Versions, rollout: Rollout, version: str) -> Rollout:
    _require(versions, version)
    if _name(served_version(versions, rollout).file) == version:
        raise RolloutError(f"{version} is served already: pin the version that it is to be compared with first.")
    others = [it for it in versions if it.name != version]
    return pin_served(others, _released(rollout, version))


def _released(rollout: Rollout, version: str) -> Rollout:
    """Take a version out of whatever role it has beside being served."""
    canary = None if rollout.canary is not None and rollout.canary.version == version else rollout.canary
    shadow = None if rollout.shadow is not None and rollout.shadow.version == version else rollout.shadow
    return replace(_forgiven(rollout, version), canary=canary, shadow=shadow)


def _forgiven(rollout: Rollout, version: str) -> Rollout:
    return replace(rollout, stopped=tuple(it for it in rollout.stopped if it.version != version))


def _require(versions: Versions, version: str) -> None:
    if all(it.name != version for it in versions):
        there = ", ".join(it.name for it in versions[-5:]) or "none"
        raise RolloutError(f"There is no version {quoted(version)} in the folder: the latest are {there}.")


def _name(file: VersionFile | None) -> str | None:
    return None if file is None else file.name
