"""The state of an application: what its routes, and the connections to it, share."""

from dataclasses import dataclass, field
from pathlib import Path

from fastapi import FastAPI

from whisker.app.inference.begun import BegunWorkers
from whisker.app.metrics import Metrics
from whisker.app.repository.models import Models
from whisker.app.repository.shadows import Shadows
from whisker.app.review.keeper import Keeper
from whisker.app.routes.corrections_store import CorrectionsStore
from whisker.app.settings import Settings
from whisker.app.uploads.slots import UploadSlots
from whisker.app.web.cors import CorsOrigins
from whisker.app.web.security import KeyCheck


@dataclass(slots=True, eq=False)
class AppState:
    """One application's state; `models` is `None` until the default one is loaded."""

    settings: Settings
    metrics: Metrics
    slots: UploadSlots
    key: KeyCheck
    origins: CorsOrigins
    corrections: CorrectionsStore | None  # if the operator has set a folder for them
    shadows: Shadows
    keeper: Keeper | None = None  # if the operator has set a folder for review
    examples: list[Path] = field(default_factory=list)
    models: Models | None = None
    begun: BegunWorkers | None = None  # if inference workers were started before the application was there
    draining: bool = False


def set_state(app: FastAPI, state: AppState) -> None:
    app.state.whisker = state


def state_of(app: FastAPI) -> AppState:
    state: AppState = app.state.whisker
    return state
