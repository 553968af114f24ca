"""Python imports this at its start where PYTHONPATH names its folder: it writes down who is called, and what is left.

Where `AUDITED` is set, every call of another machine, and every file written below HOME, becomes a line on stderr.
"""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

MARK = "audit: "
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "sqlite3.connect")
_CALLS = {  # where the other machine is named among an event's arguments
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "http.client.connect": 1,
    "ftplib.connect": 1,
    "smtplib.connect": 1,
}
_WATCHED = frozenset({"urllib.Request", "open", *_CHANGES, *_CALLS})


def told(event: str, arguments: tuple[Any, ...], home: str) -> str:
    """Say what an audit event of Python does that nobody wants; empty if it is harmless."""
    if event == "urllib.Request":
        return f"request to {arguments[0]}"
    if event in _CALLS:
        host = _host(arguments[_CALLS[event]])
        return "" if _is_here(host) else f"call of {host}"
    is_write = event in _CHANGES or (event == "open" and bool((arguments[2] or 0) & _WRITING))
    if is_write and isinstance(arguments[0], str | bytes) and _is_below(os.fsdecode(arguments[0]), home):
        return f"write to {os.fsdecode(arguments[0])}"
    return ""


def _host(address: object) -> str | None:
    """Find the host in an address; a local socket has a path, and none."""
    if isinstance(address, tuple):
        address = address[0]
    elif isinstance(address, str | bytes) and os.fsdecode(address).startswith(("/", "\0")):
        return None
    return os.fsdecode(address) if isinstance(address, str | bytes) else None


def _is_here(host: str | None) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_below(path: str, folder: str) -> bool:
    return bool(folder) and Path(path).absolute().is_relative_to(folder)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _WATCHED and (line := told(event, arguments, os.environ.get("HOME", ""))):
        os.write(2, f"{MARK}{line}\n".encode())


if "AUDITED" in os.environ:
    sys.addaudithook(_note)
