import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.test_whisker import run
from tests.training.calibration.test_figures import answers
from tests.training.report.test_plots import history
from whisker.model import Checkpoint, Classifier, load_checkpoint
from whisker.model.answers.decision_rule import Verdict
from whisker.model.card.metrics import Figures, TestMetrics
from whisker.model.checkpoint.contents import Int8Cost, Quantization, Thresholds
from whisker.model.networks.build import require_trainable
from whisker.training.calibration.figures import measure_figures
from whisker.training.calibration.metrics import evaluate_probabilities
from whisker.training.calibration.multi_label.metrics import count_confident_labels, evaluate_labels
from whisker.training.errors import TrainingError
from whisker.training.job import Training
from whisker.training.report.first_layer import draw_first_layer
from whisker.training.report.gallery import Galleries, Shown, choose_galleries
from whisker.training.report.page import write_report

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, text, and whether every element is closed."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def measured(checkpoint: Checkpoint, classes: Sequence[str], photos: int = 300, **more: Any) -> Checkpoint:
    """Give a checkpoint the metrics that a training would have stored."""
    probabilities, labels = answers(photos, len(classes))
    unknown = probabilities[:, 0] if "unknown" in more else None
    metrics = {
        "test": evaluate_probabilities(probabilities, labels).to_json(),
        "confident": {"answers": 200, "of": 300, "wrong": 2, "error_95_interval": [0.0027, 0.0357]},
        "figures": measure_figures(probabilities, labels, unknown, unknown).to_json(),
        **more,
    }
    return replace(checkpoint, classes=tuple(classes), metrics=metrics)


def write(path: Path, checkpoint: Checkpoint, galleries: Galleries | None = None) -> Page:
    write_report(path, checkpoint, galleries)
    return Page(path.read_text(encoding="utf-8"))


def photos_in(page: Page) -> list[str]:
    return [source for image in page.all("img") if (source := str(image["src"])).startswith("data:image/jpeg")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def shown(label: str = "cat", answer: str = "dog", path: str = "cat/1.jpg", note: str = "") -> Shown:
    return Shown(np.full((8, 8, 3), 90, np.uint8), path, label, answer, 0.98, note)


def test_page_shows_accuracy_with_its_interval_and_all_plots(file: Path, untrained: Checkpoint) -> None:
    provenance = {"history": [epoch.to_json() for epoch in history(5)], "command": "whisker train birds"}
    unknown = {
        "false_alarms": 6,
        "of": 300,
        "rate_95_interval": [0.0092, 0.043],
        "promised_rate": 0.05,
        "promised": True,
        "outliers": {"caught": 180, "of": 200, "share_95_interval": [0.8506, 0.9343]},
    }
    speed = {"milliseconds_per_photo": 5.43, "multiply_adds": 296e6, "threads": 2, "processor": "Abacus 3000"}
    checkpoint = measured(untrained, ("cat", "dog", "owl"), unknown=unknown, speed=speed)
    int8 = Quantization({}, Int8Cost(0.07, 0.00123), Int8Cost(0.08, 0.00234))
    page = write(file, replace(checkpoint, provenance=provenance, quantization=int8))
    test = checkpoint.metrics["test"]
    low, high = test["accuracy_95_interval"]
    for text in (
        f"{100 * test['accuracy']:.1f} %",
        f"95 % interval {100 * low:.1f} % to {100 * high:.1f} %",
        "99.0 % of confident answers are right",
        "180 of 200, 90.0 % (95 % interval 85.1 % to 93.4 %)",
        "whisker train birds",
        "5.43 ms per photo",
        "Abacus 3000",
        "296 million multiply-adds",
        "loses 0.07 percentage points on the validation photos, and probabilities move by 0.0012",
        "on processors without VNNI 0.08 and 0.0023",
    ):
        assert text in page.text.replace("\N{NO-BREAK SPACE}", " "), text
    assert len(page.all("svg")) == 7


def test_cross_validated_report_speaks_of_no_split(file: Path, untrained: Checkpoint) -> None:
    unknown = {"false_alarms": 40, "of": 300}
    checkpoint = measured(untrained, ("cat", "dog"), unknown=unknown, cross_validation={"folds": 5, "repeats": 1})
    page = write(
        file, replace(checkpoint, provenance={"data": {"train": 300, "duplicates": 2}, "pretrained": "f" * 64})
    )
    assert not re.search("test photos|test split|validation photos|validation split", page.text)
    assert "200 of 300, by thresholds that were chosen without the photo" in page.text
    assert "judged by a threshold that was chosen without its photo" in page.text
    assert "2, each held out with its original" in page.text


def test_plots_say_whether_they_show_unknown_photos(file: Path, untrained: Checkpoint) -> None:
    unknown = {"false_alarms": 40, "of": 300}
    left_out = measured(untrained, ("cat", "dog"), unknown=unknown)
    within = measured(untrained, ("cat", "dog"))  # as measured before the curves left them out
    within = replace(within, metrics={**within.metrics, "unknown": unknown})
    for checkpoint, said in ((left_out, "not shown."), (within, "among those shown.")):
        assert write(file, checkpoint).text.count(f"Photos called “unknown” are never confident, and {said}") == 2
    assert "Photos called “unknown”" not in write(file, measured(untrained, ("cat", "dog"))).text


def test_checkpoint_that_is_never_confident_has_no_threshold_in_its_report(file: Path, untrained: Checkpoint) -> None:
    confident = {"answers": 0, "of": 300, "wrong": 0, "promised": False, "promised_precision": 0.99}
    checkpoint = replace(
        measured(untrained, ("cat", "dog"), confident=confident), thresholds=Thresholds(unsure=0.97, shown=False)
    )
    text = write(file, checkpoint).text
    assert "the photos did not show that such answers keep their precision" in text
    assert not re.search("dashed: confident|Minimum score|Right of the dashed line, answers", text)


def test_page_needs_nothing_but_itself(file: Path, untrained: Checkpoint) -> None:
    galleries = Galleries((shown(),), (shown(),), (), ())
    page = write(file, measured(untrained, ("cat", "dog")), galleries)
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert not re.search(
        r"https?:|//|@import|<script|<link|<iframe|javascript:", re.sub(r"data:\S+", "", file.read_text())
    )
    places = [link for tag, attributes in page.elements for name in ("href", "src") if (link := attributes.get(name))]
    assert all(place.startswith(("#", "data:image/")) for place in places)
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_page_can_be_read_by_ear_and_navigated(file: Path, untrained: Checkpoint) -> None:
    page = write(file, measured(untrained, ("cat", "dog")), Galleries((shown(),), (shown(),), (), ()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(image["alt"] for image in page.all("img"))
    assert all(plot["aria-label"] for plot in page.all("svg"))
    sections = {section["id"] for section in page.all("section")}
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} == sections
    assert page.all("html") == [{"lang": "en"}]


HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}"


def test_names_of_users_are_text(file: Path, untrained: Checkpoint) -> None:
    checkpoint = measured(untrained, (HOSTILE, "owl"))
    noticed = {"quarantined": [[HOSTILE, "no picture"]], "conflicts": [[HOSTILE, "b"]]}
    checkpoint = replace(
        checkpoint,
        name=HOSTILE,
        provenance={
            "command": HOSTILE,
            "noticed": noticed,
            "data": {"photos": {HOSTILE: 3}},
            "recipe": {HOSTILE: HOSTILE},
        },
    )
    photo = shown(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    page = write(file, checkpoint, Galleries((photo,), (photo,), (photo,), ((photo,),), HOSTILE))
    assert all(re.match(r"data:image/(jpeg|png);base64,", str(image["src"])) for image in page.all("img"))
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes]
    assert page.text.count("{{ 7*7 }}") >= 10


def test_page_shows_the_first_layer(file: Path, untrained: Checkpoint) -> None:
    layer = draw_first_layer(require_trainable(untrained.network), untrained.state)
    page = write(file, measured(untrained, ("cat", "dog")))
    assert [(image["src"], image["alt"]) for image in page.all("img")] == [(layer.data_uri(), layer.alt)]
    assert "hardly differ from the random weights" in page.text
    places = [page.text.rindex(heading) for heading in ("Confusion matrix", "First layer", "Known limits")]
    assert places == sorted(places)  # the results come before what made them


def test_file_name_that_is_not_unicode_is_written(file: Path, untrained: Checkpoint) -> None:
    page = write(file, measured(untrained, ("cat", "dog")), Galleries((shown(path="cat/\udcff.jpg"),), (), (), ()))
    assert "cat/?.jpg" in page.text


def test_checkpoint_from_before_the_figures_has_a_report(file: Path, untrained: Checkpoint) -> None:
    full = measured(untrained, ("cat", "dog"))
    page = write(file, replace(full, metrics={"test": full.metrics["test"]}))
    assert len(page.all("svg")) == 1
    for text in ("recorded training curves", "recorded figures for each class", "no “unknown” verdict", "not measured"):
        assert text in page.text
    assert "--photos DIR" in page.text


@pytest.mark.parametrize("metrics", [{}, {"test": "good"}, {"test": {"accuracy": 1}}, {"test": None}])
def test_checkpoint_without_a_training_is_refused(file: Path, untrained: Checkpoint, metrics: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="does not hold the figures of a training"):
        write_report(file, replace(untrained, metrics=metrics), None)
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("speed", [{}, {"milliseconds_per_photo": "fast"}])
def test_half_a_figure_is_refused(file: Path, untrained: Checkpoint, speed: dict[str, Any]) -> None:
    checkpoint = measured(untrained, ("cat", "dog"), speed=speed or {"threads": 2})
    with pytest.raises(TrainingError, match="does not hold the figures of a training"):
        write_report(file, checkpoint, None)


@pytest.mark.parametrize("part", ["test", "figures"])
def test_figures_of_other_classes_are_refused(file: Path, untrained: Checkpoint, part: str) -> None:
    checkpoint, other = measured(untrained, ("cat", "dog")), measured(untrained, ("cat", "dog", "owl"))
    with pytest.raises(TrainingError, match="does not hold the figures of a training"):
        write_report(file, replace(checkpoint, metrics={**checkpoint.metrics, part: other.metrics[part]}), None)


def test_provenance_of_another_kind_is_left_out(file: Path, untrained: Checkpoint) -> None:
    provenance = {"recipe": "none", "history": [{"epoch": 1}], "data": [], "date": "2026-01-01"}
    page = write(file, replace(measured(untrained, ("cat", "dog")), provenance=provenance))
    assert "2026-01-01" in page.text
    assert "recorded training curves" in page.text


def test_captions_say_label_answer_and_score(file: Path, untrained: Checkpoint) -> None:
    sure = replace(shown("owl", "owl"), score=0.99999)
    copies = ((replace(shown(path="a.jpg"), answer=""), replace(shown(path="b.jpg"), answer="")),)
    page = write(file, measured(untrained, ("cat", "dog")), Galleries((sure,), (shown(),), (), copies))
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "labelled cat · answered dog 98.0 %" in text
    assert "labelled owl · answered owl > 99.9 %" in text
    assert "labelled cat a.jpg labelled cat b.jpg" in text


def test_photo_in_doubt_is_not_shown_twice(file: Path, untrained: Checkpoint) -> None:
    wrong, odd = shown(path="cat/wrong.jpg"), shown(path="cat/odd.jpg", note="like no class")
    page = write(file, measured(untrained, ("cat", "dog")), Galleries((), (wrong,), (wrong, odd), ()))
    assert (page.text.count("cat/wrong.jpg"), page.text.count("cat/odd.jpg")) == (1, 1)
    assert "like no class" in page.text


def test_galleries_of_a_faultless_set_say_so(file: Path, untrained: Checkpoint) -> None:
    page = write(file, measured(untrained, ("cat", "dog")), Galleries((shown(),), (), (), (), "9 photos of pets"))
    assert page.text.count("None found") == 3
    assert "From 9 photos of pets." in page.text


def test_chosen_galleries_become_pictures(file: Path, untrained: Checkpoint) -> None:
    checkpoint = measured(untrained, ("cat", "dog"))
    probabilities, labels = answers(300, 2)
    pixels = np.zeros((300, 16, 16, 3), np.uint8)
    paths = [f"{i}.jpg" for i in range(300)]
    galleries = choose_galleries(pixels, np.arange(300), paths, labels, probabilities, ("cat", "dog"))
    page = write(file, checkpoint, galleries)
    assert len(photos_in(page)) >= len(galleries.seen) + len(galleries.worst)
    assert base64.b64decode(photos_in(page)[0].partition(",")[2]).startswith(b"\xff\xd8")


def test_of_many_classes_the_hardest_are_listed(file: Path, untrained: Checkpoint) -> None:
    classes = [f"class {i:02}" for i in range(60)]
    page = write(file, measured(untrained, classes, 900))
    assert "The 50 hardest of 60 classes" in page.text
    rows = measured(untrained, classes, 900).metrics["figures"]["per_class"]
    best = max(range(60), key=lambda i: (rows[i]["recall"], i))
    assert f"{classes[best]} {rows[best]['photos']} " not in page.text


def test_known_limits_are_told(file: Path, untrained: Checkpoint) -> None:
    few = measured(untrained, ("cat", "dog"), 12)
    page = write(file, replace(few, provenance={"pretrained": "f" * 64}))
    for text in (
        "only 12 test photos",
        "same folders as those it was trained with",
        "Fewer than 10 test photos",
        "started from",
    ):
        assert text in page.text
    assert "to within about" in write(file, measured(untrained, ("cat", "dog"), 400)).text


def test_left_out_files_are_counted_even_where_only_some_are_named(file: Path, untrained: Checkpoint) -> None:
    noticed = {"quarantined": [["cat/1.txt", "The file is not a picture."]], "conflicts": [["cat/2.jpg", "dog/2.jpg"]]}
    checkpoint = replace(
        measured(untrained, ("cat", "dog")), provenance={"noticed": noticed, "data": {"quarantined": 1234}}
    )
    text = write(file, checkpoint).text
    assert "Skipped: 1,234" in text
    assert "cat/1.txt : The file is not a picture." in text
    assert "The list shows only the first." in text
    assert "cat/2.jpg = dog/2.jpg" in text


def test_report_replaces_a_file_whole_and_leaves_nothing_else(file: Path, untrained: Checkpoint) -> None:
    file.write_text("old")
    write(file, measured(untrained, ("cat", "dog")))
    assert [path.name for path in file.parent.iterdir()] == ["report.html"]


def test_report_that_cannot_be_written_is_one_sentence(tmp_path: Path, untrained: Checkpoint) -> None:
    (tmp_path / "blocker").write_text("a file where the folder belongs")
    with pytest.raises(TrainingError, match="cannot be written"):
        write_report(tmp_path / "blocker" / "report.html", measured(untrained, ("cat", "dog")), None)


def test_command_writes_beside_the_user_and_overwrites_only_when_told(
    trained: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(monkeypatch, capsys, "report", trained.out)
    assert (code, out) == (0, "Report: shapes.html\n")
    page = Page(Path("shapes.html").read_text())
    assert not photos_in(page)
    assert load_checkpoint(trained.out).sha256 in page.text
    code, _, _ = run(monkeypatch, capsys, "report", trained.out)
    assert "shapes.html exists" in str(code)
    code, _, _ = run(monkeypatch, capsys, "report", trained.out, "--photos", trained.photos, "--overwrite")
    assert code == 0
    assert len(photos_in(Page(Path("shapes.html").read_text()))) >= 24
    code, _, _ = run(monkeypatch, capsys, "report", trained.out, "--out", "shapes.safetensors", "--overwrite")
    assert "ends in .html" in str(code)


def test_report_of_a_training_shows_its_test_split(classifier: Classifier, file: Path) -> None:
    page = write(file, classifier.checkpoint)
    test = classifier.checkpoint.metrics["test"]
    assert f"correct on {test['photos']} test photos" in page.text


def measured_labels(several: Checkpoint, labels: int = 3) -> Checkpoint:
    """Give a multi-label checkpoint the metrics that a training would have stored."""
    rng = np.random.default_rng(0)
    present = rng.uniform(size=(200, labels)) < 0.4
    probabilities = np.clip(present * 0.6 + rng.uniform(size=present.shape) * 0.5, 0, 1).astype(np.float32)
    thresholds = Thresholds(labels=(0.6,) * labels, guaranteed=(True,) * (labels - 1) + (False,))
    evaluation = evaluate_labels(probabilities, present, thresholds, target_precisions=[0.9] * labels)
    verdicts: list[Verdict] = ["confident" if photo < 150 else "unsure" for photo in range(200)]
    metrics = TestMetrics(
        test=evaluation.to_metrics(),
        confident=count_confident_labels(verdicts, probabilities >= 0.6, present),
        figures=Figures(per_label=evaluation.labels),
    )
    classes = several.classes if labels == 3 else tuple(f"label {i:02}" for i in range(labels))
    return replace(several, classes=classes, thresholds=thresholds, metrics=metrics.to_json())


def test_report_of_several_labels_has_a_table_of_them_and_no_confusion(file: Path, several: Checkpoint) -> None:
    checkpoint = measured_labels(several)
    page = write(file, checkpoint)
    text, test = page.text.replace("\N{NO-BREAK SPACE}", " "), checkpoint.metrics["test"]
    for words in (
        f"{100 * test['mean_average_precision']:.1f} %",
        "mean average precision on 200 test photos",
        f"{100 * test['micro_f1']:.1f} % micro F1",
        "of confident answers name no wrong label",
        "For 2 of 3 labels, photos that were not trained on show that at least 90.0 %",
        "Each label",
    ):
        assert words in text, words
    for name, row in zip(checkpoint.classes, checkpoint.metrics["figures"]["per_label"], strict=True):
        assert f"{name} {row['photos']} 60.0 % {100 * row['recall']:.1f} %" in text
    assert "Confusion" not in text
    assert page.all("svg") == []
    sections = {section["id"] for section in page.all("section")}
    assert {str(link["href"]).removeprefix("#") for link in page.all("a")} == sections
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_of_many_labels_the_hardest_are_listed(file: Path, several: Checkpoint) -> None:
    assert "The 50 hardest of 60 labels" in write(file, measured_labels(several, 60)).text


@pytest.mark.parametrize("part", ["test", "figures"])
def test_multi_label_checkpoint_without_its_figures_is_refused(file: Path, several: Checkpoint, part: str) -> None:
    checkpoint = measured_labels(several)
    metrics = {name: value for name, value in checkpoint.metrics.items() if name != part}
    for wrong in (metrics, metrics | {part: measured_labels(several, 4).metrics[part]} if part == "figures" else {}):
        with pytest.raises(TrainingError, match="does not hold the figures of a training"):
            write_report(file, replace(checkpoint, metrics=wrong), None)
