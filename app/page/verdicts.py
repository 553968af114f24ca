"""Answers in words: what the form without scripts answers, as the page's script (`words.js`) says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from whisker.app.inference.wire import PredictionDocument
from whisker.model.answers.kinds import Verdict
from whisker.model.card.document import CheckpointCard
from whisker.model.card.summary import CheckpointSummary
from whisker.model.card.wording.formats import format_score, percent
from whisker.model.card.wording.labels import label_metrics

_BADGES: Mapping[Verdict, tuple[str, str]] = {
    "confident": ("\N{CHECK MARK}", "Confident"),
    "unsure": ("?", "Not sure"),
    "unknown": ("\N{NOT EQUAL TO}", "Unlike the training photos"),
}
_NONE = "No label's score comes near its threshold."
_UNLIKE = "The picture is unlike anything the model was trained on, so this is probably wrong."


@dataclass(frozen=True, slots=True)
class Promise:
    """What confident answers of a checkpoint are worth, and whether photos have shown it."""

    sentence: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: its verdict as a badge, and a heading with the sentence below it."""

    style: str
    mark: str
    badge: str
    lead: str
    names: str
    score: str
    explanation: str


def promise_of(card: CheckpointCard) -> Promise:
    """Say how often confident answers were right for photos that the checkpoint was not trained or calibrated on."""
    summary = CheckpointSummary.from_card(card)
    confident = summary.metrics.confident
    if summary.task == "multi-label":
        targets = [label.target_precision for label in label_metrics(summary) if label.guaranteed]
        precision = min((target for target in targets if target), default=None)
    else:
        precision = confident.target_precision if confident and confident.guaranteed and summary.shown else None
    if precision is None:
        return Promise("No test has shown how often confident answers of this model are right.", is_proven=False)
    if summary.task == "multi-label":
        worth = f"Of the photos in which a label is found, at least {percent(precision, 0)} have it"
    else:
        worth = f"At least {percent(precision, 0)} of such answers are right"
    was = "calibrated" if summary.provenance.imported else "trained"
    return Promise(f"{worth}, as photos that the model was not {was} on have shown.", is_proven=True)


def tell(prediction: PredictionDocument, promise: Promise) -> Told:
    """Describe an answer in words."""
    verdict, labels = prediction["verdict"], prediction.get("labels")
    mark, badge = _BADGES[verdict]
    unproven = verdict == "confident" and not promise.is_proven
    of_labels = labels is not None and verdict != "unknown"
    nothing = "none of the labels" if verdict == "unsure" else "None of the labels"
    named = ", ".join(it["label"] for it in labels or ()) or nothing
    return Told(
        style="unproven" if unproven else verdict,
        mark=mark,
        badge=f"{badge}, but untested" if unproven else badge,
        lead=_lead(verdict, "class" if labels is None else "label"),
        names=named if of_labels else prediction["label"],
        score="" if labels is not None else format_score(prediction["score"]),
        explanation=_explanation(prediction, promise),
    )


def _lead(verdict: Verdict, noun: str) -> str:
    return {"confident": "", "unsure": "Perhaps ", "unknown": f"Closest {noun}: "}[verdict]


def _explanation(prediction: PredictionDocument, promise: Promise) -> str:
    if prediction["verdict"] == "confident":
        return _NONE if promise.is_proven and prediction.get("labels") == [] else promise.sentence
    return _UNLIKE if prediction["verdict"] == "unknown" else prediction.get("reason", "")
