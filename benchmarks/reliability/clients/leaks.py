"""R14: what answers give away, and what browsers are allowed to do."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urljoin

from benchmarks.http import form_request
from benchmarks.process import RunningServer
from benchmarks.reliability.bombs import bombs
from benchmarks.reliability.client import HOST, Reply, ask, get, post
from benchmarks.reliability.mutation import mutated_requests
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.uploads.hostile import damaged

_SEED = 3
_CLIENTS = 16
_PATIENCE = 1.0  # seconds; what was mutated need not be a whole request, and then gets no answer
_DAMAGED = _MUTATED = 100
_PAGES = ("/health", "/livez", "/readyz", "/model", "/metrics", "/docs", "/openapi.json", "/predict", "/nowhere")
_STRANGE_PATHS = (
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/docs/../../etc/passwd",
    "/static/%2e%2e/%2e%2e/etc/passwd",
    "//etc/passwd",
    "/docs%00",
)
_LEAK = re.compile(
    rb"Traceback \(most recent|File \"[^\"]+\", line|site-packages|root:x:0"
    rb"|(?<![\w/.:])/(?:home|root|usr|opt|tmp|var|etc|work|srv|app|mnt)/[\w.-]+/"
)
_THIRD_PARTY = re.compile(rb"(?:src|href|action)\s*=\s*[\"']?(?:https?:)?//([^\s\"'>]+)", re.IGNORECASE)
_LINKED = re.compile(rb"(?:src|href)\s*=\s*[\"']([^\"':]+)[\"']", re.IGNORECASE)
_POLICY = re.compile(rb"\r\ncontent-security-policy:([^\r\n]*)", re.IGNORECASE)
_FOREIGN_SOURCE = re.compile(rb"https?:|\*|[a-z0-9-]+\.[a-z]{2,}", re.IGNORECASE)
_FOREIGN = "https://elsewhere.example"


def tell_nothing(server: RunningServer, trial: Trial) -> list[Finding]:
    """Look for paths and tracebacks in answers, and for what lets other sites in."""
    with ThreadPoolExecutor(_CLIENTS) as clients:
        replies = list(clients.map(lambda request: ask(server.port, request, seconds=_PATIENCE), _questions(trial)))
    answers = [reply for reply in replies if reply.status]
    secrets = [str(server.folder).encode(), str(trial.checkpoint.resolve().parent).encode()]
    leaking = [reply for reply in answers if leaks(reply.received, secrets)]
    pages = {path: ask(server.port, get(path)) for path in _PAGES}
    return [
        Finding("answers looked through", len(answers)),
        Finding("with a path or a traceback", len(leaking), target=0, detail=_first_leak(leaking, secrets)),
        Finding("pages without nosniff", sum(b"nosniff" not in reply.head for reply in pages.values()), target=0),
        Finding("pages without a content security policy", sum(not _policy(r) for r in pages.values()), target=0),
        Finding("policies that let other hosts in", sum(_lets_in(r) for r in pages.values()), target=0),
        *_cross_site(server, trial),
        *_docs(server, pages["/docs"]),
    ]


def leaks(received: bytes, secrets: list[bytes]) -> bytes:
    """Find a path of the machine's, a traceback, or one of the secrets; empty if there is none."""
    found = _LEAK.search(received)
    if found is not None:
        return found[0]
    return next((secret for secret in secrets if secret in received), b"")


def _questions(trial: Trial) -> Iterator[bytes]:
    yield from (get(path) for path in (*_PAGES, *_STRANGE_PATHS))
    yield from (form_request("/predict", data) for data in bombs().values())
    yield from (form_request("/predict", data) for data in damaged(trial.photos, _DAMAGED, _SEED))
    yield from mutated_requests(trial.photos[0], _MUTATED, _SEED)
    for top_k in ("-1", "many", "1e99", "%00", "9" * 400):
        yield form_request(f"/predict?top_k={top_k}", trial.photos[0])


def _cross_site(server: RunningServer, trial: Trial) -> list[Finding]:
    """Upload as a page of another site would make a browser do, and as our own would."""
    photo, kind = trial.photos[0], "Content-Type: image/jpeg"
    ways = {
        "POST from another site (Sec-Fetch-Site)": ("Sec-Fetch-Site: cross-site", f"Origin: {_FOREIGN}"),
        "POST from another site (Origin alone)": (f"Origin: {_FOREIGN}",),
        "POST from a page without an origin": ("Sec-Fetch-Site: cross-site", "Origin: null"),
    }
    replies = {way: ask(server.port, post("/predict", kind, *extra, body=photo)) for way, extra in ways.items()}
    own = (f"Host: {HOST}:{server.port}", "Sec-Fetch-Site: same-origin", f"Origin: http://{HOST}:{server.port}")
    same = ask(server.port, post("/predict", kind, *own, body=photo))
    shared = sum(b"access-control-allow-origin" in reply.head.lower() for reply in replies.values())
    return [
        *(Finding(way, reply.status, "", 403, "same") for way, reply in replies.items()),
        Finding("POST from its own page", same.status, "", 200, "same"),
        Finding("answers that other sites may read", shared, target=0),
    ]


def _docs(server: RunningServer, page: Reply) -> list[Finding]:
    third = _THIRD_PARTY.findall(page.received)
    linked = {urljoin("/docs", path.decode()) for path in _LINKED.findall(page.received)}
    absent = [path for path in linked if ask(server.port, get(path)).status != 200]
    return [
        Finding("/docs", page.status, "", 200, "same", f"links {len(linked)} of its own files"),
        Finding("third parties in /docs", len(third), target=0, detail=b", ".join(third).decode("latin-1")),
        Finding("files of /docs that are not there", len(absent), target=0, detail=", ".join(absent)),
    ]


def _policy(reply: Reply) -> bytes:
    found = _POLICY.search(reply.head)
    return found[1] if found else b""


def _lets_in(reply: Reply) -> bool:
    return _FOREIGN_SOURCE.search(_policy(reply)) is not None


def _first_leak(leaking: list[Reply], secrets: list[bytes]) -> str:
    return leaks(leaking[0].received, secrets).decode("latin-1") if leaking else ""
