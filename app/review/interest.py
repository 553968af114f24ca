"""How much a label for a photo would teach: how unsure the answer is, and how novel the photo.

Single-label answers are rated by margin sampling (Scheffer, Decomain and Wrobel 2001): the smaller the lead of the best
class, the more a label tells. Answers with several labels are rated by the score closest to its threshold, as the
smallest margin of all binary decisions is in Brinker 2006.
"""

from collections.abc import Mapping, Sequence

from whisker.app.inference.wire import ClassScoreDocument, PredictionDocument


def rate(prediction: PredictionDocument, thresholds: Mapping[str, float] | None) -> float:
    """Rate an answer from 0, for a certain one of a usual photo, to 1; `thresholds` are those of a multi-label one.

    If the answer lists a part of the classes only, this is the most that the rating of all of them can be.
    """
    scores = prediction["predictions"]
    certainty = margin(scores) if thresholds is None else distance_to_threshold(scores, thresholds)
    return interest(certainty, prediction["unknown_score"])


def interest(certainty: float, unknown_score: float | None) -> float:
    """Average uncertainty and novelty; without a measure of novelty, uncertainty is all there is."""
    uncertainty = 1 - certainty
    return uncertainty if unknown_score is None else (uncertainty + unknown_score) / 2


def margin(scores: Sequence[ClassScoreDocument]) -> float:
    """Subtract the second score from the best; a second that is not listed may be all that the best one leaves."""
    best = scores[0]["score"]
    second = scores[1]["score"] if len(scores) > 1 else 1 - best
    return min(1.0, max(0.0, best - second))


def distance_to_threshold(scores: Sequence[ClassScoreDocument], thresholds: Mapping[str, float]) -> float:
    """Find the score that is closest to its threshold, as a share of the way to 0 or 1 that is left there."""
    return min(_distance(it["score"], thresholds[it["label"]]) for it in scores)


def _distance(score: float, threshold: float) -> float:
    room = 1 - threshold if score >= threshold else threshold
    return min(1.0, abs(score - threshold) / max(room, 1e-6))
