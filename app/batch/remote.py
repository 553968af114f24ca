"""`whisker predict --server`: photos classified by a service, with the same results as locally."""

from collections import deque
from collections.abc import Iterable, Iterator

from pydantic import SecretStr

from whisker.app.batch.photos import Photo
from whisker.app.batch.results import Failure, Result
from whisker.app.client import Client, ProblemError
from whisker.app.errors import ServerError
from whisker.app.schemas import PredictionAnswer, ScoredLabel
from whisker.model.answers.decision_rule import ClassScore, Prediction
from whisker.model.errors import PictureError
from whisker.model.photo_files import read_photo

_OF_THE_PICTURE = {413, 415, 422, 500}  # statuses about one picture; others end the run


def connect(server: str, api_key: SecretStr | None) -> Client:
    """Make a client for a service; raise as `Client` does."""
    return Client(server, api_key=None if api_key is None else api_key.get_secret_value())


def classify_on_server(
    client: Client, photos: Iterable[Photo], *, top_k: int, version: str | None = None
) -> Iterator[Result]:
    """Yield the results for `photos`, in order; a few are in flight at once.

    Raises `ServerError` if the server cannot be reached, has no room for long, wants a key, or answers with another
    checkpoint than that of `version`.
    """
    asked = deque[tuple[Photo, Failure | None]]()

    def contents() -> Iterator[bytes]:
        for photo in photos:
            try:
                content = read_photo(photo.path)  # only the first bytes of a video among them
            except (OSError, PictureError) as exc:
                asked.append((photo, Failure.of(exc)))
            else:
                asked.append((photo, None))
                yield content

    for outcome in client.predict_many(contents(), top_k=top_k):
        yield from _unsent(asked)
        yield Result(asked.popleft()[0], _outcome(outcome, version))
    yield from _unsent(asked)


def _unsent(asked: deque[tuple[Photo, Failure | None]]) -> Iterator[Result]:
    """Yield the photos at the head of the queue that could not be sent."""
    while asked and (failure := asked[0][1]) is not None:
        yield Result(asked.popleft()[0], failure)


def _outcome(outcome: PredictionAnswer | ServerError | OSError, version: str | None) -> Prediction | Failure:
    match outcome:
        case PredictionAnswer():
            if version not in (None, outcome.model.version):
                raise ServerError(
                    f"The server answers with version {outcome.model.version} of its checkpoint, no longer with "
                    f"{version}: start again with --overwrite."
                )
            labels = None if outcome.labels is None else _scores(outcome.labels)
            return Prediction(
                _scores(outcome.predictions),
                outcome.verdict,
                outcome.unknown_score,
                labels=labels,
                reason=outcome.reason or "",
            )
        case ProblemError() if outcome.problem.status in _OF_THE_PICTURE:
            return Failure(outcome.problem.code, str(outcome))
        case _:
            raise outcome


def _scores(entries: Iterable[ScoredLabel]) -> tuple[ClassScore, ...]:
    return tuple(ClassScore(entry.label, entry.score) for entry in entries)
