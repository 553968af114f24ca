"""`whisker predict --server`: photos classified by a service, with the same results as here."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from app.client import Client, ProblemError
from app.errors import ServerError
from app.photos import Photo
from app.results import Failure, Result
from app.schemas import PredictionAnswer
from app.settings import Settings
from model.answers import ClassScore, Prediction

_OF_THE_PICTURE = {413, 415, 422, 500}  # statuses that say something of one picture; others end the run


def connect(server: str, settings: Settings) -> Client:
    """Make a client for a service, with the API key of the settings; raises as `Client`."""
    key = settings.api_key
    return Client(server, api_key=None if key is None else key.get_secret_value())


def classify_on_server(client: Client, photos: Iterable[Photo], *, top_k: int) -> Iterator[Result]:
    """Yield the results for `photos`, in their order; a few are under way at once.

    Raises `ServerError` if the server cannot be reached, has no room for long, or wants a key.
    """
    asked = deque[Photo]()

    def paths() -> Iterator[Path]:
        for photo in photos:
            asked.append(photo)
            yield Path(photo.path)

    for outcome in client.predict_many(paths(), top_k=top_k):
        yield Result(asked.popleft(), _outcome(outcome))


def _outcome(outcome: PredictionAnswer | ServerError | OSError) -> Prediction | Failure:
    match outcome:
        case PredictionAnswer():
            scores = tuple(ClassScore(entry.label, entry.score) for entry in outcome.predictions)
            return Prediction(scores, outcome.verdict, outcome.unknown_score)
        case ProblemError() if outcome.problem.status in _OF_THE_PICTURE:
            return Failure(outcome.problem.code, str(outcome))
        case OSError():
            return Failure("unreadable_file", f"The file cannot be read: {outcome.strerror}.")
        case _:
            raise outcome
