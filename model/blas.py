"""NumPy's matrix products on the calling thread alone.

OpenBLAS, which computes them, spreads even small ones over all cores, and its threads then spin for a while, which
takes the cores from whatever else decodes and computes there.
"""

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Compute on the calling thread alone within this context; entering it costs some microseconds."""
    limit: AbstractContextManager[object] = _openblas().limit(limits=1)
    return limit


@cache
def _openblas() -> ThreadpoolController:
    return ThreadpoolController().select(internal_api="openblas")  # found once: that takes milliseconds
