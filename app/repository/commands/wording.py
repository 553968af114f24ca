"""Sentences about what is served of a model, and about what a running service does after a change."""

from collections.abc import Sequence

from whisker.app.repository.folder import VersionFile
from whisker.app.repository.rollout import Rollout, served_version

State = tuple[Sequence[VersionFile], Rollout]  # the versions of a model, oldest first, and what is served of them


def percent(share: float) -> str:
    """Write a share: 5%, 0.1%."""
    return f"{100 * share:.3g}%"


def describe(state: State) -> str:
    """Say what is served, and what is tried."""
    served, (_, rollout) = served_version(*state), state
    if served.file is None:
        sentences = [f"Nothing is served: {served.reason}"]
    else:
        sentences = [f"{served.file.name} is served, {'as pinned' if rollout.pinned else 'as the newest version'}."]
    if rollout.canary is not None:
        sentences.append(f"{rollout.canary.version} answers {percent(rollout.canary.share)} of requests as a canary.")
    if rollout.shadow is not None:
        share = percent(rollout.shadow.share)
        sentences.append(f"{rollout.shadow.version} answers {share} of requests a second time, as a shadow.")
    return " ".join(sentences)


def describe_change(before: State, after: State) -> str:
    """Say what a running service does now; nothing if it goes on as it was."""
    old, new = (served_version(*state).file for state in (before, after))
    was_tried, is_tried = _tried(before[1]), _tried(after[1])
    sentences = []
    if new is not None and new != old:
        does = "switches to" if new.name in was_tried else "loads and verifies"
        then = "" if old is None or new.name in was_tried else f", then switches to it; {old.name} answers until then"
        sentences.append(f"A running service {does} {new.name}{then}.")
    sentences += [f"A running service loads and verifies {it}, then asks it." for it in sorted(is_tried - was_tried)]
    ended = was_tried - is_tried - ({new.name} if new is not None else set())
    sentences += [f"A running service no longer asks {it}." for it in sorted(ended)]
    return " ".join(sentences)


def _tried(rollout: Rollout) -> set[str]:
    return {it.version for it in (rollout.canary, rollout.shadow) if it is not None}
