"""The dashboard is what its script writes, and looks at the data that Prometheus collects."""

import json
from typing import Any

import yaml

from tests.deploy.prometheus import DEPLOY
from tests.test_pins import script

_BOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "whisker.json").read_text())


def test_file_is_what_the_script_writes() -> None:
    written = script("dashboard", DEPLOY / "grafana")
    assert written.FILE.read_text() == written.write(), "Run `python deploy/grafana/dashboard.py`."


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    cells = [
        (column, row)
        for place in (panel["gridPos"] for panel in _BOARD["panels"])
        for column in range(place["x"], place["x"] + place["w"])
        for row in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
    titles = [panel["title"] for panel in _BOARD["panels"]]
    assert len(titles) == len(set(titles))


def test_data_source_is_the_one_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"]
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    used = {target["datasource"]["uid"] for panel in _BOARD["panels"] for target in panel.get("targets", ())}
    assert used == {source["uid"]}
    assert source["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
