"""Surroundings with fewer rights than usual: no HOME, no folder to write to, a user that no file knows."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator

from benchmarks.process import RunningServer
from benchmarks.reliability.plan import Trial
from benchmarks.reliability.scoreboard import Finding
from benchmarks.reliability.surroundings import ROOT, Surroundings, plain_variables, serve_once

_NOBODY = 12_345  # of no file
_NOWHERE = {"HOME": "/proc", "TMPDIR": "/proc/none"}  # there is no writing there, even for root
# A file system on which nothing can be written, as in a container with a read-only root and no volume.
_READ_ONLY = (
    "for folder in /tmp /var/tmp /dev/shm; do [ ! -d $folder ] || mount -t tmpfs -o ro,size=4k none $folder; done; "
    'mount -o remount,ro,bind / && exec "$@"'
)


def start_anywhere(server: RunningServer, trial: Trial) -> list[Finding]:
    """Start servers with ever fewer rights, and send each a photo."""
    del server  # it has all rights
    findings = []
    for surroundings in confinements():
        outcome = serve_once(surroundings, trial.checkpoint, trial.requests[0])
        findings += [
            Finding(f"{surroundings.name}: status", outcome.reply.status, "", 200, "same", outcome.reply.failure),
            Finding(f"{surroundings.name}: tracebacks", outcome.log.count("Traceback"), target=0),
            Finding(f"{surroundings.name}: exit code", outcome.exit_code, target=0, better="same"),
        ]
    return findings


def confinements() -> Iterator[Surroundings]:
    """List the surroundings that this user may set up on this machine."""
    yield Surroundings("no HOME", plain_variables())
    yield Surroundings("HOME and TMPDIR nowhere", plain_variables(**_NOWHERE))
    yield Surroundings("no file can be written", plain_variables(**_NOWHERE), prepare=_forbid_files)
    yield Surroundings("one worker, one thread", plain_variables(), options=("--inference-workers=1", "--threads=1"))
    if os.geteuid() == 0:
        yield Surroundings("a user of no file", plain_variables(**_NOWHERE), user=_NOBODY, prepare=_forbid_files)
    prefix = _read_only_prefix()
    if prefix:
        yield Surroundings("read-only root, no temporary folder", plain_variables(), prefix=prefix)


def _forbid_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _read_only_prefix() -> list[str]:
    """Find a command that runs another one in a read-only file system; empty if there is none for this user."""
    unshare, setpriv = shutil.which("unshare"), shutil.which("setpriv")
    if unshare is None or setpriv is None:
        return []
    namespace = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--map-root-user", "--mount"]
    drop = [setpriv, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
    user = [f"--reuid={_NOBODY}", "--regid=0", "--clear-groups"] if os.geteuid() == 0 else []
    prefix = [*namespace, "sh", "-c", _READ_ONLY, "sh", *drop, *user]
    tried = subprocess.run([*prefix, "test", "-r", str(ROOT / "pyproject.toml")], capture_output=True, check=False)  # noqa: S603
    return prefix if tried.returncode == 0 else []
