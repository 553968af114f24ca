"""Whether a client takes the answers that it is sent."""

from whisker.app.time_limits import BODY_MIN_RATE


class Outflow:
    """Watch the bytes that wait for a client: it must take them all, or enough of them, in some seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._most = 0  # bytes that have waited since then

    def note_progress(self) -> None:
        """Know that the client has taken most of what waited."""
        self._since = None

    def is_stuck(self, unsent: int, now: float, seconds: float) -> bool:
        """Tell whether too little was taken in so many seconds; `unsent` are the bytes that wait at `now`."""
        if not unsent:
            self._since = None
            return False
        if self._since is None:
            self._since, self._most = now, unsent
        self._most = max(self._most, unsent)
        if now - self._since < seconds:
            return False
        is_stuck = self._most - unsent < BODY_MIN_RATE * seconds
        self._since, self._most = now, unsent
        return is_stuck
