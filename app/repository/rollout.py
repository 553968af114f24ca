"""What is served of a model's versions: the document that stands in its folder, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from annotated_types import Interval
from pydantic import AwareDatetime, ConfigDict, Field

from whisker.app.repository.folder import NAME, VersionFile

MAX_ANSWERS = 100_000  # that a canary is judged by

Share = Annotated[float, Interval(ge=0, le=1)]
_Factor = Annotated[float, Interval(ge=1, le=1000)]
_Index = Annotated[float, Interval(ge=0, le=1000)]
_Count = Annotated[int, Interval(ge=1, le=MAX_ANSWERS)]
_Version = Annotated[str, Field(pattern=f"^{NAME}$")]
_STRICT = ConfigDict(extra="forbid", strict=True)  # of the file, which people may edit


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a canary may be from the version that is served, over the same period.

    Its share of refused pictures may be higher by `refusals`, its p95 of decoding and inference `latency` times as
    long, and the stability index between its labels, or scores, and the other's may be up to `drift`. Latency and drift
    are judged from so many of its `answers` on. Refusals may stop it earlier.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    refusals: Share = 0.05
    latency: _Factor = 2.0
    drift: _Index = 0.25
    answers: _Count = 200


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that answers a `share`, 0 to 1, of the requests."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: _Version
    share: Share
    bounds: Bounds = Bounds()


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that answers a `share`, 0 to 1, of the requests once more, for nobody but the metrics."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: _Version
    share: Share


@dataclass(frozen=True, slots=True)
class Stopped:
    """A version that was stopped as a canary: why, in one sentence, and when."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: _Version
    reason: str
    at: AwareDatetime


@dataclass(frozen=True, slots=True)
class Rollout:
    """The version that is `pinned`, or else the newest is served; what is tried beside it; what failed as a canary."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pinned: _Version | None = None
    canary: Canary | None = None
    shadow: Shadow | None = None
    stopped: tuple[Stopped, ...] = ()

    def stopped_because(self, version: str) -> Stopped | None:
        """Find why and when a version was stopped as a canary."""
        return next((it for it in self.stopped if it.version == version), None)

    def stop_canary(self, version: str, reason: str, at: AwareDatetime) -> "Rollout":
        """End a canary that left its bounds; nothing changes if another version, or none, is the canary by now."""
        if self.canary is None or self.canary.version != version:
            return self
        others = tuple(it for it in self.stopped if it.version != version)
        return replace(self, canary=None, stopped=(*others, Stopped(version, reason, at)))


@dataclass(frozen=True, slots=True)
class Served:
    """The version that is served or, without one, the `reason`, a sentence."""

    file: VersionFile | None
    reason: str = ""


def served_version(versions: Sequence[VersionFile], rollout: Rollout) -> Served:
    """Choose what is served of `versions`, which are oldest first.

    That is the pinned one, or else the newest of those that are neither tried, as a canary or a shadow, nor were
    stopped as a canary. A pinned version whose file is missing is not replaced by another one: `file` is `None`.
    """
    if rollout.pinned is not None:
        file = next((it for it in versions if it.name == rollout.pinned), None)
        reason = "" if file else f"The version {rollout.pinned} is pinned, but its file is not in the folder."
        return Served(file, reason)
    tried = {it.version for it in (rollout.canary, rollout.shadow, *rollout.stopped) if it is not None}
    file = next((it for it in reversed(versions) if it.name not in tried), None)
    if file is not None:
        return Served(file)
    if versions:
        return Served(None, "Every version is a canary, a shadow, or was stopped as a canary: pin one.")
    return Served(None, "There is no version in the folder.")
