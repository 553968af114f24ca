"""Answers to a browser that watches: a page, its style and script, the stream of events, and the report at the end."""

import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Protocol, cast

from whisker.training.watch.address import Address
from whisker.training.watch.page import read_asset, render_page, render_parts
from whisker.training.watch.state import Snapshot, Watched

SEND_SECONDS = 10.0  # in which a reader takes a page or an event; slower ones are dropped
_REPORT_SECONDS = 60.0  # a report has megabytes, perhaps for a tunnel
_PAUSE_SECONDS = 1.0  # between two events
_SILENCE_SECONDS = 5.0  # after which an event comes though nothing has happened: time has
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
_ASSETS = {"/watch.css": "text/css; charset=utf-8", "/watch.js": "text/javascript; charset=utf-8"}


class Hub(Protocol):
    """What the handlers of one server share."""

    address: Address
    watched: Watched
    closing: threading.Event

    def serve_request(self, handler: BaseHTTPRequestHandler) -> None:
        """Take note that a request has arrived whole."""

    def report_served(self) -> None:
        """Take note that a browser has the report."""


class WatchHandler(BaseHTTPRequestHandler):
    """One request: GET or HEAD; a path is compared with the few that there are, and never opens a file."""

    timeout = SEND_SECONDS
    server_version, sys_version = "Whisker", ""

    @property
    def _hub(self) -> Hub:
        return cast("Hub", self.server)

    def do_GET(self) -> None:
        """Answer, or refuse a request that names another host or comes from another site."""
        self._hub.serve_request(self)
        if not self._hub.address.allows(self.headers.get("Host", "")):
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "This server is not known by that name.")
        elif self.path != "/" and self.headers.get("Sec-Fetch-Site") == "cross-site":
            self._refuse(HTTPStatus.FORBIDDEN, "Other sites get nothing from here.")
        elif self.path == "/":
            self._send(render_page(self._hub.watched.snapshot()), "text/html; charset=utf-8")
        elif self.path in _ASSETS:
            self._send(read_asset(self.path[1:]), _ASSETS[self.path])
        elif self.path == "/events":
            self._stream()
        elif self.path == "/report":
            self._send_report()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here.")

    do_HEAD = do_GET  # noqa: N815 - as http.server calls it

    def _send(self, body: bytes, kind: str, *, policy: str = _POLICY, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send_head(kind, policy=policy, status=status, length=len(body))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_head(
        self, kind: str, *, policy: str = _POLICY, status: HTTPStatus = HTTPStatus.OK, length: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._send(f"{sentence}\n".encode(), "text/plain; charset=utf-8", status=status)

    def _send_report(self) -> None:
        finished = self._hub.watched.snapshot().finished
        report = _read(finished.report) if finished else None
        if report is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no report yet.")
            return
        self.connection.settimeout(_REPORT_SECONDS)
        self._send(report, "text/html; charset=utf-8", policy=_REPORT_POLICY)
        self._hub.report_served()

    def _stream(self) -> None:
        """Send the newest state, again and again: what a slow reader has missed, it does not get."""
        self._send_head("text/event-stream")
        if self.command == "HEAD":
            return
        for snapshot in self._snapshots():
            lines = render_parts(snapshot).splitlines()
            event = b"end" if snapshot.is_over else b"parts"
            self.wfile.write(b"".join([b"event: ", event, b"\n", *(b"data: " + line + b"\n" for line in lines), b"\n"]))

    def _snapshots(self) -> Iterator[Snapshot]:
        version = -1
        while True:
            snapshot = self._hub.watched.snapshot(version, _SILENCE_SECONDS)
            yield snapshot
            if snapshot.is_over or self._hub.closing.wait(_PAUSE_SECONDS):
                return
            version = snapshot.version

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Log nothing: lines about requests would hide those about the training."""


def _read(report: Path) -> bytes | None:
    try:
        return report.read_bytes()
    except OSError:
        return None
