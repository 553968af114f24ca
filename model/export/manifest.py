"""The manifest of an exported file: one JSON document, the same in every format, that travels inside the file.

It tells what goes in and comes out, and has golden pictures, as encoded files, with the answers that the checkpoint
gave for them when it was exported.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whisker import __version__
from whisker.model.answers.decision_rule import VERDICTS, DecisionRule, Scores, Task
from whisker.model.answers.multi_label import MultiLabelRule
from whisker.model.answers.novelty import UNKNOWN_SCORE
from whisker.model.answers.single_label import SingleLabelRule
from whisker.model.checkpoint.golden import MAX_BYTES, MAX_PICTURES, require_small
from whisker.model.errors import CheckpointError, ConfigError, ExportError
from whisker.model.export.answers import Answers
from whisker.model.preprocessing import Preprocessing

KEY = "whisker"
_VERSION = 1
NETWORK_BOUND = 0.0005  # for pixels of the network's size: another runtime adds up in another order
RESIZE_BOUND = 0.02  # for whole pictures: pixels may come out of another resize one of 255 higher or lower
_WRONG_KIND = (KeyError, TypeError, ValueError, AttributeError, IndexError, ConfigError, CheckpointError)


@dataclass(frozen=True, slots=True)
class Golden:
    """Encoded pictures, the digest of the pixels that each was decoded to, and the answers for them."""

    pictures: tuple[bytes, ...]
    digests: tuple[str, ...]
    answers: Answers


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported file says of itself; `resizes` tells whether it takes pictures of any size.

    `name` and `sha256` are those of the checkpoint.
    """

    name: str
    sha256: str
    rule: DecisionRule
    preprocessing: Preprocessing
    golden: Golden
    resizes: bool

    @property
    def task(self) -> Task:
        """Give the task of the checkpoint."""
        return "multi-label" if isinstance(self.rule, MultiLabelRule) else "single-label"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Name the outputs, in their order."""
        unknown = () if self.golden.answers.unknown is None else ("unknown_score",)
        labels = ("labels",) if self.task == "multi-label" else ()
        return ("probabilities", *unknown, "verdict", *labels)

    def to_json(self) -> str:
        """Write the document."""
        side: int | str = "any" if self.resizes else self.preprocessing.size
        document = {
            "format_version": _VERSION,
            "whisker": __version__,
            "checkpoint": {"name": self.name, "sha256": self.sha256},
            "task": self.task,
            "classes": self.rule.classes,
            "verdicts": VERDICTS,
            "input": {
                "name": "pictures",
                "type": "uint8",
                "colours": "RGB",
                "shape": ["N", side, side, 3],
                "size": self.preprocessing.size,
                "resample": self.preprocessing.resample,
                "background": self.preprocessing.background,
            },
            "outputs": self.outputs,
            "temperature": self.rule.temperature,
            "thresholds": _thresholds(self.rule) | {"unknown": UNKNOWN_SCORE},
            "bounds": {"network": NETWORK_BOUND, "whole_pictures": RESIZE_BOUND},
            "golden": _golden_to_json(self.golden),
        }
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read a document; raise `ExportError` with the end of a sentence that begins with the file."""
        try:
            return _read(json.loads(text))
        except (*_WRONG_KIND, RecursionError) as exc:
            raise ExportError("has a description that this Whisker cannot read") from exc


def digest_pixels(*decoded: NDArray[np.uint8]) -> str:
    """Give the SHA-256 of the shapes and the pixels that a picture was decoded to."""
    digest = hashlib.sha256()
    for pixels in decoded:
        digest.update(f"{pixels.shape}".encode() + pixels.tobytes())
    return digest.hexdigest()


def _thresholds(rule: DecisionRule) -> dict[str, Any]:
    if isinstance(rule, MultiLabelRule):
        return {"labels": rule.thresholds, "guaranteed": rule.guaranteed}
    assert isinstance(rule, SingleLabelRule)  # noqa: S101 - there are two rules
    return {"unsure": rule.unsure, "shown": rule.shown}


def _golden_to_json(golden: Golden) -> dict[str, Any]:
    answers = golden.answers
    return {
        "pictures": [base64.b64encode(picture).decode() for picture in golden.pictures],
        "pixels_sha256": golden.digests,
        "probabilities": answers.probabilities.astype(float).tolist(),
        "unknown_scores": None if answers.unknown is None else answers.unknown.astype(float).tolist(),
    }


def _read(document: Mapping[str, Any]) -> Manifest:
    if document["format_version"] != _VERSION:
        raise ValueError("another version")
    rule = _read_rule(document)
    entry, checkpoint = document["input"], document["checkpoint"]
    red, green, blue = entry["background"]
    preprocessing = Preprocessing(entry["size"], "squash", entry["resample"], (red, green, blue))
    golden = _read_golden(document["golden"], rule)
    return Manifest(
        str(checkpoint["name"]), str(checkpoint["sha256"]), rule, preprocessing, golden, entry["shape"][1] == "any"
    )


def _read_rule(document: Mapping[str, Any]) -> DecisionRule:
    thresholds, classes = document["thresholds"], tuple(map(str, document["classes"]))
    shared = (classes, float(document["temperature"]), None)
    if document["task"] == "multi-label":
        return MultiLabelRule(*shared, tuple(map(float, thresholds["labels"])), tuple(thresholds["guaranteed"]))
    return SingleLabelRule(*shared, float(thresholds["unsure"]), bool(thresholds["shown"]))


def _read_golden(values: Mapping[str, Any], rule: DecisionRule) -> Golden:
    pictures = tuple(base64.b64decode(picture, validate=True) for picture in values["pictures"])
    if not 0 < len(pictures) <= MAX_PICTURES or max(map(len, pictures)) > MAX_BYTES:
        raise ValueError("more than Whisker writes")
    require_small(pictures)
    probabilities = np.array(values["probabilities"], np.float32)
    scores = values["unknown_scores"]
    unknown = None if scores is None else np.array(scores, np.float32)
    if probabilities.shape != (len(pictures), len(rule.classes)) or (
        unknown is not None and len(unknown) != len(pictures)
    ):
        raise ValueError("answers of other shapes")
    digests: Sequence[str] = values["pixels_sha256"]
    if len(digests) != len(pictures):
        raise ValueError("digests of others")
    return Golden(pictures, tuple(digests), Answers.decide(rule, Scores(probabilities, unknown)))
