"""Forms: what is read from them, and that nothing of them stays behind."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from whisker.app.errors import MalformedFormError
from whisker.app.uploads import multipart as forms
from whisker.app.uploads.form_files import only_picture, texts_of

pytestmark = pytest.mark.anyio

_TYPE = "multipart/form-data; boundary=b"
_BODY = (
    b'--b\r\nContent-Disposition: form-data; name="label"\r\n\r\ncat\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\npicture\r\n'
    b'--b\r\nContent-Disposition: form-data; name="other"; filename="b"\r\n\r\nother\r\n--b--\r\n'
)


async def in_crumbs(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 6):
        yield body[at : at + 6]


async def test_files_of_a_field_and_all_texts_are_read() -> None:
    parts = await forms.read_form(in_crumbs(_BODY), _TYPE, max_parts=9)
    assert only_picture(parts) == b"picture"
    assert texts_of(parts) == {"label": ["cat"]}


@pytest.mark.parametrize("body", [_BODY, _BODY[:-10]])
async def test_form_is_gone_when_it_is_read(body: bytes) -> None:
    """Without a search for garbage, which may come when megabytes of pictures are waiting for it."""
    gc.collect()
    gc.disable()
    try:
        try:
            await forms.read_form(in_crumbs(body), _TYPE, max_parts=9)
        except MalformedFormError as exc:
            exc.__traceback__ = None
        assert not [it for it in gc.get_objects() if type(it) is forms._Form]  # noqa: SLF001 - what must not be seen
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "rest",
    [b"\r\n--bx", b"\r\n--b-x", b"\r\n--b\rx", b"\r\n--b \r\n", b"\r\n--b" + b" " * 70_000, b"\r\n--b\t"],
    ids=lambda rest: repr(rest[:8]),
)
@pytest.mark.parametrize("piece", [1_000_000, 7])
async def test_boundary_within_a_part_ends_the_form_at_once(rest: bytes, piece: int) -> None:
    """The parser would look at each letter of 20 MB: six seconds in which nobody else is answered."""
    body = _BODY[:60] + rest * 1_000
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for at in range(0, len(body), piece):
            read = at
            yield body[at : at + piece]

    with pytest.raises(MalformedFormError, match="boundary within a part"):
        await forms.read_form(pieces(), _TYPE, max_parts=9)
    assert read < 500


@pytest.mark.parametrize(
    "headers", [b"X: " + b"x" * 5_000, b"x" * 5_000, b"X: x\r\n" * 20], ids=["long value", "long name", "many"]
)
async def test_headers_of_a_part_are_bounded(headers: bytes) -> None:
    with pytest.raises(MalformedFormError):
        await forms.read_form(in_crumbs(_BODY[:50] + headers), _TYPE, max_parts=9)


async def test_large_forms_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time round, the event loop parses one chunk of one of them."""
    here, parsed = 0, list[int]()
    add = forms._Form._add_data  # noqa: SLF001 - what must not be seen

    def add_noticed(form: forms._Form, data: bytes, start: int, end: int) -> None:
        parsed.append(here)
        add(form, data, start, end)

    async def chunks() -> AsyncIterator[bytes]:
        yield _BODY[_BODY.index(b"--b", 3) : _BODY.index(b"picture")] + bytes(300_000)
        for _ in range(4):
            yield bytes(100_000)

    monkeypatch.setattr(forms._Form, "_add_data", add_noticed)  # noqa: SLF001
    turns = asyncio.Lock()
    reading = [asyncio.ensure_future(forms.read_form(chunks(), _TYPE, max_parts=9, turns=turns)) for _ in range(3)]
    while not all(one.done() for one in reading):
        here += 1
        await asyncio.sleep(0)
    assert len(parsed) == 15
    assert len(set(parsed)) == 15
    assert all(isinstance(one.exception(), MalformedFormError) for one in reading)
