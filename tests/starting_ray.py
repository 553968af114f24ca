"""A start of Ray that a busy machine may spoil."""

import gc
from typing import Any


def start_ray(ray: Any, *args: object, **options: object) -> None:
    """Start a local cluster, up to three times: Ray gives its own processes 15 to 30 seconds, however busy it is."""
    for further in (True, True, False):
        try:
            ray.init(*args, include_dashboard=False, log_to_driver=False, **options)
        except Exception:  # Ray has no class for this one
            if not further:
                raise
            ray.shutdown()
            gc.collect()  # of what is left of its processes, or a later test is warned of them
        else:
            return
