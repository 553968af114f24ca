"""Every time limit of the service, in the order in which a request meets them. All are in seconds.

Six are settings, since operators tune them: `start_seconds` (longest time for loading a checkpoint),
`keep_alive_seconds` (for the next request on an idle connection), `receive_seconds` (longest time for a body),
`deadline_seconds` (from a complete upload to its answer), `stall_seconds` (longest time for a batch in an inference
worker) and `drain_seconds` (from SIGTERM until no connection is accepted). The rest is here. Pauses between attempts,
polls and log lines are not limits: each stands in the module that makes it.
"""

# A connection (app/server/connection.py)
HEAD_SECONDS = 10.0  # for the head of a request, and for the rest of a body that is discarded
TAKE_SECONDS = 10.0  # for a client to take an answer, or 16 kB a second of it
STOPPING_TAKE_SECONDS = 2.0  # the same, once no connection is accepted any more
FAREWELL_SECONDS = 2.0  # for a client to see why its request was refused, before the connection is closed

# An upload (app/uploads/body_limits.py)
BODY_GRACE_SECONDS = 10.0  # for any body, however short
BODY_MIN_RATE = 16_000  # bytes a second that a body must reach after that: a phone's upload on a bad day

# A large JSON body (app/protocols/reading_process.py)
READING_SECONDS = 5.0  # in the process that reads it; the worst of 20 MB takes half a second of a core of its own

# An answer (app/uploads/deadline.py)
UNWATCHED_SECONDS = 0.02  # before the service looks whether the client has left: most answers are faster

# An inference worker (app/inference)
REPLACEMENT_SECONDS = 20.0  # for the start of a worker in place of another, or ten times what the first ones took
STEADY_SECONDS = 10.0  # that a worker lasts if it has not started in vain; an answer shows it, too
KILLED_SECONDS = 5.0  # for the end of a process that was killed, unless the system keeps it
STALL_CHECKS = 10  # checks for a stalled worker within `stall_seconds`
RETRY_SECONDS, MAX_RETRY_SECONDS = 0.5, 5.0  # between attempts to start a worker: doubled each time, up to the second
MISSING_SECONDS = 10.0  # without a worker that ended, and could not be started again, before /livez fails
CLOSE_SECONDS = 5.0  # for workers to finish their batches when the service stops

# The service as a whole (app/server)
PASSED_OVER_SECONDS = 0.5  # without a heartbeat, before other HTTP workers take the connections that are its turn
HUNG_SECONDS = 10.0  # without a heartbeat, before an HTTP worker is killed and replaced
HUNG_STOPPING_SECONDS = 2.0  # the same while the service stops
UNREADY_SECONDS = 1.0  # for the end of an HTTP worker that was told to stop while it was starting
DEAD_SECONDS = 30.0  # without any inference worker, after /livez fails, before the process ends
GRACEFUL_SECONDS = 20  # for in-flight requests, once no connection is accepted
KILL_SECONDS = GRACEFUL_SECONDS + 3  # for a worker's end; Kubernetes kills after 30, and draining comes before this


def body_seconds(received: int, max_seconds: float) -> float:
    """Give the time by which the next part of a body must be there, after `received` bytes of it."""
    return min(max_seconds, BODY_GRACE_SECONDS + received / BODY_MIN_RATE)


REVIEW_PAUSE_SECONDS = 30.0  # without keeping uploads for review, once that has failed
