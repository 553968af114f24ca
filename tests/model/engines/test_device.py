import pytest

from whisker.model.engines.device import resolve_device
from whisker.model.errors import DeviceError


def test_auto_device_is_always_there() -> None:
    assert resolve_device("auto") in ("cpu", "cuda")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:99", ""])
def test_absent_or_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="device"):
        resolve_device(name)
