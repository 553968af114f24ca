"""Train on folders of photos, serve over HTTP, know which answers to trust.

This is the one name that Whisker is imported and installed under. `app`, `model` and `training` are links to the
folders of those names beside this one, so that `whisker.app` is `app/` (docs/adr/0015). What is exported here is the
public interface; each name is imported when first used, so that a client does not wait for PyTorch.

The distribution `whisker-vision-client` has no more of this package than its client needs (docs/adr/0023).
"""

import importlib
from types import ModuleType
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

__version__ = "0.1.0"

_MODULES = {
    "app.client": ("AsyncClient", "Client", "ProblemError"),
    "app.main": ("create_app",),
    "model.answers.decision_rule": ("ClassScore", "Prediction"),
    "model.classifier": ("Classifier",),
    "model.errors": ("WhiskerError",),
}


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(_import(f"whisker.{module}", name), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _import(module: str, name: str) -> ModuleType:
    """Import a module; raise `ImportError` with one sentence if this distribution does not have it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not module.startswith(exc.name):  # a library is missing
            raise
        sentence = f"{name} is not part of whisker-vision-client: run `pip install whisker-vision`."
        raise ImportError(sentence, name=name) from exc
