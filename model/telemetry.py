"""Telemetry of packages that Whisker uses: there is none, so that no request leaves the machine unasked."""

import sys


def forbid_telemetry() -> None:
    """Let `openvino_telemetry` count as not installed, so that OpenVINO reports to nobody and writes nothing to HOME.

    Importing OpenVINO otherwise sends a report to google-analytics.com. It has a stand-in for the package's absence.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what a failed import leaves
