"""The application that `deploy/ray/whisker.yaml` names: `build`, called with its `args`."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from ray import serve

from whisker.app.ray_serve.replica import Replica
from whisker.app.setting_values import checked_sha256

NAME = "whisker"  # of the deployment, to which the configuration file refers
_STARTS = 3  # of a replica in vain, before Ray gives a version up: a checkpoint does not get better by waiting


class Arguments(BaseModel):
    """What makes a version: other arguments replace the replicas. All other settings are environment variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    checkpoint: str | None = None  # a path that is the same for all nodes
    checkpoint_sha256: Annotated[str, AfterValidator(checked_sha256)] | None = None


def build(arguments: Arguments) -> Any:
    """Make Ray Serve's application, whose replicas have the options of its configuration file."""
    return deployment().bind(**arguments.model_dump(exclude_none=True))


def deployment(**options: Any) -> Any:
    """Make the deployment, with Ray's `options`; bind it to the settings that its replicas are given."""
    return serve.deployment(name=NAME, max_constructor_retry_count=_STARTS, **options)(serve.ingress()(Replica))
