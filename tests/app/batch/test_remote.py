"""`whisker predict --server`: the same results as with the checkpoint at hand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.app.conftest import Server, picture, rows
from whisker.app import commands
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.batch.photos import Photo
from whisker.app.batch.remote import classify_on_server
from whisker.app.client import Client
from whisker.app.errors import ResultsError, ServerError
from whisker.model.errors import ConfigError


@pytest.fixture(scope="module")
def server(tiny: Path) -> Iterator[Server]:
    server = Server(tiny, "--inference-workers=1")
    yield server
    server.clean_up()


def predict(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.command()(commands.predict)
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def test_folder_has_the_same_results(job: Job, folder: Path, server: Server, tmp_path: Path) -> None:
    there = Job([folder], tmp_path / "there.jsonl", job.settings, server=server.address)
    assert predict_to_file(job) == predict_to_file(there) == (82, 2)
    for here, other in zip(rows(job.out), rows(there.out), strict=True):
        assert here["photo"] == other["photo"]
        assert here.get("error") == other.get("error")
        assert here.get("score") == pytest.approx(other.get("score"), abs=1e-3)


def test_photos_are_printed(server: Server, tmp_path: Path) -> None:
    good, damaged = tmp_path / "good.png", tmp_path / "damaged.png"
    good.write_bytes(picture())
    damaged.write_bytes(picture()[:60])
    printed = predict(good, damaged, tmp_path / "missing.png", "--server", server.address, "--json")
    assert printed.exit_code == 1
    first, second, third = json.loads(printed.stdout)
    assert first["label"] in {"bird", "cat", "dog"}
    assert second["error"]["code"] == "undecodable_picture"
    assert third["error"]["code"] == "unreadable_file"


def test_photos_that_are_none_are_not_sent_and_keep_their_places(server: Server, tmp_path: Path) -> None:
    names = ("a.mp4", "b.png", "c.mp4", "d.png", "e.mp4")
    for name in names:
        (tmp_path / name).write_bytes(picture() if name.endswith("png") else b"film" * 1000)
    results = json.loads(predict(tmp_path, "--server", server.address, "--json").stdout)
    assert [Path(it["photo"]).name for it in results] == list(names)
    assert [it.get("error", {}).get("code") for it in results] == [
        "unsupported_picture_format" if name.endswith("mp4") else None for name in names
    ]


def test_answers_of_another_checkpoint_end_the_run(server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(picture())
    with Client(server.address) as client, pytest.raises(ServerError, match="start again with --overwrite"):
        list(classify_on_server(client, [Photo(str(photo), "a.png")], top_k=1, version="another"))


def test_server_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(picture())
    with pytest.raises(ServerError, match="cannot be reached"):
        predict(photo, "--server", "http://127.0.0.1:1")


@pytest.mark.parametrize("option", [["--checkpoint", "x"], ["--device", "cpu"], ["--ray", "--out", "a.csv"]])
def test_what_only_counts_here_is_refused(tmp_path: Path, option: list[str]) -> None:
    with pytest.raises(ConfigError, match="leave out"):
        predict(tmp_path, "--server", "http://127.0.0.1:1", *option)


def test_heat_map_of_one_photo_is_drawn(tiny: Path, tmp_path: Path) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "map.png"
    photo.write_bytes(picture())
    printed = predict(photo, "--checkpoint", tiny, "--device", "cpu", "--explain", out)
    assert printed.exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "orange is evidence for" in printed.stderr
    with pytest.raises(ConfigError, match="one file"):
        predict(photo, photo, "--checkpoint", tiny, "--explain", out)
    with pytest.raises(ResultsError, match="cannot be written"):
        predict(photo, "--checkpoint", tiny, "--device", "cpu", "--explain", tmp_path / "nowhere" / "map.png")
