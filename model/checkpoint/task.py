"""The part of a checkpoint's header that depends on its task: the task itself, its format version and its thresholds.

A single-label header is written exactly as before there were multi-label checkpoints. A multi-label header has a higher
format version: an older Whisker, which would answer with a softmax, refuses it. So has the header of an imported
classifier, whose ONNX graph it cannot run.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from whisker.model.answers.decision_rule import TASKS, Task
from whisker.model.checkpoint.contents import Checkpoint, Thresholds
from whisker.model.checkpoint.json_object import refuse, shown
from whisker.model.onnx.config import FAMILY

FORMAT_VERSIONS: Mapping[Task, int] = {"single-label": 1, "multi-label": 2}
IMPORTED_VERSION = 4  # single-label; 3 is that of a header in a tensor
LATEST_VERSION = 4


def task_header(checkpoint: Checkpoint) -> dict[str, Any]:
    """Give the header's fields."""
    thresholds = checkpoint.thresholds
    version = IMPORTED_VERSION if checkpoint.is_imported else FORMAT_VERSIONS[checkpoint.task]
    if checkpoint.task == "single-label":
        shown: dict[str, bool] = {} if thresholds.shown else {"shown": False}
        return {"format_version": version, "thresholds": {"unsure": thresholds.unsure, **shown}}
    return {
        "format_version": version,
        "task": checkpoint.task,
        "thresholds": {"labels": thresholds.labels, "guaranteed": thresholds.guaranteed},
    }


def read_task(header: Mapping[str, Any]) -> Task:
    """Read the task, "single-label" if there is none; refuse an unknown one, or one of another format version."""
    task = header.get("task", "single-label")
    if task not in TASKS:
        refuse(f"has the task {shown(task)}, which is none of {', '.join(TASKS)}: update Whisker")
    if is_imported(header):
        if (task, header["format_version"]) != ("single-label", IMPORTED_VERSION):
            refuse(f"holds an ONNX graph, but is {task} and has format version {header['format_version']}")
        return "single-label"
    if header["format_version"] != FORMAT_VERSIONS[cast("Task", task)]:
        refuse(f"is {task}, but has format version {header['format_version']}")
    return cast("Task", task)


def is_imported(header: Mapping[str, Any]) -> bool:
    """Tell whether a header is that of an ONNX graph."""
    network = header["network"]
    return isinstance(network, Mapping) and network.get("family") == FAMILY


def read_thresholds(thresholds: Mapping[str, Any], task: Task, classes: int) -> Thresholds:
    """Read the thresholds of `task`; refuse other numbers than 0 to 1, or another number of them than `classes`."""
    if task == "single-label":
        return Thresholds(unsure=_fraction(thresholds["unsure"]), shown=_flag(thresholds.get("shown", True)))
    labels = tuple(map(_fraction, _list(thresholds["labels"])))
    guaranteed = tuple(map(_flag, _list(thresholds["guaranteed"])))
    if not len(labels) == len(guaranteed) == classes:
        refuse(f"has {len(labels)} thresholds and {len(guaranteed)} guarantees for {classes} classes")
    return Thresholds(labels=labels, guaranteed=guaranteed)


def _fraction(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        refuse(f"has a threshold of {shown(value)}, where a number from 0 to 1 belongs")
    return float(value)  # type: ignore[arg-type]


def _list(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        refuse(f"has {shown(value)} as its thresholds, where a list belongs")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        refuse(f"has {shown(value)} as the guarantee of a threshold, where true or false belongs")
    return value
