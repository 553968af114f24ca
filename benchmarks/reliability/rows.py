"""The rows of the scoreboard, and how one is run."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.process import RunningServer
from benchmarks.reliability.api import keep_to_the_description
from benchmarks.reliability.bodies import bound_bodies
from benchmarks.reliability.drain import lose_nothing_at_the_end
from benchmarks.reliability.faults import fail_inside
from benchmarks.reliability.hostile import answer_hostile_files, answer_odd_pictures
from benchmarks.reliability.leaks import tell_nothing
from benchmarks.reliability.malformed import survive_malformed_requests
from benchmarks.reliability.overload import keep_answering_under_overload
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding, Row
from benchmarks.reliability.sizes import answer_largest_pictures, refuse_bombs
from benchmarks.reliability.slow import close_slow_clients
from benchmarks.reliability.soak import stay_the_same
from benchmarks.reliability.vanishing import forget_vanished_clients


@dataclass(frozen=True, slots=True)
class Test:
    """What is done to a running server in one row."""

    name: str
    what: str
    run: Callable[[RunningServer, Trial], list[Finding]]


TESTS = (
    Test("R1", "hostile files, a good photo after every 50", answer_hostile_files),
    Test("R2", "odd but valid pictures", answer_odd_pictures),
    Test("R3", "bombs", refuse_bombs),
    Test("R4", "the largest legal pictures", answer_largest_pictures),
    Test("R5", "bodies without an end, in parts and in crumbs", bound_bodies),
    Test("R6", "malformed HTTP and forms", survive_malformed_requests),
    Test("R7", "slow clients", close_slow_clients),
    Test("R8", "overload", keep_answering_under_overload),
    Test("R9", "SIGTERM under load", lose_nothing_at_the_end),
    Test("R10", "clients that vanish", forget_vanished_clients),
    Test("R11", "soak", stay_the_same),
    Test("R12", "faults inside", fail_inside),
    Test("R13", "requests made from the API's description", keep_to_the_description),
    Test("R14", "leaks, other sites, offline docs", tell_nothing),
)


def run(test: Test, trial: Trial) -> Row:
    """Run one row with a server of its own, so that what one row leaves behind does not count for the next."""
    started = time.perf_counter()
    findings: list[Finding] = []
    failure = ""
    try:
        with trial.start() as server:
            findings = test.run(server, trial)
    except BenchmarkError as exc:
        failure = str(exc)
    return Row(test.name, test.what, findings, time.perf_counter() - started, failure)
