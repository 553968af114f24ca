"""The check of the built documentation: what it asks of other hosts, and which of its own files are missing."""

import subprocess
import sys
from pathlib import Path

_CHECK = Path(__file__).parents[1] / ".ci" / "third_parties.py"
_GOOD = """<link rel="stylesheet" href="own.css"><style>a { src: url(data:font/woff2;base64,AA) }</style>
<script src="own.js"></script><a href="https://example.org/">there</a><a href="folder/#part">here</a><a href="#top">"""
_FAULTS = {
    '<script src="https://example.org/a.js"></script>': "asks another host: https://example.org/a.js",
    '<link href="//example.org/a.css" rel="stylesheet">': "asks another host: //example.org/a.css",
    '<link rel="preconnect" href="https://example.org">': "asks another host: https://example.org",
    "<style>@import 'https://example.org/a.css'</style>": "asks another host: https://example.org/a.css",
    '<p style="background: url(https://example.org/a.png)">': "asks another host: https://example.org/a.png",
    '<pre class="mermaid">graph</pre>': "asks another host: https://unpkg.com/mermaid",
    '<img src="gone.png">': "leads to nothing: gone.png",
    '<a href="../LICENSE">': "leads to nothing: ../LICENSE",
}


def test_requests_of_other_hosts_and_dead_paths_are_faults(tmp_path: Path) -> None:
    (tmp_path / "site" / "folder").mkdir(parents=True)
    pages = {f"page{number}.html": _GOOD + tag for number, tag in enumerate(["", *_FAULTS])}
    for name, text in ({"own.css": "p { color: red }", "own.js": "", "folder/index.html": ""} | pages).items():
        (tmp_path / "site" / name).write_text(text)
    assert check(tmp_path / "site") == (
        1,
        [f"page{number}.html {fault}" for number, fault in enumerate(_FAULTS.values(), 1)],
    )


def test_good_site_passes(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>text</p>")
    assert check(tmp_path) == (0, [])


def check(site: Path) -> tuple[int, list[str]]:
    command = [sys.executable, str(_CHECK), str(site)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert ended.stderr == ""
    return ended.returncode, ended.stdout.splitlines()
