import pytest

from benchmarks.http import Answer, form_request, raw_request, read_answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("received", "answer"),
    [
        (HEAD + b"hello", Answer(200, keep_alive=True)),
        (b"HTTP/1.1 503 Busy\r\ncontent-length:0\r\nConnection: close\r\n\r\n", Answer(503, keep_alive=False)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Answer(200, keep_alive=True)),
        (b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Answer(204, keep_alive=True)),
        (b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nuntil the end", Answer(200, keep_alive=False)),
    ],
)
def test_answer_is_read_when_all_of_it_is_there_and_not_before(received: bytes, answer: Answer) -> None:
    assert read_answer(received) == answer
    if b"Server: old" not in received:  # which has no end to wait for
        assert [read_answer(received[:end]) for end in range(len(received))] == [None] * len(received)


def test_request_of_a_form_holds_the_photo_in_its_field() -> None:
    head, _, body = form_request("/predict", b"\xff\xd8 photo", field="data").partition(b"\r\n\r\n")
    assert head.startswith(b"POST /predict HTTP/1.1\r\n")
    assert head.endswith(b"Content-Length: %d" % len(body))
    assert b'name="data"' in body
    assert b"\r\n\r\n\xff\xd8 photo\r\n--" in body


def test_raw_request_is_the_photo_itself() -> None:
    head, _, body = raw_request("/predict", b"\xff\xd8 photo").partition(b"\r\n\r\n")
    assert body == b"\xff\xd8 photo"
    assert b"Content-Type: image/jpeg" in head
