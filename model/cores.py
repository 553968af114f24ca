"""How many cores this process may use. Importing this costs nothing: no PyTorch."""

import math
import os
from pathlib import Path

_CGROUP_QUOTAS = (  # (quota file, period file or `None` if one file has both): version 2, then version 1
    (Path("/sys/fs/cgroup/cpu.max"), None),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)


def available_cores() -> int:
    """Count the cores this process may use: the minimum of the machine's cores, its affinity and its cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_cgroup_cores() or cores)))


def _cgroup_cores() -> float | None:
    for quota_file, period_file in _CGROUP_QUOTAS:
        try:
            words = quota_file.read_text().split() + (period_file.read_text().split() if period_file else [])
            quota, period = float(words[0]), float(words[1])  # "max" where there is no limit
        except (OSError, ValueError, IndexError):
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
