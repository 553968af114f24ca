"""R5: bodies without an end, in thousands of parts or in crumbs."""

import time
from collections.abc import Iterator

from benchmarks.process import RunningServer
from benchmarks.reliability.client import Reply, ask, chunked, get, post
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding, percentile
from benchmarks.reliability.watch import count_files, watching_memory, written_bytes

_DECLARED = 10_000_000_000
_TRIES = 20  # of what is to be answered in milliseconds
_MB = 64  # that the service may take: the default cap, and a quarter as much
_CAP = 20_000_000  # bytes of a body; where `/model` does not say another
_BEYOND = 65_536  # bytes beyond the cap that may be taken in
_PIECE = 65_536
_PAUSE_SECONDS = 0.2
_CRUMB, _CRUMBS = 6, 500_000  # bytes; 3 MB in all
_PARTS = 1_000
_REFUSED = (400, 413, 415, 422)
_ANSWERS = {
    "form of 1,000 files": _REFUSED,
    "urlencoded photo": _REFUSED,
    "photo in chunks of 6 bytes": (200, *_REFUSED),
}


def bound_bodies(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send bodies that are too large, too many or too small in their pieces."""
    trial.warm_up(server)
    cap = int(ask(server.port, get("/model")).json().get("input", {}).get("max_body_bytes", _CAP))
    head = post("/predict", "Content-Type: image/jpeg", length=_DECLARED)
    files, written = count_files(server), written_bytes(server)
    with watching_memory(server) as memory:
        declared = [ask(server.port, head) for _ in range(_TRIES)]
        cut = ask(server.port, _chunks(cap + _BEYOND))
        endless = ask(server.port, _chunks(10 * cap))
        odd = {name: ask(server.port, body) for name, body in _odd_bodies(trial, cap).items()}
    wrong = {name: reply for name, reply in odd.items() if reply.status not in _ANSWERS[name]}
    return [
        Finding("10 GB declared: not refused with 413", sum(reply.status != 413 for reply in declared), target=0),
        Finding("10 GB declared: p99", 1000 * percentile([reply.seconds for reply in declared], 99), "ms", 10),
        Finding(f"{cap + _BEYOND:,} bytes in chunks, then silence", cut.status, "", 413, "same", _tell(cut)),
        Finding("ten times the cap in chunks", endless.status, "", 413, "same", _tell(endless)),
        *(Finding(name, reply.status, "", None, detail=_tell(reply)) for name, reply in odd.items()),
        Finding("of these three, wrong answers", len(wrong), target=0, detail=", ".join(wrong)),
        Finding("a photo after all that", ask(server.port, trial.requests[0]).status, "", 200, "same"),
        Finding("memory added", memory.growth, "MB", _MB, detail=f"from {memory.before:.0f} MB"),
        Finding("temporary files left", count_files(server) - files, target=0),
        Finding("written to disk", max(0, written_bytes(server) - written) / 1e6, "MB", 1),
    ]


def _odd_bodies(trial: Trial, cap: int) -> dict[str, bytes | Iterator[bytes]]:
    photo = trial.photos[0]
    part = b'--part\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + photo[:100] + b"\r\n"
    parts = part * _PARTS + b"--part--\r\n"
    pairs = b"file=" + b"%ff" * (cap // 3 - 1_000)
    return {
        "form of 1,000 files": post("/predict", "Content-Type: multipart/form-data; boundary=part", body=parts),
        "urlencoded photo": post("/predict", "Content-Type: application/x-www-form-urlencoded", body=pairs),
        "photo in chunks of 6 bytes": _crumbs(photo),
    }


def _chunks(length: int) -> Iterator[bytes]:
    """Send so many bytes in chunks, and no end; the last chunk comes late, to let the memory held be seen."""
    yield chunked("/predict", "image/jpeg")
    for start in range(0, length, _PIECE):
        if start + _PIECE >= length:
            time.sleep(_PAUSE_SECONDS)
        yield _chunk(bytes(min(_PIECE, length - start)))


def _crumbs(photo: bytes) -> Iterator[bytes]:
    """Send a photo, with zeros behind it to make 3 MB, in chunks of 6 bytes."""
    padded = photo.ljust(_CRUMBS * _CRUMB, b"\0")
    yield chunked("/predict", "image/jpeg")
    for start in range(0, len(padded), _CRUMB * 1_000):
        block = padded[start : start + _CRUMB * 1_000]
        yield b"".join(_chunk(block[at : at + _CRUMB]) for at in range(0, len(block), _CRUMB))
    yield _chunk(b"")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _tell(reply: Reply) -> str:
    return reply.failure or f"after {reply.seconds:.2f} s"
