"""Many photos into one file: every format, every way to stop and to go on, and what is refused."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.app.conftest import full_disk, picture, rows
from whisker.app.batch.job import Job, predict_to_file
from whisker.app.batch.journal import Journal
from whisker.app.errors import ResultsError
from whisker.app.settings import Settings
from whisker.model import Classifier
from whisker.model.answers.single_label import UNLIKE
from whisker.model.errors import PictureError

_ROOT = Path(__file__).parents[3]


def test_json_lines_hold_the_answers_of_the_classifier_in_order(job: Job, tiny: Path) -> None:
    assert predict_to_file(job) == (82, 2)
    found, classifier = rows(job.out), Classifier.load(tiny, engine=job.settings.engine)
    root = job.photos[0]
    assert [row["photo"] for row in found] == sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
    )
    for row in found:
        data = (root / row["photo"]).read_bytes()
        if "error" in row:
            with pytest.raises(PictureError, match=row["error"]["message"][:20]):
                classifier.predict([data])
            continue
        (expected,) = classifier.predict([data])
        assert (row["label"], row["verdict"]) == (expected.label, expected.verdict)
        assert [entry["score"] for entry in row["predictions"]] == pytest.approx(
            [scored.score for scored in expected.predictions], abs=2e-6
        )
    errors = {row["photo"]: row["error"]["code"] for row in found if "error" in row}
    assert errors == {"1/damaged.png": "undecodable_picture", "notes.txt": "unsupported_picture_format"}
    assert not job.journal.exists()


def test_no_cell_of_a_csv_file_is_a_formula_and_a_stopped_run_goes_on(folder: Path, job: Job, tmp_path: Path) -> None:
    for name in ("=1+1.png", "+1.png", "-1.png", "@x.png", "\t=1.png"):
        (folder / name).write_bytes(picture())
    (folder / "itself.png").symlink_to("itself.png")
    os.mkfifo(folder / "pipe.png")
    job = Job(job.photos, tmp_path / "results.csv", job.settings)
    with full_disk(), pytest.raises(ResultsError, match="cannot be written"):
        predict_to_file(job)
    assert predict_to_file(job) == (89, 4)
    with job.out.open(newline="") as file:
        found = [row[0] for row in csv.reader(file)]
    assert not any(name.startswith(("=", "+", "-", "@", "\t", "\r")) for name in found)
    assert {"'=1+1.png", "'+1.png", "'-1.png", "'@x.png", "\\t=1.png", "itself.png", "pipe.png"} <= {*found}


def test_csv_and_parquet_hold_the_same_table(job: Job, strict: Path, tmp_path: Path) -> None:
    settings = job.settings.model_copy(update={"checkpoint": strict})
    for name in ("results.csv", "results.parquet"):
        predict_to_file(Job(job.photos, tmp_path / name, settings))
    table = parquet.read_table(tmp_path / "results.parquet")
    with (tmp_path / "results.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    probabilities = ["probability_bird", "probability_cat", "probability_dog"]
    answer = ["label", "score", "verdict", "reason", "unknown_score"]
    assert header == ["photo", *answer, *probabilities, "error", "message"]
    assert table.column_names == header
    assert len(cells) == table.num_rows == 82
    for row, other in zip(cells, table.to_pylist(), strict=True):
        values = [float(value) if isinstance(other[name], float) else value for name, value in zip(header, row)]  # noqa: B905
        assert values == [pytest.approx("" if value is None else value) for value in other.values()]
    failure = next(row for row in table.to_pylist() if row["error"])
    assert failure["photo"] == "1/damaged.png"
    assert failure["label"] is failure["score"] is failure["probability_cat"] is None
    first = table.to_pylist()[0]
    assert (first["verdict"], first["reason"]) == ("unknown", UNLIKE)
    assert first["score"] == max(first[name] for name in probabilities)
    assert first["label"] == max(probabilities, key=lambda name: first[name]).removeprefix("probability_")


def test_confident_answer_has_an_empty_reason(job: Job, tmp_path: Path) -> None:
    predict_to_file(Job(job.photos, tmp_path / "results.parquet", job.settings))
    table = parquet.read_table(tmp_path / "results.parquet")
    assert {(row["verdict"], row["reason"]) for row in table.to_pylist()} == {("confident", None), (None, None)}


def test_journal_of_a_version_with_other_columns_is_refused(job: Job) -> None:
    _, journal = _finished(job)
    job.journal.write_bytes(journal.replace(b'"journal": 2', b'"journal": 1', 1))
    with pytest.raises(ResultsError, match="is not a journal of this version of Whisker"):
        predict_to_file(job)


def test_top_k_limits_the_classes_of_json_lines(job: Job, tmp_path: Path) -> None:
    predict_to_file(Job(job.photos, tmp_path / "best.jsonl", job.settings, top_k=1))
    assert {len(row["predictions"]) for row in rows(tmp_path / "best.jsonl") if "error" not in row} == {1}


def test_photos_of_several_arguments_keep_their_paths(job: Job, folder: Path) -> None:
    predict_to_file(Job([folder / "2", folder / "0" / "00.png"], job.out, job.settings))
    assert [row["photo"] for row in rows(job.out)][-2:] == [f"{folder}/2/77.png", f"{folder}/0/00.png"]


def test_results_beside_the_photos_are_no_photos(job: Job, folder: Path) -> None:
    for overwrite in (False, True):
        assert predict_to_file(Job([folder], folder / "results.csv", job.settings, overwrite=overwrite)) == (82, 2)


def test_network_that_fails_for_a_photo_answers_for_its_neighbours(fragile: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, colour in (("a.png", "black"), ("b.png", "white"), ("c.png", "black")):
        (tmp_path / "photos" / name).write_bytes(picture(colour=colour))
    settings = Settings(checkpoint=fragile, device="cpu")
    assert predict_to_file(Job([tmp_path / "photos"], tmp_path / "out.jsonl", settings)) == (3, 1)
    good, bad, other = rows(tmp_path / "out.jsonl")
    assert bad["error"]["code"] == "inference_failed"
    assert good["predictions"] == other["predictions"]


@pytest.mark.parametrize("cut", ["in the first line", "after the first line", "in a row", "after a row", "at the end"])
def test_run_goes_on_wherever_it_was_cut(job: Job, cut: str) -> None:
    whole, journal = _finished(job)
    first = journal.index(b"\n") + 1
    row = journal.index(b"\n", first + 4000) + 1
    length = {"in the first line": 20, "after the first line": first, "in a row": row - 9, "after a row": row}
    job.journal.write_bytes(journal[: length.get(cut, len(journal))])
    assert predict_to_file(job) == (82, 2)
    _assert_same(job.out, whole)
    assert not job.journal.exists()


def test_damaged_row_and_what_follows_it_are_done_again(job: Job) -> None:
    whole, journal = _finished(job)
    job.journal.write_bytes(journal[:5000] + b"\0" * 300 + b"\n" + journal[5300:])
    assert predict_to_file(job) == (82, 2)
    _assert_same(job.out, whole)


def test_results_in_the_journal_are_not_computed_again(job: Job) -> None:
    _, journal = _finished(job)
    job.journal.write_bytes(
        journal.replace(b'"photo": "0/00.png", "label"', b'"photo": "0/00.png", "from": 1, "label"')
    )
    predict_to_file(job)
    assert rows(job.out)[0]["from"] == 1


def test_killed_run_goes_on(job: Job, folder: Path) -> None:
    """A photo that is a pipe holds the run up; what came before it is in the journal when the run is killed."""
    pipe = folder.parent / "pipe.png"
    os.mkfifo(pipe)
    words = ["predict", folder, pipe, folder / "0", "--out", job.out, "--checkpoint", job.settings.checkpoint]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    start = "from tests.app.batch.holding import hold; from whisker.cli import main; hold(); main()"
    with (
        subprocess.Popen([sys.executable, "-c", start, *map(str, words)], env=environment) as run,  # noqa: S603
        pipe.open("wb"),  # opens when the run opens its end, which then waits for a picture
    ):
        while not job.journal.exists() or job.journal.read_bytes().count(b"\n") < 1 + 64:
            assert run.poll() is None
        run.send_signal(signal.SIGKILL)
        run.wait()
    assert not job.out.exists()
    pipe.unlink()
    pipe.write_bytes(picture())
    again = Job([folder, pipe, folder / "0"], job.out, job.settings)
    assert predict_to_file(again) == (82 + 1 + 27, 2)
    assert len({row["photo"] for row in rows(job.out)}) == 82 + 1


def test_interrupted_run_ends_with_130_and_says_how_to_go_on(job: Job, folder: Path) -> None:
    pipe = folder.parent / "pipe.png"
    os.mkfifo(pipe)
    words = ["predict", folder, pipe, "--out", job.out, "--checkpoint", job.settings.checkpoint]
    # A shell's background jobs ignore Ctrl-C, and pass that on to whatever they start: these tests may be one.
    start = (
        "import signal; from tests.app.batch.holding import hold; from whisker.cli import main; hold(); "
        "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
    )
    # Interrupted while it holds a lock of its own, coverage would wait for it for ever.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", start, *map(str, words)],
        env={**environment, "PYTHONPATH": str(_ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        with pipe.open("wb"):
            while not job.journal.exists() or job.journal.read_bytes().count(b"\n") < 1 + 64:
                assert run.poll() is None
            run.send_signal(signal.SIGINT)
        _, err = run.communicate()
    assert run.returncode == 130
    assert err == "Stopped: the same command, without --overwrite, resumes from here.\n"
    assert job.journal.exists()


def test_journal_of_another_checkpoint_is_refused_until_overwritten(job: Job, strict: Path) -> None:
    _, journal = _finished(job)
    job.journal.write_bytes(journal)
    other = Job(job.photos, job.out, job.settings.model_copy(update={"checkpoint": strict}))
    with pytest.raises(ResultsError, match=r"with another checkpoint .* start again with --overwrite"):
        predict_to_file(other)
    assert job.journal.read_bytes() == journal
    predict_to_file(Job(other.photos, other.out, other.settings, overwrite=True))
    assert rows(job.out)[0]["unknown_score"] is not None


def test_other_photos_than_in_the_journal_are_refused(job: Job, folder: Path) -> None:
    _, journal = _finished(job)
    job.journal.write_bytes(journal)
    (folder / "0" / "01.png").write_bytes(picture())
    with pytest.raises(ResultsError, match="The photos have changed"):
        predict_to_file(job)


def test_file_that_is_no_journal_is_not_touched(job: Job) -> None:
    job.journal.write_text("mine")
    with pytest.raises(ResultsError, match="is not a journal"):
        predict_to_file(job)
    assert job.journal.read_text() == "mine"


def test_two_runs_do_not_write_one_journal(job: Job) -> None:
    with (
        Journal(job.journal, job.heading(Classifier.load(job.settings.checkpoint).checkpoint), overwrite=False),
        pytest.raises(ResultsError, match="Another run"),
    ):
        predict_to_file(job)


def test_file_that_exists_is_kept_unless_overwritten(job: Job) -> None:
    job.out.write_text("mine")
    with pytest.raises(ResultsError, match="exists: choose another name with --out, or replace it with --overwrite"):
        predict_to_file(job)
    assert job.out.read_text() == "mine"
    predict_to_file(Job(job.photos, job.out, job.settings, overwrite=True))
    assert len(rows(job.out)) == 82


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.xlsx", r"\.csv, \.jsonl or \.parquet"),
        ("results", r"\.csv"),
        ("none/results.csv", "There is no folder"),
    ],
)
def test_file_that_cannot_be_written_is_refused_first(job: Job, tmp_path: Path, name: str, message: str) -> None:
    nowhere = Settings(checkpoint=tmp_path / "none")  # would be the next error
    with pytest.raises(ResultsError, match=message):
        predict_to_file(Job(job.photos, tmp_path / name, nowhere))


def test_missing_folder_is_refused(job: Job, tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="There is no file or folder"):
        predict_to_file(Job([tmp_path / "photo"], job.out, job.settings))


@pytest.mark.parametrize(
    ("suffix", "on_ray", "package", "command"),
    [
        (".parquet", False, "pyarrow", r"whisker-vision\[parquet\]"),
        (".csv", True, "ray", r"pip install 'whisker-vision\[ray\]'"),
    ],
)
def test_missing_extra_is_named_with_the_command_that_installs_it(
    job: Job, monkeypatch: pytest.MonkeyPatch, suffix: str, package: str, command: str, *, on_ray: bool
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / package).exists()])
    monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(ResultsError, match=command):
        predict_to_file(Job(job.photos, job.out.with_suffix(suffix), job.settings, on_ray=on_ray))


def _finished(job: Job) -> tuple[Path, bytes]:
    """Run `job` to its end; return a copy of its file, and its journal as it was when all photos were in it."""
    with (
        full_disk(),
        pytest.raises(ResultsError, match=r"results.jsonl cannot be written: .* run the same command again"),
    ):
        predict_to_file(job)
    journal = job.journal.read_bytes()
    assert predict_to_file(job) == (82, 2)
    return job.out.rename(job.out.with_name("whole.jsonl")), journal


def _assert_same(file: Path, expected: Path) -> None:
    """Compare results; a photo in a batch of another size may differ in a score's last decimal."""
    for row, other in zip(rows(file), rows(expected), strict=True):
        assert _scores(row) == pytest.approx(_scores(other), abs=2e-6)
        assert row == other


def _scores(row: dict[str, Any]) -> list[float]:
    """Take the scores out of a row."""
    return [row.pop("score", 0.0), *(entry.pop("score") for entry in row.get("predictions", []))]
