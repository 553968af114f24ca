"""Where a training is watched, and by which names a browser may ask for it."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Self

from whisker.model.errors import ConfigError

_LOCAL = "127.0.0.1"
_FORM = re.compile(r"(?:(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>\d{1,5})")
_HOST_HEADER = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Address:
    """A host to listen on, without brackets, and a port; 0 is any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PORT, on this machine only, or HOST:PORT; raise `ConfigError` for anything else."""
        match = _FORM.fullmatch(text.strip())
        if match is None or int(match["port"]) > 65535:
            raise ConfigError(f"--watch takes a port, such as 6006, or HOST:PORT, not {text!r}.")
        return cls((match["host"] or _LOCAL).strip("[]"), int(match["port"]))

    @property
    def family(self) -> socket.AddressFamily:
        """Give the kind of address that the host has."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def allows(self, header: str) -> bool:
        """Tell whether a browser may name the server like this, by the `Host` that it sends.

        A page of another site that points its own name at this machine (DNS rebinding) is refused: it sends that name.
        The port may be another, that of a tunnel.
        """
        match = _HOST_HEADER.fullmatch(header)
        if match is None:
            return False
        name = match[1].strip("[]").lower()
        if name in {"localhost", _LOCAL, "::1", self.host.lower()}:
            return True
        everywhere = self.host in {"0.0.0.0", "::"}
        return everywhere and (_is_number(name) or name == socket.gethostname().lower())

    def url(self, port: int) -> str:
        """Give the address for a browser, with the port that is used."""
        host = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
