"""What people read about a checkpoint, in its report and on the page: one wording for each sentence and fact."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from whisker.model.card.document import JsonValue
from whisker.model.card.metrics import ConfidentMetrics, Interval, SplitMetrics
from whisker.model.card.provenance import Provenance
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
_FAMILIES: Mapping[JsonValue, str] = {
    "mlp": "fully connected",
    "cnn": "convolutional",
    "resnet": "residual",
    "efficientnet-lite": "EfficientNet-Lite",
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
    classes, data = f"Knows {len(summary.classes):,} classes", summary.provenance.data
    if data is None or not data.photos:
        return f"{classes}: {', '.join(summary.classes)}."
    photos = f"{classes}, from {sum(data.photos.values()):,} photos"
    if data.train is None or data.validation is None or data.test is None:
        return f"{photos}, some of them kept for validation and testing."
    return f"{photos}: {data.train:,} for training, {data.validation:,} for validation and {data.test:,} for testing."


def describe_accuracy(test: SplitMetrics) -> Iterator[str]:
    """Say how many answers for test photos were correct, and how well scores predict that."""
    if test.accuracy is not None and test.photos is not None:
        bounds = f" ({_interval(test.accuracy_95_interval)})" if test.accuracy_95_interval else ""
        yield f"{percent(test.accuracy)} correct on {test.photos:,} test photos{bounds}. {TEST_SPLIT_USE}"
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


def warn_of_few_test_photos(test: SplitMetrics) -> Iterator[str]:
    """Say that the figures are rough, if they are."""
    if test.photos is not None and 0 < test.photos < _FEW:
        photos = "1 test photo" if test.photos == 1 else f"{test.photos:,} test photos"
        yield f"With only {photos}, every figure is a rough estimate."


def describe_input_limit(summary: CheckpointSummary) -> str:
    """Say what the network can answer, and what it sees of a photo."""
    size = summary.preprocessing.get("size")
    return (
        f"It knows only these classes, and sees every photo squashed to {size} \N{MULTIPLICATION SIGN} {size} pixels."
    )


def describe_unknown_limit(summary: CheckpointSummary) -> str:
    """Say what becomes of photos of anything but the known classes."""
    unknown = summary.metrics.unknown
    outliers = unknown.outliers if unknown else None
    if not summary.knows_novelty and unknown is None:
        return (
            f"It has no “unknown” verdict: a photo of anything else gets one of the {len(summary.classes):,} class "
            "names, often with a high score."
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
    test = summary.metrics.test or SplitMetrics()
    yield from warn_of_few_test_photos(test)
    yield from _resolution(test)
    yield (
        "The test photos come from the same folders as the training photos. Accuracy may be lower on photos from "
        "another camera, place or year."
    )
    yield from _small_classes(test, summary.classes)
    yield describe_unknown_limit(summary)
    yield from _missed_target(summary.metrics.confident)
    if summary.provenance.pretrained:
        yield (
            "Training started from pretrained weights. If those were trained on any of the test photos or unrelated "
            "photos, the figures are too good."
        )
    yield "Labels are taken as correct: a wrong label counts as an error, and the network was trained on it."


def network_fact(summary: CheckpointSummary) -> Fact:
    """Name the kind of network and its dimensions."""
    network = summary.network
    sizes = [f"{name} {network[name]}" for name in ("width", "depth") if name in network]
    return "Network", _join([_FAMILIES.get(network.get("family"), ""), network.get("activation"), *sizes])


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
    data, seed = summary.provenance.data, summary.provenance.split_seed
    if data is None:
        return []
    return known(
        ("Training split", _photos(data.train)),
        ("Validation split", _photos(data.validation)),
        ("Test split", _photos(data.test)),
        ("Duplicates", None if data.duplicates is None else f"{data.duplicates:,}, each in the split of its original"),
        ("Skipped", None if data.quarantined is None else f"{data.quarantined:,} unusable files"),
        ("Split by", "groups of similar photos" + ("" if seed is None else f", seed {seed}")),
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
        *(_confident_facts(confident, summary.unsure) if confident else []),
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
        ("Photos of known classes flagged", _share(unknown.false_alarms, unknown.of, unknown.rate_95_interval)),
        ("Target false-alarm rate", _target("at most", unknown.target_rate, guaranteed=unknown.guaranteed)),
        (
            "Unrelated photos flagged",
            _share(outliers.caught, outliers.of, outliers.share_95_interval) if outliers else "not measured",
        ),
    )


def known(*facts: tuple[str, str | None]) -> list[Fact]:
    """Leave out the facts that there is nothing to say about."""
    return [(term, value) for term, value in facts if value]


def _confident_facts(confident: ConfidentMetrics, unsure: float) -> list[Fact]:
    return known(
        ("Minimum score", f"{unsure:.4f}"),
        ("Confident answers", _share(confident.answers, confident.of)),
        ("Wrong among them", _share(confident.wrong, confident.answers, confident.error_95_interval)),
        ("Target precision", _target("at least", confident.target_precision, guaranteed=confident.guaranteed)),
    )


def _resolution(test: SplitMetrics) -> Iterator[str]:
    """Say how well the accuracy is known, where there are enough photos to say so."""
    if test.accuracy_95_interval and test.photos is not None and test.photos >= _FEW:
        low, high = test.accuracy_95_interval
        yield (
            f"With {test.photos:,} test photos, the accuracy is known to within about {50 * (high - low):.1f} "
            "percentage points. Smaller differences between two trainings mean nothing."
        )


def _small_classes(test: SplitMetrics, classes: Sequence[str]) -> Iterator[str]:
    few = [name for name, row in zip(classes, test.confusion or (), strict=False) if sum(row) < _FEW_OF_A_CLASS]
    if few:
        more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
        yield (
            f"Fewer than {_FEW_OF_A_CLASS} test photos each: {', '.join(few[:_NAMED])}{more}. The figures of these "
            "classes mean little."
        )


def _missed_target(confident: ConfidentMetrics | None) -> Iterator[str]:
    if confident and confident.guaranteed is False and confident.target_precision is not None:
        yield (
            f"The validation photos did not show that {percent(confident.target_precision)} of confident answers are "
            "right. Rely on the measured share and its interval."
        )


def _target(bound: str, target: float | None, *, guaranteed: bool | None) -> str | None:
    if target is None:
        return None
    return f"{bound} {percent(target)}; " + (
        "shown by the validation photos" if guaranteed else "too few validation photos to show it"
    )


def _initial_weights(provenance: Provenance) -> str | None:
    if provenance.pretrained is None:
        return None
    if not provenance.pretrained:
        return "random"
    return _join(["pretrained", provenance.pretrained_source, f"SHA-256 {provenance.pretrained[:12]}"])


def _share(part: int, whole: int, bounds: Interval | None = None) -> str:
    share = f"{part:,} of {whole:,}" + (f", {percent(part / whole)}" if whole else "")
    return f"{share} ({_interval(bounds)})" if bounds else share


def _of(part: int, whole: int, noun: str) -> str:
    return f"{part:,} of {whole:,} {noun} ({percent(part / whole)})"


def _interval(bounds: Interval) -> str:
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
