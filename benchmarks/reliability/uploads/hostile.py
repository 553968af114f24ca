"""R1: hostile files with good photos among them. R2: odd but valid pictures."""

import io
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from benchmarks.http import form_request, raw_request
from benchmarks.photos import sample
from benchmarks.process import RunningServer
from benchmarks.reliability.client import Reply, ask, count, statuses
from benchmarks.reliability.oddities import oddities, orientations
from benchmarks.reliability.pictures import encode
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.video_pictures import heic
from benchmarks.reliability.watch import process_ids

_ALLOWED = {200, 400, 413, 415, 422}
_BETWEEN = 50  # hostile files between two good photos
_GOOD = 8  # good photos, in turn
_CLIENTS = 8  # at once, so that hostile files and good photos are neighbours
_SCORE = 0.001  # that a good photo's score may differ: an answer prints four decimals or more
_ORIENTED = 0.02  # that the scores of the eight orientations may differ: each is a JPEG of its own
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
_SEED = 1


def answer_hostile_files(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send damaged pictures and the corpora, a good photo after every 50."""
    good = [form_request("/predict", photo) for photo in trial.photos[:_GOOD]]
    expected = [ask(server.port, request).verdict() for request in good]
    before = process_ids(server)
    files = [path.read_bytes() for path in sample(trial.pictures(), trial.plan.max_pictures)]
    files += damaged(trial.photos, trial.plan.damaged_pictures, _SEED)
    hostile = [(form_request if index % 2 else raw_request)("/predict", data) for index, data in enumerate(files)]
    requests = list(_interleave(hostile, good))
    with ThreadPoolExecutor(_CLIENTS) as clients:
        replies = list(clients.map(lambda request: ask(server.port, request), requests))
    honest = [reply.verdict() for reply in replies[_BETWEEN :: _BETWEEN + 1]]
    wrong = sum(not _alike(verdict, expected[index % len(good)]) for index, verdict in enumerate(honest))
    strange = [reply for reply in replies if reply.status not in _ALLOWED]
    return [
        Finding("hostile files", len(hostile), detail=statuses(replies)),
        Finding("answers 5xx", count(replies, 500, 599), target=0),
        Finding("no answer", count(replies, 0, 0), target=0),
        Finding("statuses other than 200, 400, 413, 415, 422", len(strange), target=0, detail=statuses(strange)),
        Finding("slowest answer", max(reply.seconds for reply in replies), "s", 2),
        Finding("good photos with another answer than at the start", wrong, target=0, detail=f"of {len(honest)}"),
        Finding("processes that died", len(before - process_ids(server)), target=0),
    ]


def answer_odd_pictures(server: RunningServer, trial: Trial) -> list[Finding]:
    """Send pictures that are odd but valid, and the valid ones of PngSuite if it is among the corpora."""
    photo = trial.photos[0]
    odd = dict(oddities(photo))
    suite = [path for path in trial.corpus("pngsuite") if path.suffix == ".png" and not path.name.startswith("x")]
    odd |= {f"PngSuite's {path.name}": path.read_bytes() for path in suite}
    refused = {name: reply for name, data in odd.items() if (reply := _send(server, data)).status != 200}
    oriented = [_send(server, data).verdict() for data in orientations(photo)]
    scores = [score for _, _, score in oriented]
    return [
        Finding("odd but valid pictures", len(odd), detail=f"{len(suite)} of them PngSuite's"),
        Finding("not answered with 200", len(refused), target=0, detail=_tell(refused)),
        Finding("orientations not answered with 200", sum(status != 200 for status, _, _ in oriented), target=0),
        Finding("labels for the 8 orientations of one photo", len({label for _, label, _ in oriented}), target=1),
        Finding("their scores are apart by", max(scores) - min(scores), target=_ORIENTED),
    ]


def damaged(photos: Sequence[bytes], number: int, seed: int) -> list[bytes]:
    """Damage pictures of all formats: cut off, overwritten, spliced, or noise behind a good beginning."""
    rng = random.Random(seed)  # noqa: S311 - pictures, not secrets
    whole = []
    for photo in photos[:_GOOD]:
        with Image.open(io.BytesIO(photo)) as image:
            small = image.convert("RGB").resize((160, 120))
        whole += [photo, heic(), *(encode(small, format_) for format_ in _FORMATS)]
    return [_damage(rng, rng.choice(whole), rng.choice(whole)) for _ in range(number)]


def _damage(rng: random.Random, picture: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(picture))
    match rng.randrange(5):
        case 0:
            return picture[:at]
        case 1:
            return picture[:at] + other[rng.randrange(len(other)) :]
        case 2:
            return picture[: rng.randrange(1, 64)] + rng.randbytes(rng.randrange(10_000))
        case 3:
            return picture[:at] + bytes(rng.randrange(1, 64)) + picture[at + 32 :]
        case _:
            broken = bytearray(picture)
            for _ in range(rng.randrange(1, 20)):
                broken[rng.randrange(min(len(broken), rng.choice((64, 1024, len(broken)))))] = rng.randrange(256)
            return bytes(broken)


def _interleave(hostile: Sequence[bytes], good: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(hostile) - _BETWEEN + 1, _BETWEEN):
        yield from hostile[start : start + _BETWEEN]
        yield good[start // _BETWEEN % len(good)]
    yield from hostile[len(hostile) // _BETWEEN * _BETWEEN :]


def _alike(one: tuple[int, str, float], other: tuple[int, str, float]) -> bool:
    return one[:2] == other[:2] and abs(one[2] - other[2]) <= _SCORE


def _send(server: RunningServer, picture: bytes) -> Reply:
    return ask(server.port, form_request("/predict", picture))


def _tell(refused: dict[str, Reply]) -> str:
    return "; ".join(f"{name}: {reply.status or reply.failure}" for name, reply in list(refused.items())[:5])
