"""Train on folders of photos, serve over HTTP, know which answers to trust.

This is the one name that Whisker is imported and installed under. `app`, `model` and `training` are links to the
folders of those names beside this one, so that `whisker.app` is `app/` (docs/adr/0015). What is exported here is the
public interface; each name is imported when first used, so that a client does not wait for PyTorch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whisker.app.client import AsyncClient, Client, ProblemError
    from whisker.app.main import create_app
    from whisker.model.answers.decision_rule import ClassScore, Prediction
    from whisker.model.classifier import Classifier
    from whisker.model.errors import WhiskerError

__all__ = [
    "AsyncClient",
    "ClassScore",
    "Classifier",
    "Client",
    "Prediction",
    "ProblemError",
    "WhiskerError",
    "__version__",
    "create_app",
]

_MODULES = {
    "app.client": ("AsyncClient", "Client", "ProblemError"),
    "app.main": ("create_app",),
    "model.answers.decision_rule": ("ClassScore", "Prediction"),
    "model.classifier": ("Classifier",),
    "model.errors": ("WhiskerError",),
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"whisker.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, and seldom needed

    try:
        return version("whisker")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0+unknown"
