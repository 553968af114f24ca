"""A first run of a graph in a process of its own: OpenVINO may crash on a damaged file, and must not take us with it.

`python -m whisker.training.importing.trial CONFIG` reads a graph from stdin. It ends with 0, with `_REFUSED`
and the end of a sentence on stdout, or however OpenVINO ends it.
"""

import json
import subprocess
import sys
from typing import NoReturn, get_args

import numpy as np

from whisker.model.errors import CheckpointError
from whisker.model.onnx.config import GraphConfig, Output

_REFUSED = 3
_MAX_SECONDS = 600


def try_graph(graph: bytes, config: GraphConfig) -> None:
    """Run a graph once, and take it apart; raise `CheckpointError`, with the end of a sentence, if that fails."""
    command = [sys.executable, "-m", "whisker.training.importing.trial", json.dumps(config.to_json())]
    try:
        done = subprocess.run(  # noqa: S603 - this module
            command, input=graph, capture_output=True, timeout=_MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise CheckpointError(f"takes more than {_MAX_SECONDS} seconds for one picture") from exc
    except OSError as exc:
        raise CheckpointError(f"cannot be tried in a process of its own: {exc.strerror}") from exc
    if done.returncode == _REFUSED:
        raise CheckpointError(done.stdout.decode(errors="replace"))
    if done.returncode != 0:
        raise CheckpointError(f"is damaged, or made to harm: OpenVINO ended with {done.returncode} when it ran it")


def _main() -> None:
    from whisker.training.importing.graph import OnnxGraph  # noqa: PLC0415 - needs OpenVINO

    config = GraphConfig.from_json(json.loads(sys.argv[1]))
    picture = np.zeros((config.size, config.size, 3), np.uint8)
    try:
        graph = OnnxGraph(sys.stdin.buffer.read(), config)
        classes = graph.outputs([picture]).shape[1]
        for output in get_args(Output):
            list(graph.endings(output, classes))
    except CheckpointError as exc:
        _refuse(str(exc))
    except Exception:  # noqa: BLE001 - on hostile bytes OpenVINO's Python side can raise anything at all
        _refuse("is damaged, or not of a kind that OpenVINO, which runs it, can run")


def _refuse(problem: str) -> NoReturn:
    sys.stdout.write(problem)
    sys.exit(_REFUSED)


if __name__ == "__main__":
    _main()
