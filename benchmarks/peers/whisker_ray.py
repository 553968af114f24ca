"""Whisker itself on Ray Serve: one replica with all cores, so that what differs is what lies before it.

`python -m benchmarks.peers.whisker_ray PORT`
"""

import os
import sys
import tempfile

import ray
from ray import serve

from benchmarks.peers.answering import CHECKPOINT
from whisker.app.ray_serve import front
from whisker.app.ray_serve.application import deployment
from whisker.model.cores import available_cores

if __name__ == "__main__":
    os.environ |= {front.VARIABLE: front.PATH, "WHISKER_DEVICE": "cpu"}
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        ray.init(address="local", include_dashboard=False, _temp_dir=folder)
        serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
        replica = deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": available_cores()})
        application = replica.bind(checkpoint=os.environ[CHECKPOINT])
        serve.run(application, blocking=True, logging_config={"enable_access_log": False})
