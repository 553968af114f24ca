"""Settings: what is read, what wins, and the sentences about what cannot work."""

import json
import os
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from whisker.app.setting_warnings import name_warnings
from whisker.app.settings import (
    Engine,
    Settings,
    chosen_hosts,
    chosen_origins,
    environment_for_children,
    forget_secrets,
    load_settings,
)
from whisker.model import BUNDLED_CHECKPOINT, MAX_PIXELS
from whisker.model.engines.choice import AUTO, ENGINES
from whisker.model.errors import ConfigError


def test_defaults_serve_the_bundled_checkpoint() -> None:
    settings = load_settings()
    assert settings.checkpoint == BUNDLED_CHECKPOINT
    assert (settings.host, settings.port, settings.device) == ("0.0.0.0", 8000, "auto")
    assert settings.max_pixels == MAX_PIXELS


def test_environment_is_read_and_an_override_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_PORT", "9000")
    monkeypatch.setenv("WHISKER_CHECKPOINT", "some.safetensors")
    monkeypatch.setenv("WHISKER_HOST", "")  # set to nothing is not set
    settings = load_settings(port="9001", device=None)
    assert (settings.port, settings.checkpoint, settings.host) == (9001, Path("some.safetensors"), "0.0.0.0")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "abc", "WHISKER_PORT (or --port) is 'abc', but must be a whole number from 0 to 65535."),
        ("PORT", "65536", "WHISKER_PORT (or --port) is '65536', but must be a whole number from 0 to 65535."),
        ("DEVICE", "tpu", "WHISKER_DEVICE (or --device) is 'tpu', but must be auto, cpu, cuda or cuda:N."),
        (
            "CACHE",
            "none",
            (
                "WHISKER_CACHE (or --cache) is 'none', but must be auto, off, "
                "or a folder with a slash in it, such as ./cache."
            ),
        ),
        ("LOG_FORMAT", "xml", "WHISKER_LOG_FORMAT (or --log-format) is 'xml', but must be auto, json or text."),
        (
            "CHECKPOINT_SHA256",
            "abc",
            (
                "WHISKER_CHECKPOINT_SHA256 (or --checkpoint-sha256) is 'abc', "
                "but must be the 64 hexadecimal digits of a SHA-256."
            ),
        ),
        *(
            (
                "ALLOWED_HOSTS",
                value,
                (
                    f"WHISKER_ALLOWED_HOSTS (or --allowed-hosts) is {value!r}, but must be names separated by commas, "
                    "each with a port or *. before it where wanted: *.example.org:8443."
                ),
            )
            for value in ("*", "a,,b", "http://a", "a b", "a:b", "user@a", "a.*.b")
        ),
        ("WORKERS", "0", "WHISKER_WORKERS (or --workers) is '0', but must be auto, or a whole number from 1 to 99."),
        (
            "DEADLINE_SECONDS",
            "0",
            "WHISKER_DEADLINE_SECONDS (or --deadline-seconds) is '0', but must be a number from 0.001 to 600.",
        ),
    ],
)
def test_wrong_value_is_one_sentence(name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"WHISKER_{name}", value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == sentence


def test_empty_host_is_one_sentence() -> None:
    with pytest.raises(
        ConfigError, match=r"WHISKER_HOST \(or --host\) is '', but must be a string that is not empty\."
    ):
        load_settings(host="")


def test_workers_are_a_number_or_auto() -> None:
    assert [load_settings(workers=value).workers for value in (None, "2", "auto")] == [1, 2, "auto"]


def test_cache_is_a_folder_or_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    given = {"AUTO": "auto", "Off": "off", "~/kept": "/home/somebody/kept", "./kept": "./kept"}
    assert {value: load_settings(cache=value).cache for value in given} == given


def test_checkpoint_sha256_is_compared_in_lower_case() -> None:
    assert load_settings(checkpoint_sha256="AB" * 32).checkpoint_sha256 == "ab" * 32


def test_every_number_says_its_range() -> None:
    for name, field in Settings.model_fields.items():
        if field.annotation in (int, float):
            with pytest.raises(ConfigError, match=r"number from [\d.]+ to [\d.]+\.$"):
                load_settings(listens=True, **{name: "-1"})


def test_misspelt_variable_is_complained_of() -> None:
    names = ["WHISKER_PORT", "WHISKER_TORCH_INDEX", "PATH", "WHISKER_PROT", "WHISKER_X"]
    assert name_warnings(dict.fromkeys(names, "1")) == [
        "WHISKER_PROT is not a setting and has no effect; is it WHISKER_PORT?",
        "WHISKER_X is not a setting and has no effect.",
    ]


def test_old_names_work_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_LANES", "3")
    assert load_settings().inference_workers == 3
    assert load_settings(lanes="5").inference_workers == 5
    assert load_settings(inference_workers="6", lanes="5").inference_workers == 6
    monkeypatch.setenv("WHISKER_INFERENCE_WORKERS", "4")
    assert load_settings().inference_workers == 4
    assert name_warnings({"WHISKER_LANES": "3"}, ["lanes", "port"]) == [
        "--lanes is now --inference-workers; the old name works until the next release.",
        "WHISKER_LANES is now WHISKER_INFERENCE_WORKERS; the old name works until the next release.",
    ]


# Kubernetes tells every pod so of a Service named whisker, and of one named whisker-web.
_SERVICES = {
    f"{name}_{rest}": value
    for name in ("WHISKER", "WHISKER_WEB")
    for rest, value in {
        "PORT": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP_ADDR": "10.0.0.1",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
    }.items()
}


def test_variables_of_a_kubernetes_service_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _SERVICES.items():
        monkeypatch.setenv(name, value)
    assert load_settings().port == load_settings(listens=False).port == 8000
    assert load_settings(port="9000").port == 9000
    (said,) = name_warnings(_SERVICES)
    assert said.startswith("WHISKER_PORT is tcp://10.0.0.1:8000, which Kubernetes sets for a Service of this name")
    assert said.endswith("and counts as not set: see docs/how-to/kubernetes.md.")


@pytest.mark.parametrize("address", ["tcp://[fd00::1]:8000", "udp://10.0.0.1:53", "sctp://10.0.0.1:7"])
def test_address_of_any_service_is_no_port(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_PORT", address)
    monkeypatch.setenv("PORT", "8080")
    assert load_settings().port == 8080


@pytest.mark.parametrize("name", ["PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT"])
def test_port_of_a_platform_is_followed_and_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "8080")
    assert load_settings().port == 8080
    said = f"The port is 8080, as {name} says; WHISKER_PORT and --port win over it."
    assert name_warnings({name: "8080"}) == name_warnings({name: "8080", "WHISKER_HOST": "::"}) == [said]
    assert name_warnings({name: "8080"}, ["port"]) == name_warnings({name: "8080", "WHISKER_PORT": "1"}) == []
    assert load_settings(port="9000").port == 9000
    monkeypatch.setenv("WHISKER_PORT", "9001")
    assert load_settings().port == 9001


def test_port_of_a_platform_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "http")
    sentence = "PORT (over which WHISKER_PORT and --port win) is 'http', but must be a whole number from 0 to 65535."
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert str(caught.value) == sentence
    assert load_settings(listens=False).port == 8000  # `whisker predict` needs none
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8000


def test_empty_variable_is_told() -> None:
    assert name_warnings({"WHISKER_API_KEY": "", "WHISKER_KEY": "", "PORT": "", "WHISKER_HOST": "::"}) == [
        "WHISKER_API_KEY is empty, which counts as not set.",
        "WHISKER_KEY is not a setting and has no effect; is it WHISKER_API_KEY?",
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PORT": "8080"},
        {"PORT": "8080", "WHISKER_PORT": "9000"},
        {"PORT": "", "AIP_HTTP_PORT": "7080", "WHISKER_PORT": ""},
        {"PORT": " 8080 ", "WHISKER_PORT": "tcp://10.0.0.1:8000"},
        {"WHISKER_PORT": "tcp://10.0.0.1:80"},
    ],
    ids=str,
)
def test_health_check_of_the_image_asks_where_the_service_listens(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked: list[str] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda url, **_: asked.append(url))
    dockerfile = (Path(__file__).parents[2] / "Dockerfile").read_text()
    (command,) = re.findall(r"^    CMD (\[.+\])$", dockerfile, re.MULTILINE)
    exec(json.loads(command)[-1], {})  # noqa: S102 - ours
    assert asked == [f"http://127.0.0.1:{load_settings().port}/readyz"]


def test_engines_are_those_there_are() -> None:
    assert get_args(Engine) == (AUTO, *ENGINES)


def test_hosts_are_names_ports_and_subdomains() -> None:
    given = "photos.example.org,*.Example.net:8443,10.0.0.7,[fd00::7]:80"
    assert chosen_hosts(load_settings(allowed_hosts=given)) == frozenset(given.lower().split(","))
    assert chosen_hosts(load_settings()) is None


def test_origins_are_as_browsers_send_them() -> None:
    given = "https://Shop.example/, http://localhost:3000,https://a.example:443,http://[::1]:80"
    known = {"https://shop.example", "http://localhost:3000", "https://a.example", "http://[::1]"}
    assert chosen_origins(load_settings(cors_origins=given)) == known
    assert chosen_origins(load_settings(cors_origins=" * ")) == {"*"}
    assert chosen_origins(load_settings()) == frozenset()
    for wrong in ("shop.example", "https://shop.example/page", "*.example", "null", "https://a,*", "ftp://a", ","):
        with pytest.raises(ConfigError, match="origins separated by commas"):
            load_settings(cors_origins=wrong)


def test_no_other_process_gets_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_API_KEY", "correct-horse")
    monkeypatch.setenv("WHISKER_PORT", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic Y29ycmVjdA")
    assert not {"WHISKER_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS"} & {*environment_for_children()}
    assert environment_for_children()["WHISKER_PORT"] == "1"
    forget_secrets()
    assert "WHISKER_API_KEY" not in os.environ
    monkeypatch.setenv("WHISKER_API_KEY", "")
    forget_secrets()
    assert os.environ["WHISKER_API_KEY"] == ""  # nothing to forget, and something to tell


def test_key_that_is_refused_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISKER_API_KEY", "wrong h\N{LATIN SMALL LETTER O WITH DIAERESIS}rse")
    with pytest.raises(ConfigError, match=r"^WHISKER_API_KEY \(or --api-key\) is a secret, but") as refused:
        load_settings()
    assert "rse" not in str(refused.value)
