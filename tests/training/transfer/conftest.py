import pytest

from tests.training.transfer.small import lite_network
from whisker.model.networks.base import Network


@pytest.fixture
def network() -> Network:
    """Build EfficientNet-Lite0 with its ImageNet weights, for two classes."""
    return lite_network()
