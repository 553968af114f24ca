"""The memory that this process uses."""

import os
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")  # Linux: pages in all, pages in memory, ...


def memory_used() -> int:
    """Return the bytes of this process in memory: now, or where the system does not say, at most so far."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
