"""What the routes for labelling take and answer, as the OpenAPI document describes it."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from whisker.app.review.entry import Entry
from whisker.app.review.progress import Progress
from whisker.app.schemas import Answer, ScoredLabel
from whisker.model.answers.kinds import Verdict

_MAX_LETTERS, _MAX_LABELS = 300, 1000


class Suggestion(Answer):
    """What the checkpoint answered when the photo came."""

    label: str = Field(description="The best class.", examples=["cat"])
    score: float = Field(ge=0, le=1)
    verdict: Verdict
    unknown_score: float | None
    reason: str = Field(default="", description="Why the answer is not confident, for people.")
    labels: list[str] | None = Field(default=None, description="Of a multi-label checkpoint: the labels found.")
    predictions: list[ScoredLabel] = Field(description="The best classes, best first, ten at most.")


class ReviewPhoto(Answer):
    """A photo that was kept for review."""

    id: str = Field(description="The photo's SHA-256.")
    photo: str = Field(description="Where the photo is, relative to the service's address.")
    kept_at: str
    model: str = Field(description="The version of the checkpoint that answered.")
    suggestion: Suggestion
    labels: list[str] | None = Field(description="Its labels: none of the classes if empty, `null` if not labelled.")


class ReviewProgress(Answer):
    """How far the labelling has come."""

    waiting: int
    labelled: int = Field(description="Photos that have a label.")
    outliers: int = Field(description="Photos that show none of the classes.")
    classes: dict[str, int] = Field(description="Photos labelled with each class.")


class ReviewQueue(Answer):
    """The photos to be labelled next, best first."""

    photos: list[ReviewPhoto]
    progress: ReviewProgress
    classes: list[str] = Field(description="The checkpoint's classes, and those that labellers have added.")
    several: bool = Field(description="Whether a photo may have several labels.")


class Labelled(Answer):
    """A photo after its labels were changed, and how far the labelling has come."""

    photo: ReviewPhoto
    progress: ReviewProgress


class GivenLabels(BaseModel):
    """The labels of a photo; none says that it shows none of the classes."""

    labels: list[Annotated[str, StringConstraints(max_length=_MAX_LETTERS)]] = Field(
        max_length=_MAX_LABELS, examples=[["cat"]]
    )


def photo_document(entry: Entry) -> ReviewPhoto:
    answer = entry.answer
    found = answer.get("labels")
    return ReviewPhoto(
        id=entry.id,
        photo=f"review/{entry.id}.jpg",
        kept_at=entry.kept_at,
        model=entry.model,
        suggestion=Suggestion(
            label=answer["label"],
            score=answer["score"],
            verdict=answer["verdict"],
            unknown_score=answer["unknown_score"],
            reason=answer.get("reason", ""),
            labels=None if found is None else [it["label"] for it in found],
            predictions=[ScoredLabel(**it) for it in answer["predictions"]],
        ),
        labels=None if entry.labels is None else [*entry.labels],
    )


def progress_document(progress: Progress) -> ReviewProgress:
    return ReviewProgress(
        waiting=progress.waiting, labelled=progress.labelled, outliers=progress.outliers, classes=progress.classes
    )
