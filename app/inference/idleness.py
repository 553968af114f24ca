"""Processes that take only the time that others leave."""

import contextlib
import os
import sys
from pathlib import Path

_NICENESS = 19  # where there is no better way to say it


def leave_time(pid: int) -> None:
    """Let every other process go before this one, which cannot be taken back.

    On Linux its threads get the policy SCHED_IDLE, as do those that they start: whoever else wants the core takes it at
    once. A process that is gone is nothing to complain of.
    """
    with contextlib.suppress(OSError):
        if sys.platform != "linux":
            os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)
            return
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))
