"""A real Prometheus, with the configuration that is deployed, and the queries that are asked of it."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

_Found = TypeVar("_Found")

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yaml"
_LISTENING = re.compile(r'"Listening on" address=(\S+)')
_SELECTOR = re.compile(r"\b(?:(?:whisker|process)_\w+|up|ALERTS)\b(?:\{[^}]*\})?")


def alerts() -> dict[str, dict[str, Any]]:
    """List the alert rules by name."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def panel_queries() -> dict[str, str]:
    """List the queries of the dashboard by panel and legend."""
    board = json.loads((DEPLOY / "grafana" / "whisker.json").read_text())
    return {
        f"{panel['title']}: {target['legendFormat']}": target["expr"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    } | {entry["name"]: entry["expr"] for entry in board["annotations"]["list"]}


def selectors(expression: str) -> set[str]:
    """List what an expression selects from the database: names of metrics with their matchers."""
    return set(_SELECTOR.findall(expression))


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def values(self, expression: str) -> list[float]:
        """Evaluate an expression now; an error of it fails the test."""
        answer = self._client.get("query", params={"query": expression}).json()
        assert answer["status"] == "success", (expression, answer)
        return [float(sample["value"][1]) for sample in answer["data"]["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """List the alert rules with their state."""
        groups = self._client.get("rules").raise_for_status().json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def scraping(address: str, key: str, folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus as it is deployed, but for the service's address and the intervals."""
    folder.mkdir()
    (folder / "key").write_text(f"{key}\n")
    log = folder / "log"
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms", "scrape_timeout": "500ms"}
    config["rule_files"] = [str(RULES)]
    job = next(job for job in config["scrape_configs"] if job["job_name"] == "whisker")
    job["static_configs"] = [{"targets": [address.removeprefix("http://")]}]
    job["authorization"]["credentials_file"] = str(folder / "key")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (
        log.open("w") as stderr,
        subprocess.Popen([*command, "--web.listen-address=127.0.0.1:0"], stderr=stderr) as process,  # noqa: S603 - ours
    ):
        try:
            listening = until(lambda: _LISTENING.search(log.read_text()), seconds=60)
            assert listening, log.read_text()
            with httpx.Client(base_url=f"http://{listening[1]}/api/v1", trust_env=False, timeout=30) as client:
                yield Prometheus(client)
        finally:
            process.terminate()


def until(find: Callable[[], _Found], *, seconds: float) -> _Found:
    """Ask again and again until there is something, or for so long; return the last answer."""
    end = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < end:
        time.sleep(0.05)
    return found
