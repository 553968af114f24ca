"""Sentences about variables and flags that have not the effect that somebody expects."""

import difflib
import re
from collections.abc import Iterable, Mapping

from whisker.app.settings import (
    PLATFORM_PORTS,
    PREFIX,
    RENAMED,
    SERVICE_ADDRESS,
    Settings,
    find_port,
    flag,
    variable,
)

# What else Kubernetes tells of each Service, in variables that begin with the Service's name.
_OF_A_SERVICE = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)", re.ASCII
)
_SET_UP = "WHISKER_TORCH"  # variables with this prefix belong to the installation, not to the service


def name_warnings(variables: Mapping[str, str], flags: Iterable[str] = ()) -> list[str]:
    """Write a sentence for each variable or flag that has not the effect that its name, or another's, lets expect.

    Those are old names, variables that are no setting, empty ones, and ports that come from a platform. Variables are
    environment variables; `flags` are the names of settings that were given on the command line.
    """
    known, flags = [variable(name) for name in Settings.model_fields], [*flags]
    renamed = {variable(old): variable(new) for old, new in RENAMED.items()}
    warnings = [
        f"{flag(name)} is now {flag(RENAMED[name])}; the old name works until the next release."
        for name in flags
        if name in RENAMED
    ]
    warnings += _port_warnings(variables, is_flag="port" in flags)
    for name in sorted(variables):
        if name in known and not variables[name]:
            warnings.append(f"{name} is empty, which counts as not set.")
        elif name in renamed:
            warnings.append(f"{name} is now {renamed[name]}; the old name works until the next release.")
        elif name.startswith(PREFIX) and not _is_foreign(name, variables[name]) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            warnings.append(f"{name} is not a setting and has no effect" + (f"; is it {close[0]}?" if close else "."))
    return warnings


def _port_warnings(variables: Mapping[str, str], *, is_flag: bool) -> list[str]:
    own, warnings = variable("port"), []
    if SERVICE_ADDRESS.fullmatch(variables.get(own, "")):
        warnings.append(
            f"{own} is {variables[own]}, which Kubernetes sets for a Service of this name, and counts as not set: "
            "see docs/how-to/kubernetes.md."
        )
    source, port = find_port(variables, PLATFORM_PORTS)
    if source != own and not is_flag:
        warnings.append(f"The port is {port}, as {source} says; {own} and {flag('port')} win over it.")
    return warnings


def _is_foreign(name: str, value: str) -> bool:
    """Tell whether a variable that begins as settings do is the installation's, or tells of a Kubernetes Service."""
    is_service = _OF_A_SERVICE.fullmatch(name) or (name.endswith("_PORT") and SERVICE_ADDRESS.fullmatch(value))
    return name.startswith(_SET_UP) or bool(is_service)
