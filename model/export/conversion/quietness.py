"""Converters that say only what concerns their user: not what of their own parts is out of date."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

_NOISY = ("torch.onnx._internal.exporter._registration", "litert_torch", "jax")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep warnings about a converter's own code, and its progress, from stdout and stderr."""
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
