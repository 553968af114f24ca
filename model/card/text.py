"""What people read about a checkpoint, in its report and on the page: one wording for each sentence and fact."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import ConfidentMetrics, Figures, Interval, SplitMetrics, TestMetrics
from whisker.model.card.provenance import Provenance, SplitGroups
from whisker.model.card.summary import CheckpointSummary

Fact: TypeAlias = tuple[str, str]  # a term and what there is to say

TEST_SPLIT_USE = (
    "The test photos were used only once, after every choice had been made, and no copies of them were found among "
    "the training photos."
)
_FEW = 100  # test photos; figures from fewer are rough
_FEW_OF_A_CLASS = 10
_NAMED = 5  # classes named in a sentence
_MIN_SCORE, _MAX_SCORE = 0.001, 0.999  # that are written in digits; 0 and 1 are, too
_FAMILIES: Mapping[JsonValue, str] = {"mlp": "fully connected", "cnn": "convolutional", "resnet": "residual"}
_PUBLISHED: Mapping[JsonValue, str] = {
    "efficientnet-lite": "EfficientNet",
    "mobilenetv3": "MobileNetV3",
    "convnext": "ConvNeXt",
}
_CHANNELS: Mapping[JsonValue, str] = {1: "grayscale", 3: "colour"}


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 0..1 in percent, with a space that does not break."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def format_score(score: float) -> str:
    """Write a score as the page's script does: one that is not quite certain never looks certain."""
    if _MAX_SCORE < score < 1:
        return f"> {percent(_MAX_SCORE)}"
    if 0 < score < _MIN_SCORE:
        return f"< {percent(_MIN_SCORE)}"
    return percent(score, 0 if score in (0, 1) else 1)


def describe_training_data(summary: CheckpointSummary) -> str:
    """Say which classes the checkpoint knows, and from how many photos."""
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


def describe_test(metrics: TestMetrics) -> str:
    """Say how the photos that figures were measured on were kept from the training."""
    trial = metrics.cross_validation
    if metrics.extension is not None and metrics.extension.drawn:
        return (
            "This is too good: photos of the classes that were added were answered by networks fitted without them, "
            f"but {metrics.extension.drawn:,} features drawn from stored statistics, which are easier, stand in for "
            "photos of the others."
        )
    if trial is None:
        return TEST_SPLIT_USE
    times = "" if trial.repeats == 1 else f", {trial.repeats} times"
    return (
        f"Each photo was answered by networks that were trained without it and photos like it ({trial.folds}-fold "
        f"cross-validation{times}). The network in this file was trained on all photos, and is likely to be a little "
        "better."
    )


def describe_accuracy(metrics: TestMetrics) -> Iterator[str]:
    """Say how many answers for test photos were correct, and how well scores predict that."""
    test = metrics.test or SplitMetrics()
    if test.accuracy is not None and test.photos is not None:
        bounds = f" ({describe_interval(test.accuracy_95_interval)})" if test.accuracy_95_interval else ""
        photos = f"{test.photos:,} {test_photos(metrics)}"
        yield f"{percent(test.accuracy)} correct on {photos}{bounds}. {describe_test(metrics)}"
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


def describe_promise(confident: ConfidentMetrics, *, extended: bool) -> Iterator[str]:
    """Say which precision confident answers promise, and whether photos have shown it."""
    if confident.guaranteed and confident.target_precision is not None:
        yield (
            f"Of confident answers, at least {percent(confident.target_precision)} should be right: photos that were "
            "not trained on have shown it, with 95\N{NO-BREAK SPACE}% confidence."
        )
    yield from _missed_target(confident, extended=extended)


def warn_of_few_test_photos(metrics: TestMetrics) -> Iterator[str]:
    """Say that the figures are rough, if they are."""
    test = metrics.test or SplitMetrics()
    if test.photos is not None and 0 < test.photos < _FEW:
        photos = "1 test photo" if test.photos == 1 else f"{test.photos:,} {test_photos(metrics)}"
        yield f"With only {photos}, every figure is a rough estimate."


def describe_input_limit(summary: CheckpointSummary) -> str:
    """Say what the network can answer, and what it sees of a photo."""
    size = summary.preprocessing.get("size")
    return (
        f"It knows only these {_classes(summary)}, and sees every photo squashed to {size} \N{MULTIPLICATION SIGN} "
        f"{size} pixels."
    )


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
            "Its “unknown” verdict flags photos that are unlike the training photos. How many unrelated photos it "
            "flags was not measured."
        )
    return (
        f"Its “unknown” verdict flagged {_of(outliers.caught, outliers.of, 'unrelated photos')} and, wrongly, "
        f"{_of(unknown.false_alarms, unknown.of, 'photos of known classes')}. It may flag more or fewer of other kinds "
        "of photos."
    )


def describe_limits(summary: CheckpointSummary) -> Iterator[str]:
    """Say what the figures do not show."""
    yield from warn_of_few_test_photos(summary.metrics)
    yield from _resolution(summary.metrics)
    yield _source(summary.provenance.groups, test_photos(summary.metrics))
    if summary.metrics.cross_validation is None:
        yield from _small_classes(summary.metrics, summary.classes)
    yield describe_unknown_limit(summary)
    yield from _missed_target(summary.metrics.confident, extended=summary.metrics.extension is not None)
    if summary.provenance.pretrained:
        yield (
            "Training started from pretrained weights. If those were trained on any of the "
            f"{test_photos(summary.metrics)} here, or of the unrelated photos, the figures are too good."
        )
    wrong = "wrong" if summary.task == "single-label" else "wrong or missing"
    yield f"Labels are taken as correct: a {wrong} label counts as an error, and the network was trained on it."


def network_fact(summary: CheckpointSummary) -> Fact:
    """Name the kind of network and its dimensions."""
    network = summary.network
    family = network.get("family")
    if family not in _FAMILIES:
        return "Network", f"{_PUBLISHED.get(family, family)} {network.get('variant', '')}".strip()
    sizes = [f"{name} {network[name]}" for name in ("width", "depth") if name in network]
    return "Network", _join([_FAMILIES[family], network.get("activation"), *sizes])


def input_fact(summary: CheckpointSummary) -> Fact:
    """Say what the network sees."""
    size, colours = summary.preprocessing.get("size"), _CHANNELS.get(summary.network.get("channels"))
    return "Input", _join([f"{size} \N{MULTIPLICATION SIGN} {size} pixels" if size else "", colours])


def training_fact(summary: CheckpointSummary) -> Fact:
    """Say how the network was trained."""
    provenance = summary.provenance
    return "Training", _join(
        [
            "" if provenance.epochs is None else f"{provenance.epochs} epochs",
            "" if provenance.training_minutes is None else _duration(provenance.training_minutes),
            f"preset {provenance.preset}" if provenance.preset else "",
            provenance.method.lower() if provenance.method else "",
            f"{provenance.weights} weights" if provenance.weights else "",
        ]
    )


def date_fact(summary: CheckpointSummary) -> Fact:
    """Give the day of the training."""
    return "Date", summary.provenance.date or ""


def hash_fact(summary: CheckpointSummary) -> Fact:
    """Give the hash of the checkpoint's file."""
    return "SHA-256", summary.sha256


def list_network_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what the network is and how it was trained."""
    provenance = summary.provenance
    return known(
        network_fact(summary),
        input_fact(summary),
        training_fact(summary),
        ("Training precision", provenance.precision),
        ("Initial weights", _initial_weights(provenance)),
        ("Temperature", f"{summary.temperature:.3f}"),
        ("Command", provenance.command),
    )


def list_data_facts(summary: CheckpointSummary) -> list[Fact]:
    """List how many photos each split has, and what became of the other files."""
    provenance = summary.provenance
    data, seed, groups = provenance.data, provenance.split_seed, provenance.groups
    if data is None:
        return []
    trial = summary.metrics.cross_validation
    beside = "held out with its original" if trial else "in the split of its original"
    return known(
        ("Training photos" if trial else "Training split", _photos(data.train)),
        ("Cross-validation", None if trial is None else f"{trial.folds} folds, repeats: {trial.repeats}"),
        ("Validation split", _photos(data.validation)),
        ("Test split", _photos(data.test)),
        ("Duplicates", None if data.duplicates is None else f"{data.duplicates:,}, each {beside}"),
        ("Skipped", None if data.quarantined is None else f"{data.quarantined:,} unusable files"),
        (
            "Held out by" if trial else "Split by",
            _grouping(groups) + "similar photos" + ("" if seed is None else f", seed {seed}"),
        ),
        ("Groups", _group_counts(groups) if groups else None),
        ("Fingerprint", data.fingerprint),
    )


def list_file_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what identifies the file, and the software that wrote it."""
    libraries = summary.provenance.libraries or {}
    return known(
        date_fact(summary),
        ("Libraries", _join([f"{name} {version}" for name, version in libraries.items()])),
        ("Python", summary.provenance.python),
        hash_fact(summary),
    )


def list_recipe_facts(summary: CheckpointSummary) -> list[Fact]:
    """List the hyper-parameters under the names that they were stored with."""
    recipe = summary.provenance.recipe or {}
    return [(name.replace("_", " "), _setting(value)) for name, value in recipe.items()]


def list_confidence_facts(summary: CheckpointSummary) -> list[Fact]:
    """List what the verdict "confident" and the scores were measured to be worth."""
    test, confident = summary.metrics.test or SplitMetrics(), summary.metrics.confident
    error, likelihood = test.expected_calibration_error, test.negative_log_likelihood
    return [
        *(_confident_facts(confident, summary.unsure if summary.shown else None) if confident else []),
        *known(
            ("Calibration error", None if error is None else f"{error:.4f}, the mean gap between score and accuracy"),
            ("Negative log-likelihood", None if likelihood is None else f"{likelihood:.4f}"),
        ),
    ]


def list_unknown_facts(summary: CheckpointSummary) -> list[Fact]:
    """List how often the verdict "unknown" was measured to be right and wrong."""
    unknown = summary.metrics.unknown
    if unknown is None:
        return []
    outliers = unknown.outliers
    return known(
        ("Photos of known classes flagged", describe_share(unknown.false_alarms, unknown.of, unknown.rate_95_interval)),
        ("Target false-alarm rate", _target("at most", unknown.target_rate, guaranteed=unknown.guaranteed)),
        (
            "Unrelated photos flagged",
            describe_share(outliers.caught, outliers.of, outliers.share_95_interval) if outliers else "not measured",
        ),
    )


def known(*facts: tuple[str, str | None]) -> list[Fact]:
    """Leave out the facts that there is nothing to say about."""
    return [(term, value) for term, value in facts if value]


def _classes(summary: CheckpointSummary) -> str:
    return "classes" if summary.task == "single-label" else "labels"


def _confident_facts(confident: ConfidentMetrics, unsure: float | None) -> list[Fact]:
    return known(
        ("Minimum score", None if unsure is None else f"{unsure:.4f}"),
        ("Confident answers", describe_share(confident.answers, confident.of)),
        (
            "Wrong among them",
            describe_share(confident.wrong, confident.answers, confident.error_95_interval)
            if confident.answers
            else None,
        ),
        ("Target precision", _target("at least", confident.target_precision, guaranteed=confident.guaranteed)),
    )


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


def _grouping(groups: SplitGroups | None) -> str:
    """Begin the phrase about what the split kept together."""
    if groups is None:
        return "groups of "
    if groups.column is not None:
        return f"groups of {groups.column} and of "
    return "groups of folders" + (f" (level {groups.folder_level})" if groups.folder_level else "") + " and of "


def _group_counts(groups: SplitGroups) -> str:
    return _join(
        [
            "" if groups.count is None else f"{groups.count:,}",
            "" if groups.largest is None else f"the largest of {groups.largest:,} photos",
            "" if groups.test is None else f"{groups.test:,} in the test split",
        ]
    )


def _small_classes(metrics: TestMetrics, classes: Sequence[str]) -> Iterator[str]:
    test, figures = metrics.test or SplitMetrics(), metrics.figures or Figures()
    photos = [*map(sum, test.confusion or ())] or [label.photos for label in figures.per_label or ()]
    few = [name for name, count in zip(classes, photos, strict=False) if count < _FEW_OF_A_CLASS]
    if few:
        more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
        yield (
            f"Fewer than {_FEW_OF_A_CLASS} test photos each: {', '.join(few[:_NAMED])}{more}. The figures of these "
            "classes mean little."
        )


def _missed_target(confident: ConfidentMetrics | None, *, extended: bool) -> Iterator[str]:
    if confident and confident.guaranteed is False and confident.target_precision is not None:
        if extended:
            yield (
                "Classes were added without the photos of the others, so it was not shown that confident answers would "
                "be right: no answer is called confident."
            )
            return
        yield (
            f"The photos did not show that {percent(confident.target_precision)} of confident answers would be right, "
            "so no answer is called confident. To change that, add photos and train again."
        )


def _target(bound: str, target: float | None, *, guaranteed: bool | None) -> str | None:
    if target is None:
        return None
    return f"{bound} {percent(target)}; " + (
        "shown by photos that were not trained on" if guaranteed else "too few photos to show it"
    )


def _initial_weights(provenance: Provenance) -> str | None:
    if provenance.pretrained is None:
        return None
    if not provenance.pretrained:
        return "random"
    return _join(["pretrained", provenance.pretrained_source, f"SHA-256 {provenance.pretrained[:12]}"])


def describe_share(part: int, whole: int, bounds: Interval | None = None) -> str:
    share = f"{part:,} of {whole:,}" + (f", {percent(part / whole)}" if whole else "")
    return f"{share} ({describe_interval(bounds)})" if bounds else share


def _of(part: int, whole: int, noun: str) -> str:
    return f"{part:,} of {whole:,} {noun} ({percent(part / whole)})"


def describe_interval(bounds: Interval) -> str:
    return f"95 % interval {percent(bounds[0])} to {percent(bounds[1])}"


def _photos(count: int | None) -> str | None:
    return None if count is None else f"{count:,} photos"


def _duration(minutes: float) -> str:
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _join(parts: Sequence[JsonValue]) -> str:
    return ", ".join(str(part) for part in parts if part)


def _setting(value: JsonValue) -> str:
    """Write a hyper-parameter, or a list of stages."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_setting(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(_setting(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
