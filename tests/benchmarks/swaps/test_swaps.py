"""The benchmark of swaps, against a small server that answers, or fails, as a service with many versions may."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from benchmarks.errors import BenchmarkError
from benchmarks.http import raw_request
from benchmarks.swaps.results import Results
from benchmarks.swaps.rounds import Figures, Plan, measure
from benchmarks.swaps.swapper import Swapper
from benchmarks.swaps.variants import MIXED, OK, Expected, Jury, Variant, make_variants, telling_photos
from tests.pictures import draw, encode
from whisker.app.repository.folder import find_versions
from whisker.model import Checkpoint, save_checkpoint, with_golden_answers

_PHOTOS = [b"first", b"second"]
_LABELS = [("cat", "dog"), ("dog", "cat")]  # of the variants, for each photo
_PLAN = Plan(swaps=4, load=0.3, seconds=0.2, warm_up=0.0)

Fault = Literal["none", "mixes", "loses", "refuses"]


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Compute in one thread: those of a tiny network would wait for each other's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class _Service(ThreadingHTTPServer):
    """Serve the newest version of a folder; each file holds the number of its variant."""

    def __init__(self, folder: Path, fault: Fault) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.fault, self.answers = folder, fault, 0

    @property
    def port(self) -> int:
        return self.server_port

    def cpu_seconds(self) -> float:
        return 0.0

    def pss_mb(self) -> float:
        return 100.0

    def predict(self, photo: bytes) -> dict[str, Any]:
        self.answers += 1
        newest = find_versions(self.folder)[-1]
        variant = int(newest.path.read_text())
        if self.fault == "mixes" and self.answers % 5 == 0:
            variant = 1 - variant
        label = _LABELS[variant][_PHOTOS.index(photo)]
        return {"label": label, "score": 0.9, "model": {"name": "photos", "version": newest.name}}

    def models(self) -> dict[str, Any]:
        newest = find_versions(self.folder)[-1].name
        state = "failed" if self.fault == "refuses" else "serving"
        return {"models": [{"name": "photos", "versions": [{"version": newest, "state": state}]}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Service

    def do_GET(self) -> None:
        self._send(self.server.models())

    def do_POST(self) -> None:
        photo = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.fault == "loses" and self.server.answers % 5 == 4:
            self.server.answers += 1
            self.close_connection = True
            return
        self._send(self.server.predict(photo))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def _send(self, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _serving(folder: Path, fault: Fault) -> Iterator[_Service]:
    service = _Service(folder, fault)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        service.shutdown()
        thread.join()
        service.server_close()


def _measure(tmp_path: Path, fault: Fault) -> Figures:
    variants = []
    for number, labels in enumerate(_LABELS):
        path = tmp_path / f"variant-{number}"
        path.write_text(str(number))
        variants.append(Variant(path, f"{number}" * 64, [Expected(label, 0.9) for label in labels]))
    jury = Jury(variants)
    swapper = Swapper(tmp_path / "models", variants, jury)
    swapper.put()
    requests = [raw_request("/predict", photo) for photo in _PHOTOS]
    with _serving(tmp_path / "models" / "photos", fault) as service:
        figures = measure(service, requests, jury, swapper, plan=_PLAN, say=lambda _: None)
    assert len(find_versions(tmp_path / "models" / "photos")) <= 3
    assert len(jury.seen) >= 2
    return figures


def test_a_service_that_keeps_every_promise_meets_every_bound(tmp_path: Path) -> None:
    figures = _measure(tmp_path, "none")
    results = Results("2026-11-26", {}, _PLAN, figures)
    assert len(figures.swap_seconds) >= 4
    assert (figures.lost, figures.mixed) == (0, 0)
    assert [row.is_met for row in results.rows if "p99" not in row.what] == [True, True, True]
    assert json.loads(results.to_json())["windows"]["swapping"]["answers"] > 0
    assert "lost answers" in results.table()


def test_mixed_answers_are_counted(tmp_path: Path) -> None:
    figures = _measure(tmp_path, "mixes")
    assert figures.mixed > 0
    assert figures.lost == 0


def test_lost_answers_are_counted(tmp_path: Path) -> None:
    figures = _measure(tmp_path, "loses")
    assert figures.lost > 0
    assert figures.mixed == 0


def test_a_version_that_is_never_served_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"Version v\d+ is not served after a swap: its state is failed"):
        _measure(tmp_path, "refuses")


def test_memory_that_grows_misses_its_bound() -> None:
    figures = Figures(100, 70, memory_mb={0: 50, 100: 100, 200: 104, 210: 106}, swap_seconds=(1.0,))
    figures.calm.p99s = figures.swapping.p99s = [1.0]
    figures.calm.latencies = figures.swapping.latencies = [1.0]
    rows = {row.what: row for row in Results("", {}, _PLAN, figures).rows}
    assert not rows["growth of memory, %"].is_met
    assert rows["p99 with swaps / without"].is_met
    assert "0: 50 MB, 100: 100 MB, 200: 104 MB, 210: 106 MB" in Results("", {}, _PLAN, figures).table()


@pytest.mark.usefixtures("_one_thread")
def test_variants_answer_differently_and_mixed_answers_are_told(untrained: Checkpoint, tmp_path: Path) -> None:
    source, photos = tmp_path / "source.safetensors", [encode(draw("rings", seed)) for seed in range(2)]
    sharp = {**untrained.state, "fc.weight": 30 * untrained.state["fc.weight"]}
    save_checkpoint(with_golden_answers(replace(untrained, state=sharp, golden=None)), source)
    variants = make_variants(source, tmp_path / "variants", photos, engine="torch")
    assert telling_photos(variants) == [0, 1]
    jury = Jury(variants)
    for claimed in variants:
        assert claimed.sha256 == hashlib.sha256(claimed.path.read_bytes()).hexdigest()
        for variant in variants:
            answer = {"label": variant.expected[1].label, "score": variant.expected[1].score}
            document = json.dumps(answer | {"model": {"version": claimed.sha256[:12]}})
            assert jury.judge(1, b"\r\n\r\n" + document.encode()) == (OK if variant is claimed else MIXED)
    assert jury.judge(0, b"\r\n\r\n{}") == MIXED
    with pytest.raises(BenchmarkError, match="None of 2 photos"):
        telling_photos([variants[0], replace(variants[1], expected=variants[0].expected)])
