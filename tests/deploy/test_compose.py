"""The compose file: valid, locked down, and in agreement with what it mounts."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.prometheus import DEPLOY

_COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_KEY = "/run/secrets/whisker_api_key"


@pytest.mark.skipif(importlib.util.find_spec("check_jsonschema") is None, reason="needs check-jsonschema")
def test_file_is_valid_by_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ended = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", _SERVICES)
def test_container_is_locked_down_bounded_and_watched(name: str) -> None:
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["healthcheck"]
    assert [re.sub(r"\$\{\w+:-(.+?)\}", r"\1", port).split(":")[0] for port in service["ports"]] == ["127.0.0.1"]
    assert "build" in service or re.fullmatch(r"\w+/\w+:v?\d+\.\d+\.\d+", service["image"])


def test_everything_that_is_mounted_exists_and_is_read_only() -> None:
    mounts = [re.sub(r"\$\{\w+:-(.+?)\}", r"\1", it).split(":") for one in _SERVICES.values() for it in one["volumes"]]
    paths = [mount for mount in mounts if mount[0].startswith(".")]
    assert len(paths) == 6
    for source, _, mode in paths:
        assert (DEPLOY / source).exists(), source
        assert mode == "ro"
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(_COMPOSE["volumes"])
    assert {secret for one in _SERVICES.values() for secret in one["secrets"]} == set(_COMPOSE["secrets"])


def test_services_find_each_other_and_their_secrets() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    whisker = next(job for job in prometheus["scrape_configs"] if job["job_name"] == "whisker")
    assert whisker["static_configs"] == [{"targets": ["whisker:8000"]}]
    assert whisker["authorization"] == {"credentials_file": _KEY}
    assert "whisker_api_key" in _SERVICES["prometheus"]["secrets"]
    (alerting,) = prometheus["alerting"]["alertmanagers"]
    assert alerting["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    (source,) = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize(
    ("content", "said"),
    [("secret\n", "secret serve --port 9"), ("", "whisker_api_key is empty"), (None, "No such file")],
)
def test_service_starts_with_a_key_or_not_at_all(tmp_path: Path, content: str | None, said: str) -> None:
    """Without one, it would serve everybody."""
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    program = tmp_path / "whisker"
    program.write_text('#!/bin/sh\necho "$WHISKER_API_KEY" "$@"\n')
    program.chmod(0o755)
    *shell, script, zero = _SERVICES["whisker"]["entrypoint"]
    assert _KEY in script
    script = script.replace("$$", "$").replace(_KEY, str(file))
    words = [*shell, script, zero, *_SERVICES["whisker"]["command"], "--port", "9"]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LC_ALL": "C"}
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert said in ended.stdout + ended.stderr
    assert (ended.returncode == 0) == (content == "secret\n")


def test_grafana_shows_nothing_to_strangers_and_asks_nothing_of_other_hosts() -> None:
    given = _SERVICES["grafana"]["environment"]
    off = {name for name, value in given.items() if value == "false"}
    assert {"GF_AUTH_ANONYMOUS_ENABLED", "GF_ANALYTICS_REPORTING_ENABLED", "GF_ANALYTICS_CHECK_FOR_UPDATES"} <= off
    assert {"GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "GF_NEWS_NEWS_FEED_ENABLED"} <= off
    assert given["GF_PLUGINS_PREINSTALL_DISABLED"] == "true"
    assert given["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"  # noqa: S105 - a path
