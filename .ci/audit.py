"""Compare pinned versions with the known vulnerabilities: one that is found fails, a service out of reach does not.

Arguments are passed on to pip-audit.
"""

import json
import subprocess
import sys
from typing import Any

SECONDS = 90.0
OPTIONS = ("--no-deps", "--disable-pip", "--timeout=5", "--progress-spinner=off", "--format=json")


def main() -> None:
    """Print what was found in a line each; exit with 1 if that is a vulnerability."""
    try:
        audit = subprocess.run(  # noqa: S603 - the arguments are the Makefile's
            [sys.executable, "-m", "pip_audit", *OPTIONS, *sys.argv[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        sys.exit(_skipped(f"no answer in {SECONDS:.0f} seconds"))
    try:
        dependencies: list[dict[str, Any]] = json.loads(audit.stdout)["dependencies"]
    except ValueError:  # it ended before it had a report
        sys.exit(_skipped((audit.stderr.strip().splitlines() or ["no report"])[-1]))
    sys.exit(_report(dependencies))


def _report(dependencies: list[dict[str, Any]]) -> int:
    unknown = [dependency["name"] for dependency in dependencies if "skip_reason" in dependency]
    if len(unknown) == len(dependencies):
        return _skipped("it knows none of the packages")
    found = [
        f"{dependency['name']} {dependency['version']}: {one['id']}, fixed in: {', '.join(one['fix_versions'])}"
        for dependency in dependencies
        for one in dependency.get("vulns", ())
    ]
    print(*found, f"Pins audited: {len(dependencies) - len(unknown)}; known vulnerabilities: {len(found)}.", sep="\n")
    if unknown:
        print("Not audited, as the service does not know them:", ", ".join(unknown))
    return 1 if found else 0


def _skipped(why: str) -> int:
    print(f"The pins were not audited: the vulnerability service cannot be used ({why}).")
    return 0


if __name__ == "__main__":
    main()
