"""The alert rules: each has been seen to fire, and to keep quiet, and leads to a runbook."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.prometheus import ROOT, RULES, alerts, panel_queries, selectors
from whisker.app.metrics import Metrics
from whisker.app.web.problem_kinds import HTTP_KINDS, KINDS

_FOLDER = RULES.parent
_OTHERS = {"ALERTS", "up", "process_resident_memory_bytes", "process_start_time_seconds"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: apt install prometheus)")
@pytest.mark.parametrize(
    "words",
    ["check config --syntax-only prometheus.yaml", "check rules --lint-fatal rules.yaml", "test rules rules.test.yaml"],
)
def test_promtool_accepts(words: str) -> None:
    ended = subprocess.run(  # noqa: S603 - the command is ours
        ["promtool", *words.split()],  # noqa: S607 - wherever it is installed
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_is_tested_both_ways() -> None:
    quiet, *firing = yaml.safe_load((_FOLDER / "rules.test.yaml").read_text())["tests"]
    assert {alert for test in firing for alert in fired(test)} == set(alerts())
    assert fired(quiet) == []
    assert all("exp_samples" not in test["promql_expr_test"][0] for test in firing)  # first of all, it is not yet time
    known = {series["series"].partition("{")[0] for series in quiet["input_series"]}
    assert {name(part) for rule in alerts().values() for part in selectors(rule["expr"])} == known


def test_every_alert_has_a_runbook() -> None:
    page = (ROOT / "docs" / "how-to" / "monitor.md").read_text()
    headings = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert headings == list(alerts())
    for alert, rule in alerts().items():
        assert rule["annotations"]["runbook"] == f"docs/how-to/monitor.md#{alert.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_queries_name_metrics_and_codes_that_exist() -> None:
    counted = set(re.findall(r"^# TYPE (whisker_\w+)", Metrics().render().decode(), re.MULTILINE))
    counted |= {"whisker_worker_restarts_total"}  # the supervisor's own
    codes = {kind.code for kind in (*KINDS.values(), *HTTP_KINDS.values())}
    expressions = [*panel_queries().values(), *(rule["expr"] for rule in alerts().values())]
    for part in {part for expression in expressions for part in selectors(expression)}:
        assert re.sub("_(bucket|sum|count)$", "", name(part)) in counted | _OTHERS
        assert {code for given in re.findall(r'\bcode=~?"(.+?)"', part) for code in given.split("|")} <= codes


def fired(test: dict[str, Any]) -> list[str]:
    samples = [sample for query in test["promql_expr_test"] for sample in query.get("exp_samples", ())]
    return [alert for sample in samples for alert in re.findall(r'alertname="(\w+)"', sample["labels"])]


def name(selector: str) -> str:
    return selector.partition("{")[0]
