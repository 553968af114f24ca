"""Write the Grafana dashboard, `whisker.json` beside this file: `python deploy/grafana/dashboard.py`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Literal

FILE = Path(__file__).with_name("whisker.json")
_COLUMNS = 24  # of Grafana's grid
_SOURCE = {"type": "prometheus", "uid": "prometheus"}  # as in datasource.yaml
_SIZES = {"stat": (4, 4), "timeseries": (8, 8)}  # columns and rows of the grid
_UPLOADS = 'method="POST"'
_LINES = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_REQUESTS = "whisker_request_duration_seconds"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its queries by their legend, in which `{{label}}` stands for a label's value."""

    title: str
    unit: str
    queries: Mapping[str, str]
    description: str = ""
    kind: Literal["timeseries", "stat"] = "timeseries"
    names: bool = False  # show the legend beside the value
    stacked: bool = False


def _quantiles(metric: str, *, labels: str = "") -> dict[str, str]:
    rates = f"sum by (le) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return {f"p{share * 100:g}": f"histogram_quantile({share}, {rates})" for share in (0.5, 0.95, 0.99)}


ROWS: dict[str, tuple[Panel, ...]] = {
    "At a glance": (
        Panel("Alerts firing", "short", {"alerts": 'count(ALERTS{alertstate="firing"}) or vector(0)'}, kind="stat"),
        Panel("Instances that answer", "short", {"up": 'sum(up{job="whisker"})'}, kind="stat"),
        Panel(
            "Inference workers ready",
            "percentunit",
            {"ready": "sum(whisker_inference_workers) / sum(whisker_inference_workers_wanted)"},
            kind="stat",
        ),
        Panel(
            "Server errors",
            "percentunit",
            {
                "errors": f'sum(rate({_REQUESTS}_count{{{_UPLOADS}, status=~"5..", status!="503"}}[$__rate_interval]))'
                f" / sum(rate({_REQUESTS}_count{{{_UPLOADS}}}[$__rate_interval]))"
            },
            "Share of the uploads. 503 is counted as overload.",
            kind="stat",
        ),
        Panel(
            "Refused by overload",
            "percentunit",
            {
                "refused": 'sum(rate(whisker_problems_total{code="overloaded"}[$__rate_interval]))'
                ' / (sum(rate(whisker_problems_total{code="overloaded"}[$__rate_interval]))'
                " + sum(rate(whisker_score_count[$__rate_interval])))"
            },
            "Share of the pictures.",
            kind="stat",
        ),
        Panel("99th percentile of uploads", "s", {"p99": _quantiles(_REQUESTS, labels=_UPLOADS)["p99"]}, kind="stat"),
    ),
    "Requests": (
        Panel(
            "Traffic",
            "reqps",
            {"{{route}} {{status}}": f"sum by (route, status) (rate({_REQUESTS}_count[$__rate_interval]))"},
            stacked=True,
        ),
        Panel(
            "Problems by code",
            "reqps",
            {"{{code}}": "sum by (code) (rate(whisker_problems_total[$__rate_interval]))"},
            "Requests and pictures that were not answered.",
            stacked=True,
        ),
        Panel("Time of uploads", "s", _quantiles(_REQUESTS, labels=_UPLOADS)),
    ),
    "Work": (
        Panel(
            "Mean time in each stage",
            "s",
            {
                "{{stage}}": "sum by (stage) (rate(whisker_stage_duration_seconds_sum[$__rate_interval]))"
                " / sum by (stage) (rate(whisker_stage_duration_seconds_count[$__rate_interval]))"
            },
            stacked=True,
        ),
        Panel(
            "Uploads in the service",
            "short",
            {
                "waiting for a worker": "sum(whisker_queue_depth)",
                "being answered": "sum(whisker_in_flight)",
                "being received": "sum(whisker_receiving)",
            },
        ),
        Panel(
            "Pictures a batch",
            "short",
            {
                "mean": "sum(rate(whisker_batch_size_sum[$__rate_interval]))"
                " / sum(rate(whisker_batch_size_count[$__rate_interval]))"
            },
        ),
        Panel(
            "Inference workers",
            "short",
            {"ready": "sum(whisker_inference_workers)", "wanted": "sum(whisker_inference_workers_wanted)"},
        ),
        Panel(
            "Workers that were replaced",
            "short",
            {
                "inference workers": "sum(increase(whisker_inference_workers_ended_total[$__rate_interval]))",
                "HTTP workers": "sum(increase(whisker_worker_restarts_total[$__rate_interval]))",
            },
        ),
        Panel(
            "Memory of the HTTP worker",
            "bytes",
            {"{{instance}}": 'process_resident_memory_bytes{job="whisker"}'},
            "Without the inference workers. Not known with several HTTP workers.",
        ),
    ),
    "Answers": (
        Panel(
            "Verdicts",
            "percentunit",
            {
                "{{model}} {{verdict}}": "sum by (model, verdict) (rate(whisker_verdicts_total[$__rate_interval]))"
                " / on (model) group_left sum by (model) (rate(whisker_verdicts_total[$__rate_interval]))"
            },
            stacked=True,
        ),
        Panel(
            "Ten most frequent labels",
            "reqps",
            {
                "{{model}} {{label}}": "topk(10, sum by (model, label) "
                "(rate(whisker_predictions_total[$__rate_interval])))"
            },
        ),
        Panel("Scores of the best class", "percentunit", _quantiles("whisker_score")),
        Panel(
            "Drift",
            "short",
            {"{{model}} {{of}}": "max by (model, of) (whisker_drift)"},
            "Population stability index: 0.1 is noteworthy, 0.25 is much.",
        ),
        Panel(
            "Photos for review",
            "reqps",
            {
                "kept": "sum(rate(whisker_review_kept_total[$__rate_interval]))",
                "skipped: {{reason}}": "sum by (reason) (rate(whisker_review_skipped_total[$__rate_interval]))",
            },
        ),
        Panel(
            "Log lines dropped",
            "short",
            {"{{instance}}": "sum by (instance) (increase(whisker_log_lines_dropped_total[$__rate_interval]))"},
        ),
    ),
    "Versions": (
        Panel(
            "Instances by version of Whisker",
            "short",
            {"{{version}}": "count by (version) (whisker_build_info)"},
            kind="stat",
            names=True,
        ),
        Panel(
            "Instances by model",
            "short",
            {"{{name}} {{version}} on {{device}}": "count by (name, version, device) (whisker_model_info)"},
            kind="stat",
            names=True,
        ),
    ),
}


def write() -> str:
    """Give the dashboard as Grafana reads it."""
    return json.dumps(_dashboard(), indent=1) + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "uid": "whisker",
        "title": "Whisker",
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,  # one crosshair in all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {
            "list": [
                {
                    "name": "Alerts",
                    "datasource": _SOURCE,
                    "enable": True,
                    "iconColor": "red",
                    "expr": 'ALERTS{alertstate="firing", alertname=~"Whisker.+"}',
                    "titleFormat": "{{alertname}}",
                }
            ]
        },
        # Filters by any label, such as the instance, which Grafana adds to every query.
        "templating": {"list": [{"name": "filters", "type": "adhoc", "datasource": _SOURCE}]},
        "panels": list(_placed()),
    }


def _placed() -> Iterator[dict[str, Any]]:
    top, number = 0, 0
    for title, panels in ROWS.items():
        number += 1
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        top, left, height = top + 1, 0, 0
        for panel in panels:
            width, height = _SIZES[panel.kind]
            if left + width > _COLUMNS:
                top, left = top + height, 0
            number += 1
            yield {"id": number, "gridPos": {"x": left, "y": top, "w": width, "h": height}, **_drawn(panel)}
            left += width
        top += height


def _drawn(panel: Panel) -> dict[str, Any]:
    is_stat = panel.kind == "stat"
    defaults = {"unit": panel.unit, "min": 0, "noValue": "none"}
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "targets": [
            # A figure is that of now; a range would go on to show the version that was replaced an hour ago.
            {"refId": letter, "datasource": _SOURCE, "expr": query, "legendFormat": legend, "instant": is_stat}
            for letter, (legend, query) in zip(ascii_uppercase, panel.queries.items(), strict=False)
        ],
        "options": _figure(names=panel.names) if is_stat else _LINES,
        "fieldConfig": {
            "defaults": defaults if is_stat else defaults | {"custom": _curves(stacked=panel.stacked)},
            "overrides": [],
        },
    }


def _figure(*, names: bool) -> dict[str, Any]:
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"reduceOptions": reduced, "textMode": "value_and_name" if names else "value", "graphMode": "none"}


def _curves(*, stacked: bool) -> dict[str, Any]:
    stacking = {"stacking": {"mode": "normal", "group": "A"}} if stacked else {}
    return {"fillOpacity": 40 if stacked else 10, "showPoints": "auto", "spanNulls": 120_000, **stacking}


if __name__ == "__main__":
    FILE.write_text(write())
