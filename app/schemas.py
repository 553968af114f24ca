"""The service's answers, as the OpenAPI document describes them."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from whisker.model.answers.kinds import Task, Verdict

DEFAULT_TOP_K = 5  # classes that are listed

Score = Annotated[float, Field(ge=0, le=1, description="Calibrated probability of the class.", examples=[0.9871])]
Milliseconds = Annotated[float, Field(ge=0, examples=[1.1])]


class Answer(BaseModel):
    """An answer; frozen, for it is on its way to a client."""

    model_config = ConfigDict(frozen=True)


class ScoredLabel(Answer):
    """One class and its calibrated probability."""

    label: str = Field(examples=["cat"])
    score: Score


class CheckpointId(Answer):
    """Which checkpoint answers."""

    name: str = Field(examples=["cats-dogs"])
    version: str = Field(
        description=(
            "In a folder of models, the version's name there. Of a single checkpoint, the first 12 digits of the "
            "file's SHA-256."
        ),
        examples=["9f86d081884c"],
    )


class UploadedImage(Answer):
    """The uploaded picture, upright, before it was resized."""

    width: int = Field(gt=0, examples=[500])
    height: int = Field(gt=0, examples=[375])
    format: str = Field(description="JPEG, PNG, WEBP, GIF or BMP.", examples=["JPEG"])


class Stages(Answer):
    """Where a picture's time went, in milliseconds."""

    decode: Milliseconds = Field(description="Decoding and resizing the picture.")
    queue: Milliseconds = Field(
        description="All other time until the answer, such as waiting for a free inference worker."
    )
    inference: Milliseconds = Field(description="The network's answer for the batch the picture was in.")


class Total(Answer):
    """How long a request took, in milliseconds."""

    total: Milliseconds = Field(description="The whole request as the service saw it, including receiving the body.")


class Timing(Total, Stages):
    """Where a request's time went, in milliseconds."""


class HeatMapAnswer(Answer):
    """The evidence of each place of the upright picture for a class."""

    label: str = Field(description="The class.", examples=["cat"])
    rows: list[list[float]] = Field(
        description=(
            "From the top left, in logits: above 0 a place is evidence for the class, below 0 against it. Their "
            "mean is the picture's share of the distance between the class's logit and the mean of all logits or, of "
            "a multi-label checkpoint, of the class's logit."
        ),
        examples=[[[0.51, -0.13], [2.24, 0.87]]],
    )


class _Prediction(Answer):
    label: str = Field(description="The best class, whatever the verdict.", examples=["cat"])
    score: Score
    verdict: Verdict = Field(
        description=(
            "Whether to trust the label. `unknown`: the picture resembles nothing in the training data "
            "(`unknown_score` above 0.5); else `confident`: the calibrated score reaches the checkpoint's threshold; "
            "`unsure`: it does not, or the photos did not show from which score on answers keep their promised "
            "precision. Of a multi-label checkpoint, `confident`: every class is clearly a label or clearly none; "
            "`unsure`: `reason` says which is not."
        ),
        examples=["confident"],
    )
    unknown_score: float | None = Field(
        ge=0,
        le=1,
        description=(
            "How different the picture is from the training photos: 0.1 is typical of known classes, and above 0.5 "
            "the verdict is `unknown`. `null` if the checkpoint has no measure of novelty."
        ),
        examples=[0.0832],
    )
    predictions: list[ScoredLabel] = Field(description="The `top_k` best classes, best first.")
    image: UploadedImage
    labels: list[ScoredLabel] | None = Field(
        None,
        description=(
            "Only there if the checkpoint is multi-label: all classes whose score reaches their threshold, best first. "
            "None may."
        ),
        examples=[[{"label": "cat", "score": 0.9871}, {"label": "sofa", "score": 0.8263}]],
    )
    reason: str | None = Field(
        None,
        description=(
            "Why the answer is not `confident`: a sentence for people, which may change. Not there if it is, nor for "
            "an `unknown` picture if the checkpoint is multi-label."
        ),
        examples=["The best score is too low to rely on."],
    )
    heat_map: HeatMapAnswer | None = Field(None, description="Only there if `explain` asked for it.")


class PredictionAnswer(_Prediction):
    """What the picture shows."""

    model: CheckpointId
    timing_ms: Timing


class PicturePrediction(_Prediction):
    """What one picture of several shows."""

    timing_ms: Stages


class HealthAnswer(Answer):
    """Whether the service can predict, and with what."""

    status: Literal["ready", "unavailable"]
    model: CheckpointId | None = Field(description="`null` while there is none.")
    device: str | None = Field(description="Where the network computes; `null` while there is none.", examples=["cpu"])
    whisker_version: str = Field(description="Of the program.", examples=["0.1.0"])
    uptime_seconds: float = Field(ge=0, description="Since the checkpoint was ready.", examples=[86.4])


class AliveAnswer(Answer):
    """Whether the process should be left running."""

    status: Literal["alive", "stalled"]


class ReadyAnswer(Answer):
    """The checkpoint is loaded, verified and warmed up."""

    status: Literal["ready"]


class InputCard(Answer):
    """How an upload is checked and preprocessed."""

    formats: list[str] = Field(examples=[["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]])
    max_body_bytes: int
    max_pixels: int
    max_jpeg_pixels: int = Field(description="Of a JPEG that is decoded at half its scale or less.")
    max_webp_pixels: int = Field(description="Of a WebP or AVIF.")
    preprocessing: Mapping[str, object] = Field(examples=[{"size": 128, "resize": "squash", "resample": "bilinear"}])


class LabelThresholdCard(Answer):
    """From which score on a class is a label, and whether that was shown to keep its target precision."""

    label: str = Field(examples=["cat"])
    threshold: Score
    guaranteed: bool = Field(description="The validation photos showed it with 95 % confidence.")


class ModelCard(Answer):
    """The card of the checkpoint being served."""

    name: str = Field(examples=["cats-dogs"])
    version: str = Field(examples=["9f86d081884c"])
    sha256: str = Field(description="Of the checkpoint file.")
    device: str = Field(examples=["cpu"])
    engine: str = Field(description="What runs the network there.", examples=["openvino-int8"])
    task: Task = Field(
        "single-label",
        description="`single-label`: each picture is of one class. `multi-label`: it has any number of them as labels.",
    )
    classes: list[str] = Field(examples=[["cat", "dog"]])
    input: InputCard
    network: Mapping[str, object] = Field(examples=[{"family": "resnet", "width": 32, "depth": 2}])
    temperature: float = Field(description="Divides the logits; fitted so that scores are calibrated.")
    thresholds: dict[str, float | bool | None] = Field(
        description=(
            "A best score below `unsure`, or an unknown score above `unknown`, gets that verdict. `shown` tells "
            "whether photos have shown with 95 % confidence that answers above `unsure` keep the precision in "
            "`metrics.confident.promised_precision`; if not, no answer is `confident`. `unsure` and `shown` are `null` "
            "if the checkpoint is multi-label."
        ),
        examples=[{"unsure": 0.9, "shown": True, "unknown": 0.5}],
    )
    label_thresholds: list[LabelThresholdCard] | None = Field(
        None, description="Of each class, if the checkpoint is multi-label; else `null`."
    )
    metrics: Mapping[str, object] = Field(description="Measured at training, with intervals.")
    provenance: Mapping[str, object] = Field(description="Data fingerprint, seed, counts, recipe, versions, date.")


class Problem(Answer):
    """An error (RFC 9457). Rely on `code`; `detail` is for people and may change."""

    type: str = Field(examples=["/docs/errors#undecodable_picture"])
    title: str = Field(description="What the status means.", examples=["Unprocessable Entity"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["The picture is damaged or incomplete and cannot be decoded."])
    code: str = Field(description="Stable; see docs/reference/errors.md.", examples=["undecodable_picture"])
    request_id: str = Field(description="As in `X-Request-ID`.", examples=["0b5e9a3c7d1f4e6f8a2b4c6d8e0f1a2b"])


class CorrectionAnswer(Answer):
    """A correction that is kept."""

    label: str = Field(description="The label or, of several, the first.", examples=["cat"])
    labels: list[str] | None = Field(
        default=None, description="Only there if the checkpoint is multi-label: all labels."
    )
    photo: str = Field(description="The name of its file: the SHA-256 of what is in it.", examples=["9f86d081.jpg"])


class PictureResult(Answer):
    """One picture of several: its prediction, or what is wrong with it."""

    prediction: PicturePrediction | None
    problem: Problem | None


class BatchAnswer(Answer):
    """What each picture shows, in the order of the upload."""

    results: list[PictureResult]
    model: CheckpointId
    timing_ms: Total


VersionState = Literal["serving", "canary", "shadow", "loaded", "loading", "unloaded", "failed"]
_Share = Annotated[float, Field(ge=0, le=1, description="Of the requests.", examples=[0.05])]


class VersionCard(Answer):
    """One version of a model."""

    version: str = Field(examples=["v2"])
    state: VersionState = Field(
        description="`unloaded`: loaded when a request asks for it. `failed`: `reason` says why it cannot be used."
    )
    reason: str | None
    sha256: str | None = Field(description="Of the file; `null` while it is not loaded, as all below.")
    classes: list[str] | None = Field(examples=[["cat", "dog"]])
    bytes: int | None = Field(description="Memory that it takes in all inference workers.", examples=[24_000_000])
    answers: int = Field(description="Pictures that this process has answered with it since it was loaded.")


class CanaryCard(Answer):
    """A version that answers a share of the requests."""

    version: str = Field(examples=["v3"])
    share: _Share


class ShadowCard(Answer):
    """A version that answers a share of the requests once more, for nobody but the metrics."""

    version: str = Field(examples=["v3"])
    share: _Share


class StoppedCard(Answer):
    """A canary that was stopped."""

    version: str = Field(examples=["v3"])
    reason: str = Field(description="A sentence for people.")
    at: AwareDatetime


class RepositoryModelCard(Answer):
    """A model and its versions, oldest first."""

    name: str = Field(examples=["cats-dogs"])
    default: bool = Field(description="Whether it answers requests that name no model.")
    serving: str | None = Field(description="The version that answers.", examples=["v2"])
    pinned: str | None = Field(description="The version that is to answer whatever comes; else it is the newest.")
    reason: str | None = Field(description="Why the folder cannot be followed, if so.")
    canary: CanaryCard | None
    shadow: ShadowCard | None
    stopped: list[StoppedCard]
    versions: list[VersionCard]


class ModelsAnswer(Answer):
    """All models, the default one first."""

    models: list[RepositoryModelCard]
    loaded_bytes: int = Field(description="Memory of all loaded versions in all inference workers.")
    max_loaded_bytes: int = Field(description="What that may be at most; the least recently used give way.")
