"""Folders of photos with several labels each: in every file format, by a service, and on the screen."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.app.batch.test_remote import predict
from tests.app.conftest import Server, picture, rows
from whisker.app.batch.job import Job, predict_to_file

_HEADER = ["photo", "label", "score", "verdict", "reason", "unknown_score", "labels"]


@pytest.fixture
def labelling(job: Job, several_file: Path) -> Job:
    return replace(job, settings=job.settings.model_copy(update={"checkpoint": several_file}))


@pytest.fixture(scope="module")
def server(several_file: Path) -> Iterator[Server]:
    server = Server(several_file, "--inference-workers=1")
    yield server
    server.clean_up()


def test_tables_have_a_column_of_labels(labelling: Job, tmp_path: Path) -> None:
    for name in ("results.csv", "results.parquet"):
        predict_to_file(replace(labelling, out=tmp_path / name))
    table = parquet.read_table(tmp_path / "results.parquet")
    with (tmp_path / "results.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header == [*_HEADER, *(f"probability_{name}" for name in ("bird", "cat", "dog")), "error", "message"]
    assert table.column_names == header
    for row, other in zip(cells, table.to_pylist(), strict=True):
        failed = bool(other["error"])
        assert (row[6], other["labels"]) == (("", None) if failed else ("bird|cat", "bird|cat"))
    assert sum(bool(row["error"]) for row in table.to_pylist()) == 2


def test_nothing_found_is_empty_and_not_missing(doubtful_file: Path, labelling: Job, tmp_path: Path) -> None:
    settings = labelling.settings.model_copy(update={"checkpoint": doubtful_file})
    predict_to_file(replace(labelling, settings=settings, out=tmp_path / "results.parquet"))
    found = {(row["labels"], row["reason"]) for row in parquet.read_table(tmp_path / "results.parquet").to_pylist()}
    assert found == {("bird", "Likely, but below the threshold: cat."), (None, None)}


def test_json_lines_list_labels_whatever_the_number_of_classes(labelling: Job) -> None:
    predict_to_file(replace(labelling, top_k=1))
    answers = [row for row in rows(labelling.out) if "error" not in row]
    assert {tuple(it["label"] for it in row["labels"]) for row in answers} == {("bird", "cat")}
    assert {len(row["predictions"]) for row in answers} == {1}
    assert not any("reason" in row for row in answers)


def test_service_gives_the_same_table(labelling: Job, server: Server, tmp_path: Path) -> None:
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    predict_to_file(replace(labelling, out=here))
    predict_to_file(replace(labelling, out=there, server=server.address))
    with here.open(newline="") as first, there.open(newline="") as second:
        for row, other in zip(csv.DictReader(first), csv.DictReader(second), strict=True):
            assert {name: row[name] for name in ("photo", "labels", "verdict", "error")} == {
                name: other[name] for name in ("photo", "labels", "verdict", "error")
            }


def test_labels_are_printed_with_their_scores(several_file: Path, doubtful_file: Path, tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(picture())
    printed = predict(photo, "--checkpoint", several_file, "--device", "cpu").stdout
    name, labels, scores, verdict, reason = printed.split("\t")
    assert (name, labels, verdict, reason) == (str(photo), "bird|cat", "confident", "\n")
    assert [float(score) for score in scores.split("|")] == pytest.approx([0.95, 0.8], abs=0.03)
    (answer,) = json.loads(predict(photo, "--checkpoint", doubtful_file, "--device", "cpu", "--json").stdout)
    assert [it["label"] for it in answer["labels"]] == ["bird"]
    assert answer["reason"] == "Likely, but below the threshold: cat."


def test_single_label_results_have_no_labels(job: Job, tmp_path: Path) -> None:
    predict_to_file(replace(job, out=tmp_path / "results.csv"))
    with (tmp_path / "results.csv").open(newline="") as file:
        assert "labels" not in next(csv.reader(file))
    predict_to_file(job)
    assert [*rows(job.out)[0]] == ["photo", "label", "score", "verdict", "unknown_score", "predictions"]
