"""Who swaps: puts a new version into the folder, waits until it is served, and deletes old ones."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from threading import Event

from benchmarks.errors import BenchmarkError
from benchmarks.swaps.variants import Jury, Variant

MODEL = "photos"
_KEPT = 3  # versions in the folder
_POLL_SECONDS = 0.05
_ANSWER_SECONDS = 10.0  # for an answer of GET /models
_SWAP_SECONDS = 120.0  # until a version is served; more is a failure


class Swapper:
    """Swap versions of one model in a folder of models; `seconds` has how long each took until it was served."""

    def __init__(self, root: Path, variants: Sequence[Variant], jury: Jury) -> None:
        self.seconds: list[float] = []
        self._folder = root / MODEL
        self._variants, self._jury = cycle(variants), jury
        self._versions: list[Path] = []
        self._folder.mkdir(parents=True, exist_ok=True)

    @property
    def count(self) -> int:
        """Count the swaps."""
        return len(self.seconds)

    def put(self) -> str:
        """Let the next variant appear as the newest version, by an atomic rename; give its name."""
        version, variant = f"v{len(self._versions) + 1}", next(self._variants)
        path = self._folder / f"{version}.safetensors"
        hidden = path.with_name(f".{path.name}")
        shutil.copyfile(variant.path, hidden)
        self._jury.introduce(version, variant)
        hidden.replace(path)
        self._versions.append(path)
        return version

    def swap(self, port: int) -> None:
        """Put a version, wait until it is served, and delete the oldest; raise `BenchmarkError` if it is not."""
        started = time.perf_counter()
        version = self.put()
        while (state := read_state(port, version)) != "serving":
            if state == "failed" or time.perf_counter() - started > _SWAP_SECONDS:
                raise BenchmarkError(f"Version {version} is not served after a swap: its state is {state}.")
            time.sleep(_POLL_SECONDS)
        self.seconds.append(time.perf_counter() - started)
        for path in self._versions[:-_KEPT]:
            path.unlink(missing_ok=True)

    @contextmanager
    def swapping(self, port: int) -> Iterator[None]:
        """Swap one version after the other while the block runs, and finish the last swap; raise what one raised."""
        done = Event()

        def work() -> None:
            while not done.is_set():
                self.swap(port)

        with ThreadPoolExecutor(1, thread_name_prefix="swapper") as pool:
            swaps = pool.submit(work)
            try:
                yield
            finally:
                done.set()
            swaps.result()


def read_state(port: int, version: str) -> str:
    """Ask the service for the state of a version; "unknown" if it does not list it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/models")
        models = json.loads(connection.getresponse().read())["models"]
        (versions,) = [model["versions"] for model in models if model["name"] == MODEL]
        states = {it["version"]: str(it["state"]) for it in versions}
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as exc:
        raise BenchmarkError(f"GET /models does not say which version is served: {exc!r}.") from exc
    finally:
        connection.close()
    return states.get(version, "unknown")
