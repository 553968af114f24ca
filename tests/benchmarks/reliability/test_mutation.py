from benchmarks.reliability.clients.malformed import as_form
from benchmarks.reliability.mutation import mutated_requests, valid_requests
from benchmarks.reliability.uploads.hostile import damaged
from tests.pictures import draw, encode

PHOTO = encode(draw("rings", 0), "JPEG")


def test_mutated_requests_are_the_same_for_equal_seeds_and_hardly_ever_valid() -> None:
    requests = list(mutated_requests(PHOTO, 300, seed=1))
    assert requests == list(mutated_requests(PHOTO, 300, seed=1))
    assert requests != list(mutated_requests(PHOTO, 300, seed=2))
    valid = set(valid_requests(PHOTO))
    assert len([request for request in requests if request in valid]) < 15
    assert len(set(requests)) > 250


def test_damaged_pictures_are_the_same_for_equal_seeds() -> None:
    pictures = damaged([PHOTO], 100, seed=1)
    assert pictures == damaged([PHOTO], 100, seed=1)
    assert pictures != damaged([PHOTO], 100, seed=2)
    assert len(set(pictures)) > 90


def test_form_is_sent_with_the_boundary_that_it_begins_with() -> None:
    assert b"boundary=abc-1\r\n" in as_form(b"--abc-1\r\nContent-Disposition: form-data\r\n\r\n")
    assert b"boundary=boundary\r\n" in as_form(b"\xff\r\nX: y")
    assert as_form(b"--a\r\n").endswith(b"Content-Length: 5\r\n\r\n--a\r\n")
