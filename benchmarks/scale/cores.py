"""Cores that processes share, as a scheduler of fair shares does: in proportion to weights, at most one core each.

Nothing is stepped through: all running processes of one weight progress alike, so each weight has a clock of the CPU
seconds that such a process has got, and what ends next is the first of a heap. An event costs O(log n).
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

Done = Callable[[], None]
Start = Callable[[], tuple[float, Done]]  # gives the CPU seconds that something takes, and what to call then
_Ending = tuple[float, int, Done]  # by the weight's clock; the number keeps equal ones in order


@dataclass(slots=True)
class _Weight:
    """The running processes of one weight; `rate` is the share of a core that each of them has now."""

    value: float
    clock: float = 0.0
    rate: float = 1.0
    endings: list[_Ending] = field(default_factory=list)

    @property
    def seconds_left(self) -> float:
        """Give the seconds until the first of them is done, at the rate of now."""
        return (self.endings[0][0] - self.clock) / self.rate if self.endings else math.inf


class Cores:
    """A machine: `now` is its time in seconds, and `busy_seconds` are the core seconds that were in use.

    With all cores busy, each is `slowdown` times as slow as one that is busy alone: they share caches and more.
    """

    def __init__(self, cores: int, *, slowdown: float = 1.0) -> None:
        self.now = 0.0
        self.busy_seconds = 0.0
        self._cores, self._slowdown = cores, slowdown
        self._weights: dict[float, _Weight] = {}
        self._running = 0
        self._numbers = count()

    def run(self, seconds: float, done: Done, *, weight: float) -> None:
        """Run a process that needs so many seconds of a core to itself, and call `done` when it has had them."""
        group = self._weights.setdefault(weight, _Weight(weight))
        heapq.heappush(group.endings, (group.clock + seconds, next(self._numbers), done))
        self._running += 1
        self._share()

    @property
    def next_end(self) -> float:
        """Give the time at which the first process will be done as things are; infinity if none runs."""
        return self.now + min((group.seconds_left for group in self._weights.values()), default=math.inf)

    def wait_until(self, moment: float) -> None:
        """Let time pass until `moment`, which is no later than `next_end`."""
        passed = moment - self.now
        self.now = moment
        self.busy_seconds += passed * min(self._running, self._cores)
        for group in self._weights.values():
            group.clock += passed * group.rate

    def end_next(self) -> None:
        """Let time pass until the first process is done, and call what it has to call."""
        group = min(self._weights.values(), key=lambda group: group.seconds_left)
        self.wait_until(self.now + group.seconds_left)
        _, _, done = heapq.heappop(group.endings)
        self._running -= 1
        self._share()
        done()

    def _share(self) -> None:
        """Give each process its share by weight; what one leaves, since it can use one core only, is for the rest."""
        busy = min(self._running, self._cores)
        speed = 1 / (1 + (self._slowdown - 1) * max(0, busy - 1) / max(1, self._cores - 1))
        if self._running <= self._cores:
            for group in self._weights.values():
                group.rate = speed
            return
        left = float(self._cores)
        groups = [group for group in self._weights.values() if group.endings]
        weight = sum(len(group.endings) * group.value for group in groups)
        for group in sorted(groups, key=lambda group: -group.value):
            share = min(1.0, left * group.value / weight)
            group.rate = share * speed
            left -= share * len(group.endings)
            weight -= group.value * len(group.endings)


class Process:
    """A process that does one thing after the other, in the order in which they were asked for."""

    def __init__(self, cores: Cores, *, weight: float = 1.0) -> None:
        self._cores, self._weight = cores, weight
        self._queue: deque[Start] = deque()
        self._is_busy = False
        self.cpu_seconds = 0.0

    def do(self, seconds: float, done: Done) -> None:
        """Do something that takes so many CPU seconds as soon as all before it is done, then call `done`."""
        self.start(lambda: (seconds, done))

    def start(self, start: Start) -> None:
        """Call `start` as soon as all before it is done, and do what it says."""
        self._queue.append(start)
        self._go_on()

    def _go_on(self) -> None:
        while self._queue and not self._is_busy:
            seconds, done = self._queue.popleft()()
            if seconds <= 0:  # needs no event
                done()
                continue
            self._is_busy = True
            self.cpu_seconds += seconds
            self._cores.run(seconds, partial(self._end, done), weight=self._weight)

    def _end(self, done: Done) -> None:
        self._is_busy = False
        self._go_on()
        done()
