"""TorchServe: a worker a core, batches of 8 that gather for 5 ms. `python -m benchmarks.peers.torchserve_server PORT`.

It wants a model archive and a file of properties: both are made in the current folder.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from whisker.model.cores import available_cores

_NAME = "classifier"


def main(port: int) -> None:
    """Write the archive and the properties, then become TorchServe."""
    scripts = Path(sys.executable).parent
    handler = Path(__file__).with_name("torchserve_handler.py")
    archive = [str(scripts / "torch-model-archiver"), "--model-name", _NAME, "--version", "1.0", "--force"]
    subprocess.run([*archive, "--handler", str(handler), "--export-path", "."], check=True)  # noqa: S603
    Path("config.properties").write_text(_properties(port))
    options = ["--start", "--foreground", "--ncs", "--model-store", ".", "--ts-config", "config.properties"]
    os.execv(scripts / "torchserve", ["torchserve", *options])  # noqa: S606 - no shell is wanted


def _properties(port: int) -> str:
    workers = available_cores()
    settings = {
        "marName": f"{_NAME}.mar",
        "minWorkers": workers,
        "maxWorkers": workers,
        "batchSize": 8,
        "maxBatchDelay": 5,
        "responseTimeout": 60,
    }
    return "\n".join(
        (
            f"inference_address=http://127.0.0.1:{port}",
            f"management_address=http://127.0.0.1:{port + 1}",
            f"metrics_address=http://127.0.0.1:{port + 2}",
            "disable_token_authorization=true",
            "max_request_size=20000000",
            f"load_models={_NAME}.mar",
            f"models={json.dumps({_NAME: {'1.0': settings}})}",
            "",
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
