"""Checkpoints that answer differently for the same photo, so that an answer tells which of them gave it."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from benchmarks.errors import BenchmarkError
from whisker.model import Checkpoint, Classifier, load_checkpoint, save_checkpoint, with_golden_answers

OK, MIXED = "200", "mixed"
_TOLERANCE = 0.05  # of a score: another engine or batch may round otherwise
_DULLER = 8.0  # by which the temperature of one variant is higher
_ID_DIGITS = 12  # of a SHA-256, in an answer


@dataclass(frozen=True, slots=True)
class Expected:
    """The label and score of a photo."""

    label: str
    score: float

    def is_met_by(self, label: str, score: float, tolerance: float = _TOLERANCE) -> bool:
        return label == self.label and abs(score - self.score) <= tolerance


@dataclass(frozen=True, slots=True)
class Variant:
    """A checkpoint file, the SHA-256 that answers begin with, and what it answers for each photo."""

    path: Path
    sha256: str
    expected: Sequence[Expected]

    def for_photos(self, indices: Sequence[int]) -> "Variant":
        """Keep what it answers for some of the photos."""
        return replace(self, expected=[self.expected[index] for index in indices])


class Jury:
    """Look at each answer: the version that it names must have given it. `seen` counts them by version."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self._by_version = {it.sha256[:_ID_DIGITS]: it for it in variants}
        self.seen = Counter[str]()

    def introduce(self, version: str, variant: Variant) -> None:
        """Take down which variant lies in the folder under the name of a version."""
        self._by_version[version] = variant

    def judge(self, photo: int, answer: bytes) -> str:
        """Say whether the answer for a photo is that of the version that it names."""
        try:
            document = json.loads(answer.partition(b"\r\n\r\n")[2])
            version, label, score = document["model"]["version"], document["label"], document["score"]
        except (ValueError, LookupError, TypeError):
            return MIXED
        self.seen[version] += 1
        variant = self._by_version.get(version)
        return OK if variant is not None and variant.expected[photo].is_met_by(label, score) else MIXED


def make_variants(checkpoint: Path, folder: Path, photos: Sequence[bytes], *, engine: str = "auto") -> list[Variant]:
    """Write three checkpoints: the same, one whose classes have changed places, and one that is less sure."""
    loaded = load_checkpoint(checkpoint)
    turned = {name: loaded.state[name].roll(1, 0) for name in ("fc.weight", "fc.bias")}
    makes = {
        "as it is": loaded,
        "other classes": replace(loaded, state={**loaded.state, **turned}),
        "other temperature": replace(loaded, temperature=_DULLER * loaded.temperature),
    }
    return [_write(make, folder / f"{name}.safetensors", photos, engine) for name, make in makes.items()]


def telling_photos(variants: Sequence[Variant]) -> list[int]:
    """Choose the photos that all variants answer differently, by their indices; raise `BenchmarkError` if none is."""
    count = len(variants[0].expected)
    telling = [
        index
        for index in range(count)
        if not any(
            a.expected[index].is_met_by(b.expected[index].label, b.expected[index].score, 2 * _TOLERANCE)
            for a, b in combinations(variants, 2)
        )
    ]
    if not telling:
        raise BenchmarkError(f"None of {count:,} photos is answered differently by all checkpoints: give others.")
    return telling


def _write(checkpoint: Checkpoint, path: Path, photos: Sequence[bytes], engine: str) -> Variant:
    plain = replace(checkpoint, golden=None, held_out=None, statistics=None, metrics={})  # of the classes as they were
    save_checkpoint(with_golden_answers(plain), path)
    classifier = Classifier(load_checkpoint(path))
    classifier.use_engine(engine)
    expected = [Expected(it.label, it.score) for it in classifier.predict(photos)]
    return Variant(path, hashlib.sha256(path.read_bytes()).hexdigest(), expected)
