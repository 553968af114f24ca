"""R3: bombs. R4: the largest legal pictures, alone and many at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.http import form_request
from benchmarks.process import RunningServer
from benchmarks.reliability.bombs import bombs, largest
from benchmarks.reliability.client import Reply, ask, count, statuses
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding, percentile
from benchmarks.reliability.watch import watching_memory

_REFUSED = (400, 413, 415, 422)
_AT_ONCE = 16
_PATIENCE = 60.0  # seconds, for 16 pictures of 50 megapixels


def refuse_bombs(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send each bomb again and again."""
    requests = {name: form_request("/predict", bomb) for name, bomb in bombs().items()}
    trial.warm_up(server)
    replies: dict[str, list[Reply]] = {name: [] for name in requests}
    with watching_memory(server) as memory:
        for name in list(requests) * trial.plan.bomb_rounds:
            replies[name].append(ask(server.port, requests[name]))
    everything = [reply for of_one in replies.values() for reply in of_one]
    passed = {name: of_one[0] for name, of_one in replies.items() if any(r.status not in _REFUSED for r in of_one)}
    slowest = max(replies, key=lambda name: max(reply.seconds for reply in replies[name]))
    return [
        Finding("bombs sent", len(everything), detail=statuses(everything)),
        Finding("bombs not refused", len(passed), target=0, detail=_tell(passed)),
        Finding("p99 of refusals", 1000 * _p99(everything), "ms", 50, detail=f"slowest: {slowest}"),
        Finding("memory added", memory.growth, "MB", 64, detail=f"from {memory.before:.0f} MB"),
    ]


def answer_largest_pictures(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send the largest legal picture of each format, then 16 of them at once."""
    requests = {name: form_request("/predict", data) for name, data in largest(trial.photos[0])}
    trial.warm_up(server)
    with watching_memory(server) as alone:
        replies = {name: ask(server.port, request) for name, request in requests.items()}
    mixed = (list(requests.values()) * _AT_ONCE)[:_AT_ONCE]
    with watching_memory(server) as together, ThreadPoolExecutor(_AT_ONCE) as clients:
        many = list(clients.map(lambda request: ask(server.port, request, seconds=_PATIENCE), mixed))
    sizes = ", ".join(f"{name} {len(request) / 1e6:.1f} MB" for name, request in requests.items())
    others = {name: reply for name, reply in replies.items() if reply.status != 200}
    return [
        Finding("largest legal pictures", len(requests), detail=sizes),
        Finding("not answered with 200 alone", len(others), target=0, detail=_tell(others)),
        *(Finding(f"one {name}", reply.seconds, "s", 2) for name, reply in replies.items()),
        Finding("memory added by one at a time", alone.growth, "MB", 450, detail=f"from {alone.before:.0f} MB"),
        Finding("16 at once: without an answer, or 500", count(many, 0, 0) + count(many, 500, 500), target=0),
        Finding("16 at once: answered with 200", count(many, 200, 200), detail=statuses(many)),
        Finding("16 at once: the last answer", max(reply.seconds for reply in many), "s"),
        Finding("16 at once: memory added", together.most - alone.before, "MB", 450),
    ]


def _p99(replies: Sequence[Reply]) -> float:
    return percentile([reply.seconds for reply in replies], 99)


def _tell(replies: dict[str, Reply]) -> str:
    return "; ".join(f"{name}: {reply.status or reply.failure}" for name, reply in replies.items())
