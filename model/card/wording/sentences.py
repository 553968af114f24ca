"""Sentences about a checkpoint, in its report and on its page: one wording for each."""

from collections.abc import Iterator, Sequence

from whisker.model.card.confusion import photos_of_classes
from whisker.model.card.metrics import ConfidentMetrics, Figures, SplitMetrics, TestMetrics
from whisker.model.card.provenance import SplitGroups
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording import imported
from whisker.model.card.wording.formats import describe_interval, describe_part, percent

TEST_SPLIT_USE = (
    "The test photos were used only once, after every choice had been made, and no copies of them were found among "
    "the training photos."
)
_FEW = 100  # test photos; figures from fewer are rough
_FEW_OF_A_CLASS = 10
_NAMED = 5  # classes named in a sentence


def describe_training_data(summary: CheckpointSummary) -> str:
    """Say which classes the checkpoint knows, and from how many photos."""
    if summary.provenance.imported is not None:
        return imported.describe_photos(summary)
    is_single, data = summary.task == "single-label", summary.provenance.data
    classes = f"Knows {len(summary.classes):,} {_classes(summary)}"
    if data is None or not data.photos:
        return f"{classes}: {', '.join(summary.classes)}."
    total = sum(data.photos.values())  # of photos with several labels, each counts several times
    if summary.metrics.extension is not None:
        return f"{classes}, from {total:,} photos; some classes were added later, without the photos of the others."
    if summary.metrics.cross_validation is not None:
        trained = total if data.train is None else data.train
        return f"{classes}, from {trained:,} photos, all of them for training; it was tested by cross-validation."
    if data.train is None or data.validation is None or data.test is None:
        photos = f"{total:,} photos" if is_single else "photos"
        return f"{classes}, from {photos}, some of them kept for validation and testing."
    if not is_single:
        total = data.train + data.validation + data.test
    return (
        f"{classes}, from {total:,} photos: {data.train:,} for training, {data.validation:,} for validation and "
        f"{data.test:,} for testing."
    )


def test_photos(metrics: TestMetrics) -> str:
    """Name the photos that figures were measured on: a split, or all of them."""
    return "photos" if metrics.cross_validation is not None else "test photos"


def describe_test(metrics: TestMetrics, *, is_imported: bool = False) -> str:
    """Say how the photos that figures were measured on were kept from the training."""
    if is_imported:
        return imported.TEST_USE
    trial = metrics.cross_validation
    if metrics.extension is not None and metrics.extension.drawn:
        return (
            "This is too good: photos of the added classes were answered by networks fitted without them, but "
            f"{metrics.extension.drawn:,} features drawn from statistics, which are easier, stand in for photos of the "
            "others."
        )
    if trial is None:
        return TEST_SPLIT_USE
    times = "" if trial.repeats == 1 else f", {trial.repeats} times"
    return (
        f"Each photo was answered by networks that were trained without it and photos like it ({trial.folds}-fold "
        f"cross-validation{times}). The network in this file was trained on all photos, and is likely to be a little "
        "better."
    )


def describe_accuracy(metrics: TestMetrics, *, is_imported: bool = False) -> Iterator[str]:
    """Say how many answers for test photos were correct, and how well scores predict that."""
    test = metrics.test or SplitMetrics()
    if test.accuracy is not None and test.photos is not None:
        bounds = f" ({describe_interval(test.accuracy_95_interval)})" if test.accuracy_95_interval else ""
        photos = f"{test.photos:,} {test_photos(metrics)}"
        yield f"{percent(test.accuracy)} correct on {photos}{bounds}. {describe_test(metrics, is_imported=is_imported)}"
    if test.expected_calibration_error is not None:
        points = 100 * test.expected_calibration_error
        yield f"On average, scores differ from the accuracy by {points:.1f} percentage points; 0 would be perfect."


def describe_confident_answers(confident: ConfidentMetrics) -> Iterator[str]:
    """Say how many answers were confident, and how many of those were wrong."""
    if confident.answers:
        yield (
            f"{confident.answers:,} of {confident.of:,} answers were confident, and {confident.wrong:,} of those "
            f"{'was' if confident.wrong == 1 else 'were'} wrong ({percent(confident.wrong / confident.answers)})."
        )


def describe_promise(summary: CheckpointSummary) -> Iterator[str]:
    """Say which precision confident answers promise, and whether photos have shown it."""
    confident = summary.metrics.confident
    if confident and confident.guaranteed and confident.target_precision is not None:
        shown = "held out" if summary.provenance.imported else "not trained on"
        yield (
            f"Of confident answers, at least {percent(confident.target_precision)} should be right: photos that were "
            f"{shown} have shown it, with 95\N{NO-BREAK SPACE}% confidence."
        )
    yield from _missed_target(summary)


def warn_of_few_test_photos(metrics: TestMetrics) -> Iterator[str]:
    """Say that the figures are rough, if they are."""
    test = metrics.test or SplitMetrics()
    if test.photos is not None and 0 < test.photos < _FEW:
        photos = "1 test photo" if test.photos == 1 else f"{test.photos:,} {test_photos(metrics)}"
        yield f"With only {photos}, every figure is a rough estimate."


def describe_input_limit(summary: CheckpointSummary) -> str:
    """Say what the network can answer, and what it sees of a photo."""
    size = summary.preprocessing.get("size")
    seen = "the middle of a photo, scaled" if summary.preprocessing.get("resize") == "crop" else "every photo squashed"
    return f"It knows only these {_classes(summary)}, and sees {seen} to {size} \N{MULTIPLICATION SIGN} {size} pixels."


def describe_unknown_limit(summary: CheckpointSummary) -> str:
    """Say what becomes of photos of anything but the known classes."""
    unknown = summary.metrics.unknown
    outliers = unknown.outliers if unknown else None
    if not summary.knows_novelty and unknown is None:
        gets = "gets one of the {} class names" if summary.task == "single-label" else "may get any of the {} labels"
        return (
            f"It has no “unknown” verdict: a photo of anything else {gets.format(f'{len(summary.classes):,}')}, often "
            "with a high score."
        )
    if not unknown or not outliers or not unknown.of or not outliers.of:
        return (
            f"Its “unknown” verdict flags photos that are unlike the {_known_photos(summary)}. How many unrelated "
            "photos it flags was not measured."
        )
    caught = describe_part(outliers.caught, outliers.of, "unrelated photos")
    false_alarms = describe_part(unknown.false_alarms, unknown.of, "photos of known classes")
    return (
        f"Its “unknown” verdict flagged {caught} and, wrongly, {false_alarms}. It may flag more or fewer of other "
        "kinds of photos."
    )


def describe_limits(summary: CheckpointSummary) -> Iterator[str]:
    """Say what the figures do not show."""
    yield from warn_of_few_test_photos(summary.metrics)
    yield from _resolution(summary.metrics)
    if summary.provenance.imported is not None:
        yield from imported.describe_unmeasured(summary)
        yield from _small_classes(summary.metrics, summary.classes)
        yield describe_unknown_limit(summary)
        yield from _missed_target(summary)
        yield imported.LABELS
        return
    if "test" in (summary.provenance.sides or ()):
        yield (
            "The test photos are those that the folder keeps apart itself. How they are related to the training photos "
            "is not known; photos that look the same were counted when it was trained."
        )
    else:
        yield _source(summary.provenance.groups, test_photos(summary.metrics))
    if summary.metrics.cross_validation is None:
        yield from _small_classes(summary.metrics, summary.classes)
    yield describe_unknown_limit(summary)
    yield from _missed_target(summary)
    if summary.provenance.pretrained or summary.provenance.method:  # a student of random weights has a method, too
        what = "Training" if summary.provenance.pretrained else "Its teacher's training"
        yield (
            f"{what} started from pretrained weights. If those were trained on any of the "
            f"{test_photos(summary.metrics)} here, or of the unrelated photos, the figures are too good."
        )
    wrong = "wrong" if summary.task == "single-label" else "wrong or missing"
    yield f"Labels are taken as correct: a {wrong} label counts as an error, and the network was trained on it."


def _classes(summary: CheckpointSummary) -> str:
    return "classes" if summary.task == "single-label" else "labels"


def _known_photos(summary: CheckpointSummary) -> str:
    return "training photos" if summary.provenance.imported is None else "photos that it was calibrated with"


def _resolution(metrics: TestMetrics) -> Iterator[str]:
    """Say how well the accuracy is known, where there are enough photos to say so."""
    test = metrics.test or SplitMetrics()
    if test.accuracy_95_interval and test.photos is not None and test.photos >= _FEW:
        low, high = test.accuracy_95_interval
        yield (
            f"With {test.photos:,} {test_photos(metrics)}, the accuracy is known to within about "
            f"{50 * (high - low):.1f} percentage points. Smaller differences between two trainings mean nothing."
        )


def _source(groups: SplitGroups | None, tested: str) -> str:
    """Say how the photos `tested` are related to the training photos."""
    if groups is None:
        return (
            f"The {tested} that it was tested with come from the same folders as those it was trained with. Accuracy "
            "may be lower on photos from another camera, place or year."
        )
    if tested != "test photos":
        return (
            "Photos of a group were held out together. They resemble each other: with few groups, the accuracy is less "
            "certain than the intervals say, which count single photos. Accuracy may be lower on photos from elsewhere."
        )
    number = "" if groups.test is None else f"{groups.test:,} "
    return (
        f"The test photos are from {number}{'group' if groups.test == 1 else 'groups'} without training photos. Photos "
        "of a group resemble each other: with few groups, the accuracy is less certain than the intervals say, which "
        "count single photos. Accuracy may be lower on photos from elsewhere."
    )


def _small_classes(metrics: TestMetrics, classes: Sequence[str]) -> Iterator[str]:
    test, figures = metrics.test or SplitMetrics(), metrics.figures or Figures()
    cells = test.cells
    photos = [label.photos for label in figures.per_label or ()]
    if cells is not None:
        photos = photos_of_classes(cells, len(classes))
    few = [name for name, count in zip(classes, photos, strict=False) if count < _FEW_OF_A_CLASS]
    if few:
        more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
        yield (
            f"Fewer than {_FEW_OF_A_CLASS} test photos each: {', '.join(few[:_NAMED])}{more}. The figures of these "
            "classes mean little."
        )


def _missed_target(summary: CheckpointSummary) -> Iterator[str]:
    confident = summary.metrics.confident
    if confident is None or confident.guaranteed is not False or confident.target_precision is None:
        return
    if summary.metrics.extension is not None:
        yield (
            "Classes were added without the photos of the others, so it was not shown that confident answers would be "
            "right: no answer is called confident."
        )
        return
    missed = f"The photos did not show that {percent(confident.target_precision)} of confident answers would be right"
    again = "train" if summary.provenance.imported is None else "calibrate"
    if summary.shown is False:
        yield f"{missed}, so no answer is called confident. To change that, add photos and {again} again."
    else:  # written by a version that called answers confident all the same
        yield f"{missed}: rely on the measured share, and on its interval."
