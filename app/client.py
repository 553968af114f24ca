"""A client for the service: `Client(url).predict(photo)`, and the same for asyncio.

    from whisker import Client

    with Client("http://localhost:8000") as client:
        print(client.predict("photo.jpg").label)

Uploads that an overloaded service refuses are sent again after the time it names (`Retry-After`). Uploads whose
connection was lost are sent again, too: predicting twice changes nothing on the server.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from io import BytesIO
from os import PathLike
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

import httpx
from pydantic import ValidationError

from whisker.app.errors import ServerError
from whisker.app.schemas import ModelCard, PredictionAnswer, Problem

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "str | Path | bytes | Image.Image"

_TYPE = {"Content-Type": "application/octet-stream"}
_MAX_WAIT_SECONDS = 60.0  # longest wait between two attempts, whatever the server asks for
_AT_ONCE = 8

T = TypeVar("T", PredictionAnswer, ModelCard)


class ProblemError(ServerError):
    """The service has refused a request, or could not answer it; `problem.code` is stable."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Client:
    """Call a service, from any number of threads. Close the client, or use it as a context manager.

    `timeout` is in seconds, for each of connecting, sending and receiving; `tries` counts the first one.
    """

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 30.0, tries: int = 5) -> None:
        self._http = httpx.Client(base_url=_base(url), headers=_headers(api_key), timeout=timeout)
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def predict(
        self,
        picture: Picture,
        *,
        top_k: int = 5,
        explain: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PredictionAnswer:
        """Classify a photo: a file's path, its bytes, or a Pillow image.

        `explain` is a class, or "" for the best one, and adds a heat map. `headers` are sent along: `traceparent`, say,
        or `X-Request-ID`.

        Raises `ProblemError` for what the service refuses, `ServerError` if it cannot be reached, and `OSError` for a
        file that cannot be read.
        """
        return self._send(_read(picture), _query(top_k, explain), time.sleep, headers)

    def _send(
        self,
        content: bytes,
        query: Mapping[str, str | int],
        pause: Callable[[float], object],
        headers: Mapping[str, str] | None = None,
    ) -> PredictionAnswer:
        given = {**(headers or {}), **_TYPE}
        for tried in range(1, self._tries + 1):
            try:
                response = self._http.post("predict", content=content, params=query, headers=given)
            except httpx.RequestError as exc:
                pause(_wait_after_loss(exc, tried, self._tries))
                continue
            wait = _wait_after(response, tried, self._tries)
            if wait is None:
                return _parse(response, PredictionAnswer)
            pause(wait)
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    def predict_many(
        self, pictures: Iterable[Picture], *, top_k: int = 5, at_once: int = _AT_ONCE
    ) -> Iterator[PredictionAnswer | ServerError | OSError]:
        """Classify photos, `at_once` at a time; yield the answer or the error for each, in order."""

        def ask(picture: Picture) -> PredictionAnswer | ServerError | OSError:
            try:
                return self._send(_read(picture), _query(top_k, None), pause)
            except (ServerError, OSError) as exc:
                return exc

        def pause(seconds: float) -> None:
            if stopped.wait(seconds):
                raise ServerError("The caller no longer waits for the answer.")

        stopped = Event()
        ahead = deque[Future[PredictionAnswer | ServerError | OSError]]()
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="client")
        try:
            for picture in pictures:
                if len(ahead) == 2 * at_once:
                    yield ahead.popleft().result()
                ahead.append(pool.submit(ask, picture))
            while ahead:
                yield ahead.popleft().result()
        finally:
            stopped.set()  # requests being sent may finish, but none is tried again
            pool.shutdown(wait=False, cancel_futures=True)

    def model(self) -> ModelCard:
        """Get the card of the checkpoint that is served; raise as `predict` does."""
        try:
            return _parse(self._http.get("model"), ModelCard)
        except httpx.RequestError as exc:
            raise _unreachable(exc) from exc


class AsyncClient:
    """`Client` for asyncio."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout: float = 30.0, tries: int = 5) -> None:
        self._http = httpx.AsyncClient(base_url=_base(url), headers=_headers(api_key), timeout=timeout)
        self._tries = tries

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def predict(
        self,
        picture: Picture,
        *,
        top_k: int = 5,
        explain: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PredictionAnswer:
        """Classify a photo as `Client.predict` does."""
        given = {**(headers or {}), **_TYPE}
        content, query = await asyncio.to_thread(_read, picture), _query(top_k, explain)
        for tried in range(1, self._tries + 1):
            try:
                response = await self._http.post("predict", content=content, params=query, headers=given)
            except httpx.RequestError as exc:
                await asyncio.sleep(_wait_after_loss(exc, tried, self._tries))
                continue
            wait = _wait_after(response, tried, self._tries)
            if wait is None:
                return _parse(response, PredictionAnswer)
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")  # pragma: no cover

    async def predict_many(
        self, pictures: Iterable[Picture], *, top_k: int = 5, at_once: int = _AT_ONCE
    ) -> AsyncIterator[PredictionAnswer | ServerError | OSError]:
        """Classify photos as `Client.predict_many` does."""

        async def ask(picture: Picture) -> PredictionAnswer | ServerError | OSError:
            async with free:
                try:
                    return await self.predict(picture, top_k=top_k)
                except (ServerError, OSError) as exc:
                    return exc

        free, ahead = asyncio.Semaphore(at_once), deque[asyncio.Task[PredictionAnswer | ServerError | OSError]]()
        try:
            for picture in pictures:
                if len(ahead) == 2 * at_once:
                    yield await ahead.popleft()
                ahead.append(asyncio.create_task(ask(picture)))
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()

    async def model(self) -> ModelCard:
        """Get the card of the checkpoint that is served; raise as `predict` does."""
        try:
            return _parse(await self._http.get("model"), ModelCard)
        except httpx.RequestError as exc:
            raise _unreachable(exc) from exc


def _read(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | PathLike):
        return Path(picture).read_bytes()
    with closing(BytesIO()) as buffer:
        picture.save(buffer, "PNG")  # lossless; a JPEG would be another picture
        return buffer.getvalue()


def _query(top_k: int, explain: str | None) -> dict[str, str | int]:
    return {"top_k": top_k} if explain is None else {"top_k": top_k, "explain": explain}


def _base(url: str) -> str:
    """Return an address that paths can be added to; raise `ServerError` if the address is not valid."""
    if not url.startswith(("http://", "https://")):
        raise ServerError(f"A server's address must begin with http:// or https://, unlike {url!r}.")
    try:
        httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise ServerError(f"{url!r} is not an address: {exc}.") from exc
    return url if url.endswith("/") else url + "/"


def _headers(api_key: str | None) -> dict[str, str]:
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ServerError("An API key must be ASCII without line breaks, since it is sent in a header.")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def _wait_after(response: httpx.Response, tried: int, tries: int) -> float | None:
    """Return how many seconds to wait before the next attempt; `None` if this answer is final."""
    if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE or tried == tries:
        return None
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 1.0, _MAX_WAIT_SECONDS)


def _wait_after_loss(exc: httpx.RequestError, tried: int, tries: int) -> float:
    """Return how many seconds to wait after a lost connection; raise `ServerError` after the last attempt."""
    if tried == tries:
        raise _unreachable(exc) from exc
    return 0.1 * 2.0**tried


def _unreachable(exc: httpx.RequestError) -> ServerError:
    return ServerError(f"The server cannot be reached: {str(exc) or type(exc).__name__}.")


def _parse(response: httpx.Response, kind: type[T]) -> T:
    try:
        if response.is_success:
            return kind.model_validate_json(response.content)
        raise ProblemError(Problem.model_validate_json(response.content))
    except ValidationError as exc:
        raise ServerError(
            f"The answer, with status {response.status_code}, does not come from a Whisker service."
        ) from exc
