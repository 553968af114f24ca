"""Where prepared classifiers are kept, as the settings say: in the user's own cache, in a folder, or nowhere."""

import logging
import os
from pathlib import Path

from whisker.app.setting_values import AUTO_CACHE, NO_CACHE
from whisker.app.settings import Settings, variable
from whisker.model.prepared.cache import PreparedCache

_USERS = "XDG_CACHE_HOME"  # of the XDG Base Directory Specification, which wants it to be absolute
# With these, one file alone is trusted: another one, which nobody signed or named, must not stand for it.
_TRUSTED = ("signed_by", "checkpoint_sha256")

logger = logging.getLogger(__name__)


def open_cache(settings: Settings) -> PreparedCache | None:
    """Give the cache that the settings ask for; `None` for none."""
    if settings.cache == NO_CACHE:
        return None
    demand = next((name for name in _TRUSTED if getattr(settings, name) is not None), None)
    if demand is not None:
        logger.info("No prepared classifier is used", extra={"reason": f"{variable(demand)} is set"})
        return None
    if settings.cache != AUTO_CACHE:
        return PreparedCache(Path(settings.cache))
    try:
        return PreparedCache(_users_folder())
    except RuntimeError:  # without HOME, of a user whom the system does not know
        logger.info("No prepared classifier is used", extra={"reason": "there is no home folder"})
        return None


def _users_folder() -> Path:
    given = Path(os.environ.get(_USERS, ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "whisker"
