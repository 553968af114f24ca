from collections.abc import Callable

import pytest

from benchmarks.scale.cores import Cores, Process


def ends(cores: Cores, work: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Run processes that each need so many seconds, by weight; return when they end."""
    found: dict[str, float] = {}

    def end_of(name: str) -> Callable[[], None]:
        return lambda: found.update({name: cores.now})

    for name, (seconds, weight) in work.items():
        cores.run(seconds, end_of(name), weight=weight)
    for _ in work:
        cores.end_next()
    return found


def test_one_core_is_shared_by_weight() -> None:
    found = ends(Cores(1), {"heavy": (3.0, 3.0), "light": (2.0, 1.0)})
    assert found == pytest.approx({"heavy": 4.0, "light": 5.0})


def test_no_process_takes_more_than_one_core_and_the_rest_is_shared() -> None:
    cores = Cores(2)
    found = ends(cores, {"heavy": (1.0, 100.0), "light": (1.0, 1.0), "other": (1.0, 1.0)})
    assert found == pytest.approx({"heavy": 1.0, "light": 1.5, "other": 1.5})
    assert cores.busy_seconds == pytest.approx(3.0)


def test_cores_are_slower_the_more_of_them_are_busy() -> None:
    assert ends(Cores(2, slowdown=1.5), {"alone": (1.0, 1.0)}) == pytest.approx({"alone": 1.0})
    assert ends(Cores(2, slowdown=1.5), {"a": (1.0, 1.0), "b": (1.0, 1.0)}) == pytest.approx({"a": 1.5, "b": 1.5})


def test_process_does_one_thing_after_the_other() -> None:
    cores, order = Cores(4), list[tuple[str, float]]()
    process = Process(cores)
    process.do(1.0, lambda: order.append(("first", cores.now)))
    process.start(lambda: (2.0 + cores.now, lambda: order.append(("second", cores.now))))
    while order[-1:] != [("second", 4.0)]:
        cores.end_next()
    assert order == [("first", 1.0), ("second", 4.0)]
    assert process.cpu_seconds == 4.0
