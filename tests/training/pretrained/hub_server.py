"""The small part of the Hugging Face Hub that its library needs to download a file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self


@dataclass
class Hub:
    """Repositories by name; each has revisions by name, and files by commit and name. `asked` lists the requests."""

    revisions: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[tuple[str, str], Mapping[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    breaks_off: bool = False  # in the middle of each file
    asked: list[str] = field(default_factory=list)

    def publish(self, repository: str, files: Mapping[str, bytes], *names: str) -> str:
        """Publish a commit under its hash and other names; return its hash."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.files[repository, commit] = files
        self.revisions.setdefault(repository, {}).update(dict.fromkeys((commit, "main", *names), commit))
        return commit

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Return the address, which stays the same after the end of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                owner, name, _, revision, file = self.path.strip("/").split("/")
                hub.asked.append(f"{self.command} {revision}/{file}")
                repository = f"{owner}/{name}"
                commit = hub.revisions.get(repository, {}).get(revision)
                content = hub.files[repository, commit].get(file) if commit is not None else None
                if repository not in hub.revisions:
                    return self._refuse(404, "RepoNotFound")
                if repository in hub.gated:
                    return self._refuse(403, "GatedRepo")
                if commit is None or content is None:
                    return self._refuse(404, "RevisionNotFound" if commit is None else "EntryNotFound")
                return self._answer(commit, content)

            def do_GET(self) -> None:
                self.do_HEAD()

            def _answer(self, commit: str, content: bytes) -> None:
                self.send_response(200)
                self.send_header("X-Repo-Commit", commit)
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content[: len(content) // 2] if hub.breaks_off else content)

            def _refuse(self, status: int, code: str) -> None:
                self.send_response(status)
                self.send_header("X-Error-Code", code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        return Handler
