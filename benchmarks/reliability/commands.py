"""What processes are, by their commands."""

import psutil

from whisker.app.inference.worker_handle import PROGRAM


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
