"""Forms: what is read from them, and that nothing of them stays behind."""

import gc
from collections.abc import AsyncIterator

import pytest

from whisker.app.errors import MalformedFormError
from whisker.app.uploads import multipart as forms

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
    assert await forms.read_form(in_crumbs(_BODY), _TYPE, "file", max_files=1) == ([b"picture"], {"label": ["cat"]})


@pytest.mark.parametrize("body", [_BODY, _BODY[:-10]])
async def test_form_is_gone_when_it_is_read(body: bytes) -> None:
    """Without a search for garbage, which may come when megabytes of pictures are waiting for it."""
    gc.collect()
    gc.disable()
    try:
        try:
            await forms.read_form(in_crumbs(body), _TYPE, "file", max_files=1)
        except MalformedFormError as exc:
            exc.__traceback__ = None
        assert not [it for it in gc.get_objects() if type(it) is forms._Form]  # noqa: SLF001 - what must not be seen
    finally:
        gc.enable()
