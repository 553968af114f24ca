"""What processes are, by their commands, and which are left when a service has ended."""

from collections.abc import Sequence

import psutil

from whisker.app.inference.program import PROGRAM


def command_of(process: psutil.Process) -> list[str]:
    """Give a process' command; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def inference_workers(process: psutil.Process) -> list[psutil.Process]:
    """List the inference workers that a process, or one of its children, has started."""
    try:
        children = process.children(recursive=True)
    except psutil.Error:
        return []
    return [child for child in children if PROGRAM in command_of(child)]


def left_of(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait for processes to end; list those that run on, without ended ones that nobody has asked about yet."""
    return [it for it in psutil.wait_procs(processes, timeout=seconds)[1] if not _has_ended(it)]


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
