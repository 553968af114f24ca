"""A worker of a Ray cluster that photos which are pipes hold up."""

from typing import Any

from tests.app.batch.holding import hold
from whisker.app.batch.ray_cluster import RayWorker


class HoldingWorker(RayWorker):
    def __init__(self, *arguments: Any) -> None:
        hold()
        super().__init__(*arguments)
