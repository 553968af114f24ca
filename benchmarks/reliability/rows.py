"""The rows of the scoreboard, and how one is run."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError
from benchmarks.process import RunningServer
from benchmarks.reliability.clients.api import keep_to_the_description
from benchmarks.reliability.clients.heads import bound_heads
from benchmarks.reliability.clients.identity import check_identity
from benchmarks.reliability.clients.leaks import tell_nothing
from benchmarks.reliability.clients.malformed import survive_malformed_requests
from benchmarks.reliability.clients.overload import keep_answering_under_overload
from benchmarks.reliability.clients.pipelining import bound_pipelines
from benchmarks.reliability.clients.slow import close_slow_clients
from benchmarks.reliability.clients.smuggling import read_bodies_as_bodies
from benchmarks.reliability.clients.unread import free_what_is_not_read
from benchmarks.reliability.clients.vanishing import forget_vanished_clients
from benchmarks.reliability.operation.confined import start_anywhere
from benchmarks.reliability.operation.drain import lose_nothing_at_the_end
from benchmarks.reliability.operation.faults import fail_inside
from benchmarks.reliability.operation.folders import survive_hostile_folders
from benchmarks.reliability.operation.forged import refuse_forged_checkpoints
from benchmarks.reliability.operation.hanging import pass_over_hanging_workers
from benchmarks.reliability.operation.signals import end_when_told
from benchmarks.reliability.operation.soak import stay_the_same
from benchmarks.reliability.operation.starving import replace_workers_at_any_cost
from benchmarks.reliability.operation.telemetry import call_nobody
from benchmarks.reliability.operation.unread_log import survive_an_unread_log
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding, Row
from benchmarks.reliability.uploads.bodies import bound_bodies
from benchmarks.reliability.uploads.costly import answer_beside_costly_pictures
from benchmarks.reliability.uploads.hostile import answer_hostile_files, answer_odd_pictures
from benchmarks.reliability.uploads.json_bodies import bound_json
from benchmarks.reliability.uploads.sizes import answer_largest_pictures, refuse_bombs
from benchmarks.reliability.uploads.unfinished import give_way_to_small_uploads


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
    Test("R15", "answers that nobody reads", free_what_is_not_read),
    Test("R16", "pipelines of tiny requests", bound_pipelines),
    Test("R17", "heads without an end", bound_heads),
    Test("R18", "pictures that cost more than they weigh", answer_beside_costly_pictures),
    Test("R19", "requests in bodies", read_bodies_as_bodies),
    Test("R20", "uploads without an end", give_way_to_small_uploads),
    Test("R21", "no descriptor left", replace_workers_at_any_cost),
    Test("R22", "an HTTP worker that hangs", pass_over_hanging_workers),
    Test("R23", "a log that nobody reads", survive_an_unread_log),
    Test("R24", "calls of other machines", call_nobody),
    Test("R25", "fewer rights", start_anywhere),
    Test("R26", "forged checkpoints", refuse_forged_checkpoints),
    Test("R27", "hostile folders", survive_hostile_folders),
    Test("R28", "JSON and forms that take long to read", bound_json),
    Test("R29", "keys, hosts, redirects", check_identity),
    Test("R30", "signals at any moment", end_when_told),
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
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other rows are not lost with this one
        failure = f"{type(exc).__name__}: {exc}"
    return Row(test.name, test.what, findings, time.perf_counter() - started, failure)
