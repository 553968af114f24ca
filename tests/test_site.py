"""The check of the built documentation: what it asks of other hosts, and which of its own files are missing."""

import subprocess
import sys
from pathlib import Path

import pytest

_CHECK = Path(__file__).parents[1] / ".ci" / "third_parties.py"
_GOOD = """<link rel="stylesheet" href="own.css"><style>a { src: url(data:font/woff2;base64,AA) }</style>
<script src="own.js"></script><a href="https://example.org/">there</a><a href="folder/#part">here</a><a href="#top">"""


@pytest.mark.parametrize(
    ("tag", "fault"),
    [
        ("", None),
        ('<script src="https://example.org/a.js"></script>', "page.html asks another host: https://example.org/a.js"),
        ('<link href="//example.org/a.css" rel="stylesheet">', "page.html asks another host: //example.org/a.css"),
        ('<link rel="preconnect" href="https://example.org">', "page.html asks another host: https://example.org"),
        ("<style>@import 'https://example.org/a.css'</style>", "page.html asks another host: https://example.org/a"),
        (
            '<p style="background: url(https://example.org/a.png)">',
            "page.html asks another host: https://example.org/a",
        ),
        ('<pre class="mermaid">graph</pre>', "page.html asks another host: https://unpkg.com/mermaid"),
        ('<img src="gone.png">', "page.html leads to nothing: gone.png"),
        ('<a href="../LICENSE">', "page.html leads to nothing: ../LICENSE"),
    ],
)
def test_requests_of_other_hosts_and_dead_paths_are_faults(tmp_path: Path, tag: str, fault: str | None) -> None:
    (tmp_path / "site" / "folder").mkdir(parents=True)
    for name, text in {
        "own.css": "p { color: red }",
        "own.js": "",
        "folder/index.html": "",
        "page.html": _GOOD + tag,
    }.items():
        (tmp_path / "site" / name).write_text(text)
    command = [sys.executable, str(_CHECK), str(tmp_path / "site")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert (ended.returncode, ended.stderr) == (1 if fault else 0, "")
    assert ended.stdout.startswith(fault) if fault else ended.stdout == ""
