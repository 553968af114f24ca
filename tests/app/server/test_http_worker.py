"""A worker's share of what the service may use."""

import pytest

from whisker.app.server.http_worker import share_of
from whisker.app.settings import Settings


@pytest.mark.parametrize(
    ("cores", "workers", "inference_workers", "in_flight"), [(8, 2, 4, 32), (7, 3, 2, 22), (1, 2, 1, 32)]
)
def test_cores_and_uploads_are_divided(
    cores: int, workers: int, inference_workers: int, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whisker.app.server.http_worker.available_cores", lambda: cores)
    share = share_of(Settings(max_in_flight=64), workers)
    assert (share.inference_workers, share.threads, share.max_in_flight) == (inference_workers, 1, in_flight)


def test_numbers_that_were_set_stay() -> None:
    share = share_of(Settings(threads=3, inference_workers=5), 2)
    assert (share.threads, share.inference_workers) == (3, 5)
