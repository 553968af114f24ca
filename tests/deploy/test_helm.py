"""The Helm chart, rendered by Helm's own library and held to what Kubernetes, the service and its page promise."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart import CHART, EXAMPLES, ROOT, Release, render
from whisker import __version__
from whisker.app.main import create_app
from whisker.app.metrics import Metrics
from whisker.app.settings import Settings, variable

_EVERYTHING = {
    "replicas": 1,
    "user": None,
    "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
    "apiKey": {"secret": "whisker"},
    "models": {"claim": "models", "path": "shop"},
    "corrections": {"claim": "corrections"},
    "resources": {"limits": {"cpu": None, "memory": "2Gi"}},
    "settings": {"drain_seconds": 40.5, "start_seconds": 600, "max_held_bytes": 1_000_000_000, "engine": "torch"},
    "env": [{"name": "TZ", "value": "UTC"}],
    "service": {"type": "LoadBalancer", "annotations": {"example.org/pool": "a"}},
    "ingress": {"enabled": True, "host": "photos.example.org", "annotations": {"example.org/size": "50m"}},
    "networkPolicy": {"ownNamespace": False, "cidrs": ["10.0.0.0/8"]},
    "monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "nodeSelector": {"disk": "ssd"},
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "podAnnotations": {"example.org/owner": "photos"},
    "podLabels": {"team": "photos", "app.kubernetes.io/name": "stolen"},
}
_CASES: dict[str, dict[str, Any]] = {"defaults": {}, "everything": _EVERYTHING}
# Values that are refused, and what the message says.
_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"image": {"repository": ""}}, "Set image.repository"),
    ({"image": {"repository": "registry.example.org/whisker:1"}}, "/image/repository"),
    ({"replica": 3}, "additional properties 'replica' not allowed"),
    ({"settings": {"max_batches": 8}}, "max_batches"),
    ({"settings": {"api_key": "secret"}}, "api_key"),
    ({"settings": {"drain_seconds": 601}}, "/settings/drain_seconds"),
    ({"models": {"path": "cats.safetensors"}}, "models.path is a path in a volume"),
    ({"models": {"claim": "a", "path": "../secrets"}}, "/models/path"),
    ({"settings": {"log_requests": True}}, "/settings/log_requests"),
    ({"models": {"claim": "a"}, "settings": {"checkpoint_sha256": "0" * 64}}, "names a folder of models"),
    ({"models": {"claim": "a", "imageVolume": "b"}}, "models come from one volume"),
    ({"replicas": 1, "review": {"claim": "a"}}, "set apiKey.secret"),
    ({"review": {"claim": "a"}, "apiKey": {"secret": "b"}}, "set replicas to 1"),
    ({"replicas": 1, "review": {"claim": "a"}, "corrections": {"claim": "a"}, "apiKey": {"secret": "b"}}, "differ"),
    ({"autoscaling": {"enabled": True, "queueDepth": None, "cpuPercent": None}}, "Autoscaling needs a metric"),
    ({"autoscaling": {"enabled": True, "minReplicas": 11}}, "more than autoscaling.maxReplicas"),
    ({"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}}, "set that, too"),
    ({"ingress": {"enabled": True}}, "Set ingress.host"),
    ({"autoscaling": {"queueDepth": 0}}, "/autoscaling/queueDepth"),
    ({"settings": None}, "missing property 'settings'"),
    ({"service": {"port": None}}, "missing property 'port'"),
    ({"user": 0}, "/user"),
]
_ADAPTER = ROOT / "deploy" / "helm" / "prometheus-adapter.yaml"
_OPERATOR = "cloudcoil.models.prometheus_operator.v1"
_ALL = sorted([*_CASES, *EXAMPLES])
_OLDEST = "1.27"
_SINCE = {"checkpoint-from-image": "1.33"}  # image volumes
_INSIDE = 23  # seconds after the drain until the supervisor kills what is left: docs/explanation/processes.md


@pytest.fixture(scope="module")
def releases() -> dict[str, Release]:
    refused = {str(number): values for number, (values, _) in enumerate(_REFUSED)}
    return render(_CASES | refused, EXAMPLES)


@pytest.fixture(scope="module")
def routes() -> set[str]:
    return set(create_app(Settings()).openapi()["paths"])


@pytest.fixture(params=_ALL)
def release(releases: dict[str, Release], request: pytest.FixtureRequest) -> Release:
    rendered = releases[request.param]
    assert not rendered.error
    return rendered


def test_helm_finds_nothing_to_complain_of(release: Release) -> None:
    assert release.lint == ()
    assert "rollout status deployment/whisker" in release.notes


@pytest.mark.parametrize("version", [_OLDEST, "1.37"])
def test_objects_are_valid_and_have_no_unknown_fields(releases: dict[str, Release], version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    objects = {
        (max(version, _SINCE.get(name, _OLDEST)), json.dumps(it, sort_keys=True))
        for name in _ALL
        for it in releases[name].objects
        if not it["apiVersion"].startswith("monitoring.coreos.com")
    }
    assert len(objects) > len(_ALL)
    for wanted, text in objects:
        assert validate(json.loads(text), wanted, strict=True) == wanted


def test_monitoring_objects_are_those_of_the_operator(releases: dict[str, Release]) -> None:
    v1 = pytest.importorskip(_OPERATOR, reason="cloudcoil.models.prometheus-operator is not installed")
    for it in (
        releases["everything"].find("ServiceMonitor"),
        *map(releases["autoscaled"].find, ("ServiceMonitor", "PrometheusRule")),
    ):
        read = getattr(v1, it["kind"]).model_validate(it)
        assert read.model_dump(mode="json", by_alias=True, exclude_unset=True) == it  # unknown fields would be lost


def test_pods_are_locked_down(release: Release) -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    for pod in release.pods:
        security = pod["securityContext"]
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        assert (security["runAsNonRoot"], security["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
        ids = {str(security[it]) for it in ("runAsUser", "runAsGroup", "fsGroup") if it in security}
        assert ids in ({user[1], user[2]}, set())
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]
    assert release.find("ServiceAccount")["automountServiceAccountToken"] is False
    assert {it["name"] for it in release.container["volumeMounts"]} == {it["name"] for it in release.pod["volumes"]}
    assert release.find("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_user_may_be_left_to_the_cluster(releases: dict[str, Release]) -> None:
    assert "runAsUser" in releases["defaults"].pod["securityContext"]
    assert "runAsUser" not in releases["everything"].pod["securityContext"]


def test_nothing_is_reached_by_default(releases: dict[str, Release]) -> None:
    default, everything = (releases[it].find("NetworkPolicy")["spec"] for it in ("defaults", "everything"))
    assert (default["egress"], default["ingress"][0]["from"]) == ([], [{"podSelector": {}}])
    assert everything["ingress"][0]["from"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert releases["checkpoint-from-download"].find("NetworkPolicy")["spec"]["egress"]


def test_probes_and_ports_are_those_of_the_service(release: Release, routes: set[str]) -> None:
    probes = [release.container[it]["httpGet"] for it in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert [it["path"] for it in probes] == ["/readyz", "/readyz", "/livez"]
    assert {it["path"] for it in probes} <= routes
    (port,) = release.container["ports"]
    assert port == {"name": "http", "containerPort": int(release.variables["WHISKER_PORT"])}
    (served,) = release.find("Service")["spec"]["ports"]
    (policy,) = release.find("NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert {served["targetPort"], policy["port"], *(it["port"] for it in probes)} == {"http"}


def test_probe_waits_and_grace_lasts_as_long_as_the_service_takes(release: Release) -> None:
    given = Settings.model_validate(_plain(release))
    probe = release.container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > given.start_seconds
    assert release.pod["terminationGracePeriodSeconds"] > given.drain_seconds + _INSIDE


def test_variables_are_settings_with_allowed_values(release: Release) -> None:
    known = {variable(name) for name in Settings.model_fields}
    assert {name for name in release.variables if name.startswith("WHISKER_")} <= known
    Settings.model_validate(_plain(release))


def test_values_reach_the_pods(releases: dict[str, Release]) -> None:
    everything = releases["everything"]
    assert everything.variables == {
        "WHISKER_PORT": "8000",
        "WHISKER_CHECKPOINT": "",
        "WHISKER_MODELS": "/models/shop",
        "WHISKER_API_KEY": {"secretKeyRef": {"name": "whisker", "key": "api-key"}},
        "WHISKER_CORRECTIONS": "/corrections",
        "WHISKER_INFERENCE_WORKERS": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1"}},
        "WHISKER_DRAIN_SECONDS": "40.5",
        "WHISKER_START_SECONDS": "600",
        "WHISKER_MAX_HELD_BYTES": "1000000000",
        "WHISKER_ENGINE": "torch",
        "TZ": "UTC",
    }
    assert everything.container["image"] == "registry.example.org/whisker@sha256:" + "0" * 64
    assert everything.find("Deployment")["spec"]["strategy"] == {"type": "Recreate"}  # one writer for the claim
    gpu = releases["gpu"]
    assert gpu.container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert gpu.variables["WHISKER_DEVICE"] == "cuda"
    assert releases["models-from-claim"].variables["WHISKER_MODELS"] == "/models"
    assert releases["checkpoint-from-image"].variables["WHISKER_CHECKPOINT"] == "/models/cats.safetensors"
    assert [it for name, it in releases.items() if it.objects and "WHISKER_DEVICE" in it.variables] == [gpu]


def test_selectors_find_the_services_pods_and_no_others(release: Release) -> None:
    labels = release.find("Deployment")["spec"]["template"]["metadata"]["labels"]
    others = release.find("Pod")["metadata"]["labels"]
    selectors = [
        release.find("Deployment")["spec"]["selector"]["matchLabels"],
        release.find("Service")["spec"]["selector"],
        release.find("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        release.find("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(it["labelSelector"]["matchLabels"] for it in release.pod["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert not any(selector.items() <= others.items() for selector in selectors)
    if "ServiceMonitor" in release.kinds:
        monitored = release.find("ServiceMonitor")["spec"]["selector"]["matchLabels"]
        assert monitored.items() <= release.find("Service")["metadata"]["labels"].items()


def test_autoscaler_and_alerts_ask_for_metrics_that_exist(releases: dict[str, Release]) -> None:
    autoscaled = releases["autoscaled"]
    scaler = autoscaled.find("HorizontalPodAutoscaler")["spec"]
    (queue, cpu) = scaler["metrics"]
    known = set(re.findall(r"^# TYPE (\w+)", Metrics().render().decode(), re.MULTILINE))
    known.add("whisker_worker_restarts_total")  # the supervisor's
    adapter = _ADAPTER.read_text()
    assert queue["pods"]["metric"]["name"] in known
    assert f"name: {{as: {queue['pods']['metric']['name']}}}" in adapter
    assert cpu["resource"]["name"] == "cpu"
    assert scaler["scaleTargetRef"]["name"] == autoscaled.find("Deployment")["metadata"]["name"]
    assert "replicas" not in autoscaled.find("Deployment")["spec"]
    rules = autoscaled.find("PrometheusRule")["spec"]["groups"][0]["rules"]
    named = re.findall(r"\bwhisker_\w+", " ".join(rule["expr"] for rule in rules) + adapter)
    assert {re.sub(r"_(bucket|count|sum)$", "", it) for it in named} <= known


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_prometheus_reads_alerts_and_query_of_the_adapter(tmp_path: Path) -> None:
    query = re.search(r"^ *metricsQuery: (.+)$", _ADAPTER.read_text(), re.MULTILINE)
    assert query is not None
    filled = {"<<.Series>>": "whisker_queue_depth", "<<.LabelMatchers>>": 'pod=~"a|b"', "<<.GroupBy>>": "pod"}
    expression = re.sub(r"<<[.\w]+>>", lambda part: filled[part[0]], query[1])
    rule = {"groups": [{"name": "adapter", "rules": [{"record": "asked", "expr": expression}]}]}
    (tmp_path / "adapter.yaml").write_text(json.dumps(rule))
    for file in (tmp_path / "adapter.yaml", CHART / "files" / "alerts.yaml"):
        subprocess.run(["promtool", "check", "rules", file], check=True, capture_output=True)  # noqa: S603, S607


@pytest.mark.parametrize("number", range(len(_REFUSED)), ids=[words for _, words in _REFUSED])
def test_wrong_values_are_refused_in_words(releases: dict[str, Release], number: int) -> None:
    assert _REFUSED[number][1] in releases[str(number)].error


def test_page_has_the_rule_of_the_adapter_and_names_every_example() -> None:
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    assert _ADAPTER.read_text().partition("rules:")[2] in page
    assert set(re.findall(r"^\| `([\w-]+)\.yaml` \|", page, re.MULTILINE)) == set(EXAMPLES)


def test_chart_names_this_version_and_every_setting() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    schema = json.loads((CHART / "values.schema.json").read_text())
    own = {"api_key", "checkpoint", "corrections", "host", "models", "port", "review"}
    assert f'appVersion: "{__version__}"' in chart
    assert f'kubeVersion: ">={_OLDEST}.0-0"' in chart
    listed = set(schema["properties"]["settings"]["propertyNames"]["enum"])
    assert listed ^ (set(Settings.model_fields) - own) == set()  # names to add to the schema, or to take out


def _plain(release: Release) -> dict[str, str]:
    """Return settings whose values are in the manifest, but for folders, which only the pods have."""
    folders = {"review", "corrections", "models"}
    named = {name.removeprefix("WHISKER_").lower(): value for name, value in release.variables.items()}
    return {
        name: value
        for name, value in named.items()
        if name in Settings.model_fields and name not in folders and isinstance(value, str) and value
    }
