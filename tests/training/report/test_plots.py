import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest

from tests.training.calibration.test_figures import answers
from whisker.model.card.metrics import CoveragePoint, CurvePoint, LearningCurve, ScoreHistograms, UnknownHistograms
from whisker.model.card.provenance import Epoch
from whisker.training.calibration.figures import measure_figures
from whisker.training.report.plots import (
    draw_confusion,
    draw_coverage,
    draw_learning_curve,
    draw_loss,
    draw_reliability,
    draw_scores,
    draw_unknown,
    draw_validation,
)

CURVE = LearningCurve(
    measured=(CurvePoint(600, 0.8, (0.7, 0.9)), CurvePoint(1200, 0.85, (0.8, 0.9))),
    doubled=CurvePoint(3000, 0.915, (0.86, 0.97)),
    gains=(0.02, 0.1),
)


def history(epochs: int) -> list[Epoch]:
    """Make a training that improves and grows its photos half-way."""
    return [
        Epoch(i + 1, size=64 if i < epochs / 2 else 128, loss=1 / (i + 1), validation_accuracy=1 - 0.4**i)
        for i in range(epochs)
    ]


def all_plots(photos: int = 200, classes: int = 3, epochs: int = 6) -> dict[str, str]:
    probabilities, labels = answers(photos, classes)
    figures = measure_figures(probabilities, labels, probabilities.min(1), probabilities[:, 1])
    assert figures.scores is not None
    assert figures.unknown is not None
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
    return {
        "loss": draw_loss(history(epochs)),
        "validation": draw_validation(history(epochs)),
        "confusion": draw_confusion(confusion.tolist(), [f"class {i}" for i in range(classes)]),
        "reliability": draw_reliability(figures.reliability or ()),
        "coverage": draw_coverage(figures.coverage or (), 0.8),
        "scores": draw_scores(figures.scores, 0.8),
        "unknown": draw_unknown(figures.unknown),
        "curve": draw_learning_curve(CURVE),
    }


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("text")]  # noqa: S314 - our own


@pytest.mark.parametrize(
    "shape", [(200, 3, 6), (1, 2, 1), (60, 30, 100), (400, 20, 2)], ids=["usual", "least", "many", "twenty"]
)
def test_plots_take_font_and_colours_from_the_page_and_say_what_they_show(shape: tuple[int, int, int]) -> None:
    for name, svg in all_plots(*shape).items():
        root = ET.fromstring(svg)  # noqa: S314 - our own
        assert (root.tag, root.get("role")) == ("svg", "img"), name
        assert str(root.get("aria-label")).endswith("."), name
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#57606a", "#d8dee4", "#f1f4f6", "#0072b2", "#d55e00"}, name
        assert "var(--" in svg, name
        assert not re.search(r"font-family|http|<style|<script|<\?xml", svg), name


def test_equal_figures_give_equal_plots() -> None:
    assert all_plots() == all_plots()


def test_plots_leave_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    all_plots()
    assert dict(mpl.rcParams) == before


def test_plots_heed_no_settings_of_the_user() -> None:
    plain = all_plots()
    with mpl.rc_context({"axes.linewidth": 9.0, "lines.linewidth": 9.0}):
        assert all_plots() == plain


def test_curves_tell_the_last_value_and_the_sizes() -> None:
    plots = all_plots(epochs=4)
    assert {"64 px", "128 px", "0.250", "epoch"} <= set(texts(plots["loss"]))
    assert {"64 px", "128 px", "93.6\N{NO-BREAK SPACE}%", "epoch"} <= set(texts(plots["validation"]))


def test_single_epoch_is_the_only_number_below_its_axis() -> None:
    svg = ET.fromstring(draw_loss(history(1)))  # noqa: S314 - our own
    lowest = max(float(str(text.get("y"))) for text in svg.iter("text") if text.text != "epoch")
    assert [text.text for text in svg.iter("text") if float(str(text.get("y"))) == lowest] == ["1"]


def test_matrix_of_few_classes_has_names_numbers_and_shares() -> None:
    shown = texts(draw_confusion([[9, 1], [0, 1234]], ["cat", "dog"]))
    assert {"cat", "dog", "true class", "answer", "0"} <= set(shown)
    assert "1,234" in " ".join(shown)
    assert "90.0\N{NO-BREAK SPACE}%" in " ".join(shown)


def test_matrix_of_many_classes_is_one_picture_without_numbers() -> None:
    svg = draw_confusion(np.diag([7] * 21).tolist(), [f"class {i}" for i in range(21)])
    assert texts(svg) == ["answer", "true class"]
    assert svg.count("<image") == 1
    assert "data:image/png;base64," in svg


def test_class_names_are_text_whatever_they_hold() -> None:
    svg = draw_confusion([[1, 0], [0, 1]], ["</svg><script>", "$\\frac$"])
    assert {"</svg><script>", "$\\frac$"} <= set(texts(svg))
    assert "<script" not in svg


def test_long_class_names_are_cut() -> None:
    assert "greater spott…" in texts(draw_confusion([[1, 0], [0, 1]], ["greater spotted woodpecker", "wren"]))


def test_threshold_is_marked_where_answers_reach_it() -> None:
    points = [
        CoveragePoint(coverage=0.5, accuracy=1.0, threshold=0.9),
        CoveragePoint(coverage=1.0, accuracy=0.8, threshold=0.5),
    ]
    assert "dashed: confident, score 0.900 or more" in texts(draw_coverage(points, 0.9))
    for threshold in (0.95, None):
        assert not [text for text in texts(draw_coverage(points, threshold)) if "confident" in text]


def test_meaning_of_a_dashed_line_stands_above_curves_and_bars() -> None:
    plots = all_plots()
    for name in ("coverage", "scores", "unknown"):
        marks = [it for it in ET.fromstring(plots[name]).iter("text") if (it.text or "").startswith("dashed: ")]  # noqa: S314 - our own
        lines = [it.get("d", "") for it in ET.fromstring(plots[name]).iter("path")]  # noqa: S314 - our own
        highest = min(float(line.split()[-1]) for line in lines if line.startswith("M") and len(line.split()) == 6)
        assert [float(str(it.get("y"))) < highest for it in marks] == [True], name


def test_scores_without_a_threshold_have_no_mark() -> None:
    assert not [text for text in texts(draw_scores(ScoreHistograms((0, 4), (1, 0)), None)) if "dashed" in text]


def test_class_names_of_any_script_are_text_with_room_for_them() -> None:
    names = ["\u73ab\u7470\u306e\u82b1\u3068\u8449", "\u0635\u0648\u0631\u0629", "K\u00e4se", "dog"]
    svg = draw_confusion(np.diag([5] * 4).tolist(), names)  # a warning of a missing glyph would fail this test
    assert texts(svg).count(names[0]) == 2
    assert {*names} <= {*texts(svg)}
    assert "\N{CURRENCY SIGN}" not in svg
    plain = draw_confusion(np.diag([5] * 4).tolist(), ["r" * 10, "s", "k", "dog"])
    assert len(texts(svg)) == len(texts(plain))


def test_long_names_of_wide_letters_are_cut_sooner() -> None:
    shown = texts(draw_confusion([[1, 0], [0, 1]], ["\u732b" * 14, "dog"]))
    assert "\u732b" * 7 + "\u2026" in shown


def test_unknown_scores_without_outliers_are_one_panel() -> None:
    assert "4 photos of known classes" in texts(draw_unknown(UnknownHistograms((4, 0))))
    both = texts(draw_unknown(UnknownHistograms((4, 0), (0, 5))))
    assert {"4 photos of known classes", "5 unrelated photos", "dashed: unknown above 0.5"} <= set(both)


def test_learning_curve_names_its_photos_and_what_is_expected() -> None:
    svg = draw_learning_curve(CURVE)
    assert {"600", "1,200", "3,000", "training photos", "91.5\N{NO-BREAK SPACE}%"} <= set(texts(svg))
    assert 'aria-label="Accuracy by training photos: 91.5% expected with 3,000."' in svg


def test_learning_curve_without_errors_stays_below_the_top() -> None:
    perfect = CurvePoint(10, 1.0, (1.0, 1.0))
    svg = draw_learning_curve(LearningCurve((perfect,), replace(perfect, photos=20), (0.0,)))
    assert {"10", "20"} <= set(texts(svg))
