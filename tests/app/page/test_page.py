"""The pages, as a browser without a script gets them."""

import os
import re
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import Serving, picture
from whisker import __version__
from whisker.app.page import routes
from whisker.app.page.examples import find_examples
from whisker.model import BUNDLED_CHECKPOINT
from whisker.model.answers.single_label import NOT_SHOWN
from whisker.model.errors import ConfigError

pytestmark = pytest.mark.anyio

_STATIC = (*(f"page/{name}" for name in routes.FILES),)


async def test_page_has_a_form_that_needs_no_script(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<form id="upload" class="drop" action="answer" method="post" enctype="multipart/form-data">' in page.text
    assert re.search(r'<label [^>]*for="photos"', page.text)
    assert "Knows 3 classes: <bdi>bird</bdi>, <bdi>cat</bdi>, <bdi>dog</bdi>." in page.text
    assert f"<p>Whisker {__version__}</p>" in page.text


async def test_page_asks_this_service_alone(client: httpx.AsyncClient) -> None:
    total = 0
    for path in ("/", *_STATIC):
        answer = await client.get(f"/{path.lstrip('/')}")
        assert answer.status_code == 200
        total += len(answer.content)
        hosts = set(re.findall(r"https?://([^/\"'\s)]+)", answer.text)) - {"www.w3.org"}  # the name of SVG itself
        assert hosts == set()
    assert total < 70_000
    policy = (await client.get("/")).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_form_is_answered_with_a_page(client: httpx.AsyncClient) -> None:
    answer = await client.post("/answer", files={"file": ("a.png", picture())})
    assert answer.status_code == 200
    assert answer.text.count("<meter") == 3
    assert "Not classified" not in answer.text
    assert "Confident, but untested" in answer.text


async def test_damaged_photo_of_a_form_fails_alone(client: httpx.AsyncClient) -> None:
    files = [("file", ("a.png", picture())), ("file", ("b.png", picture()[:60]))]
    answer = await client.post("/answer", files=files)
    assert answer.text.count("Not classified") == 1
    assert "damaged or incomplete" in answer.text
    assert 'href="docs/errors#undecodable_picture"' in answer.text
    assert answer.text.count("<meter") == 3


async def test_unknown_is_said_in_words(serving: Serving, strict: Path) -> None:
    async with serving(checkpoint=strict) as client:
        answer = await client.post("/answer", files={"file": ("a.png", picture())})
    assert "Unlike the training photos" in answer.text
    assert "Closest class: <bdi>" in answer.text


async def test_page_says_once_that_no_answer_will_be_confident(
    serving: Serving, client: httpx.AsyncClient, unproven: Path
) -> None:
    notice = "train it on more photos"
    assert notice not in (await client.get("/")).text
    async with serving(checkpoint=unproven) as other:
        assert (await other.get("/")).text.count(notice) == 1
        answer = await other.post("/answer", files={"file": ("a.png", picture())})
    assert f"<p>{NOT_SHOWN}</p>" in answer.text
    assert "Perhaps <bdi>" in answer.text


async def test_class_names_are_text_whatever_they_hold(serving: Serving, tiny: Path, tmp_path: Path) -> None:
    import dataclasses  # noqa: PLC0415 - used once

    from whisker.model import load_checkpoint, save_checkpoint  # noqa: PLC0415 - as above

    checkpoint = load_checkpoint(tiny)
    nasty = dataclasses.replace(checkpoint, classes=("<script>", "cat", "dog"), name="<b>")
    save_checkpoint(nasty, tmp_path / "nasty.safetensors")
    async with serving(checkpoint=tmp_path / "nasty.safetensors") as client:
        for answer in (
            await client.get("/"),
            await client.get("/card"),
            await client.post("/answer", files={"file": ("a.png", picture())}),
        ):
            assert answer.status_code == 200
            assert "<script>" not in answer.text
            assert "<b>" not in answer.text


async def test_examples_are_the_operators(serving: Serving, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(picture())
    (tmp_path / "a.jpg").write_bytes(picture(format_="JPEG"))
    (tmp_path / "secret.txt").write_text("secret")
    async with serving(examples=tmp_path) as client:
        assert (await client.get("/")).text.count('class="example"') == 2
        first = await client.get("/examples/0")
        assert first.headers["content-type"] == "image/jpeg"
        assert first.content == (tmp_path / "a.jpg").read_bytes()
        for number in ("2", "-1", "x", "../a.jpg"):
            assert (await client.get(f"/examples/{number}")).status_code in {404, 422}


async def test_example_that_leads_out_of_its_folder_is_never_served(serving: Serving, tmp_path: Path) -> None:
    examples, secret = tmp_path / "examples", tmp_path / "secret.png"
    examples.mkdir()
    secret.write_bytes(picture())
    (examples / "link.png").symlink_to(secret)
    (examples / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(examples / "pipe.png")
    with pytest.raises(ConfigError, match=r"link\.png is a link that leads out of its folder"):
        find_examples(examples)
    (examples / "link.png").unlink()
    (examples / ".store").mkdir()
    (examples / ".store" / "1f").write_bytes(picture())
    (examples / "link.png").symlink_to(".store/1f")  # as mounted configurations are
    async with serving(examples=examples) as client:
        assert (await client.get("/")).text.count('class="example"') == 1
        assert (await client.get("/examples/0")).content == picture()
        for target in (secret, "link.png", "pipe.png", "/dev/zero"):
            (examples / "link.png").unlink()
            (examples / "link.png").symlink_to(target)
            assert (await client.get("/examples/0")).status_code == 404


async def test_page_without_examples_offers_none(client: httpx.AsyncClient) -> None:
    assert "Or try one of these" not in (await client.get("/")).text
    assert (await client.get("/examples/0")).status_code == 404


async def test_card_says_what_was_measured(serving: Serving) -> None:
    async with serving(checkpoint=BUNDLED_CHECKPOINT) as client:
        card = (await client.get("/model")).json()
        page = (await client.get("/card")).text
    test = card["metrics"]["test"]
    assert f"{100 * test['accuracy']:.1f}\N{NO-BREAK SPACE}%" in page
    assert f"correct on {test['photos']:,} test photos" in page
    for at, row in enumerate(test["confusion"]):
        for column, count in enumerate(row):
            assert re.search(rf'<td class="s\d+{" right" if column == at else ""}">{count}<', page)
    assert card["sha256"] in page
    assert "<dt>Last training run</dt>" in page  # of several, as the bundled checkpoint started from another one
    assert "every figure is a rough estimate" not in page


async def test_card_of_a_checkpoint_that_was_hardly_measured(client: httpx.AsyncClient) -> None:
    page = (await client.get("/card")).text
    assert "Not measured for this checkpoint." in page
    assert "a photo of anything else gets one of the 3 class names" in page


async def test_form_is_answered_with_labels(serving: Serving, several_file: Path, doubtful_file: Path) -> None:
    for checkpoint, heading in ((several_file, "<bdi>bird, cat</bdi>"), (doubtful_file, "Perhaps <bdi>bird</bdi>")):
        async with serving(checkpoint=checkpoint) as client:
            answer = await client.post("/answer", files={"file": ("a.png", picture())})
            assert heading in answer.text
            assert answer.text.count("<meter") == 3
    assert "<p>Likely, but below the threshold: cat.</p>" in answer.text


async def test_page_and_card_of_a_multi_label_checkpoint(serving: Serving, several_file: Path, tmp_path: Path) -> None:
    async with serving(checkpoint=several_file, corrections=tmp_path) as client:
        page, card = (await client.get("/")).text, (await client.get("/card")).text
    assert "Knows 3 labels: <bdi>bird</bdi>" in page
    assert page.count('<input type="checkbox" name="label"') == 3
    assert '<select id="right-label"' not in page
    assert re.search(r'bird</bdi></th><td[^>]*data-name="Photos">0</td><td[^>]*data-name="Threshold">90.0', card)
    assert "Not measured for this checkpoint." in card
    assert "confusion" not in card
