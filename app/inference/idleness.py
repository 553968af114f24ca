"""Processes, and threads, that take only the time that others leave."""

import contextlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import get_native_id
from typing import TypeVar

_NICENESS = 19

T = TypeVar("T")


def leave_time(pid: int) -> None:
    """Let every other process go before this one.

    On Linux its threads get the policy SCHED_IDLE, as do those that they start: whoever else wants the core takes it at
    once. A process that is gone is nothing to complain of.
    """
    if sys.platform == "linux":
        _schedule(pid, os.SCHED_IDLE)
    else:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)


def take_time(pid: int) -> None:
    """Take that back, where the system lets us: a process that is to end needs some time for it, too."""
    if sys.platform == "linux":
        _schedule(pid, os.SCHED_OTHER)


def _schedule(pid: int, policy: int) -> None:
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))


def in_passing(work: Callable[[], T]) -> T:
    """Do work in a thread of low priority, and return what it returns.

    It must do nearly all without Python's lock: whoever holds that and is not given the core keeps all others waiting.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="in-passing", initializer=_lower_this_thread) as pool:
        return pool.submit(work).result()


def _lower_this_thread() -> None:
    if sys.platform == "linux":  # elsewhere only whole processes have a priority
        os.setpriority(os.PRIO_PROCESS, get_native_id(), _NICENESS)
