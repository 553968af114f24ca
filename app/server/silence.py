"""How long a worker has given no sign of life."""

import math
import time

from whisker.app.server.balance import ConnectionBalance
from whisker.app.time_limits import KILL_SECONDS

CHECK_SECONDS = 0.25


class Silence:
    """Watch one worker's heartbeat, for the supervisor.

    What counts are the supervisor's own checks, not the clock: when the machine, the container or the supervisor has
    been paused, every beat is old, and yet nobody hangs.
    """

    def __init__(self, balance: ConnectionBalance, *, start_seconds: float) -> None:
        self._balance = balance
        self._start_seconds = start_seconds
        self._last_beat = balance.last_beat
        self._checked_at = time.monotonic()
        self._checks = 0  # since the last beat

    def check(self) -> None:
        """Look for a beat; to be called at least every `CHECK_SECONDS`."""
        now = time.monotonic()
        if self._last_beat != self._balance.last_beat:
            self._last_beat, self._checked_at, self._checks = self._balance.last_beat, now, 0
        elif now - self._checked_at >= CHECK_SECONDS:
            self._checked_at = now
            self._checks += 1

    def is_longer_than(self, seconds: float) -> bool:
        """Tell whether the silence is longer than this; before the first beat and after the last, it may be."""
        allowed = {0.0: self._start_seconds, math.inf: KILL_SECONDS}.get(self._last_beat, seconds)
        return self._checks * CHECK_SECONDS > allowed
