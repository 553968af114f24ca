"""The page that a problem's `type` leads to: every code, what it means, and what to do about it."""

import re
from collections.abc import Iterable
from html import escape

from whisker.app.web.advice import ADVICE
from whisker.app.web.problem_kinds import ERRORS_PATH, HTTP_KINDS, KINDS, Kind

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DEPTH = ERRORS_PATH.count("/") - 1  # from which the addresses of other pages have to climb
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Whisker: errors</title>
<link rel="icon" href="{root}page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}page/style.css">
</head>
<body>
<header>
<p class="brand"><img src="{root}page/icon.svg" alt="" width="28" height="28"> Whisker</p>
<nav aria-label="Pages">
<a href="{root}">Classify</a> <a href="{root}card">Model</a> <a href="{root}docs">API</a>
</nav>
</header>
<main>
<h1>Errors</h1>
<p class="lead">Every error is a JSON document, as RFC 9457 has it. Its <code>code</code> is stable, its
<code>detail</code> says what came and what is wanted, and its <code>type</code> leads here.</p>
{kinds}
</main>
</body>
</html>
"""
_KIND = """<section class="kind"><h2 id="{code}"><code>{code}</code></h2>
<p><span class="badge">{status}</span> {meaning}</p>
<p class="advice">{advice}</p></section>"""


def render_errors() -> str:
    """Write the page."""
    kinds = sorted((*KINDS.values(), *HTTP_KINDS.values()), key=lambda kind: kind.status)
    return _PAGE.format(root="../" * _DEPTH, kinds="\n".join(_rendered(kinds)))


def _rendered(kinds: Iterable[Kind]) -> Iterable[str]:
    for kind in kinds:
        advice = _marked(ADVICE[kind.code])
        yield _KIND.format(code=kind.code, status=kind.status, meaning=_marked(kind.meaning), advice=advice)


def _marked(text: str) -> str:
    """Escape a text for HTML, and mark what is in backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text))
