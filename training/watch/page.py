"""The page of a training: HTML from a snapshot, whole for a browser without scripts, in parts for one with them."""

import time

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

from whisker.training.progress import duration
from whisker.training.watch.curves import HEIGHT, LEFT, RIGHT, WIDTH, draw_curves
from whisker.training.watch.memory import memory_used
from whisker.training.watch.state import Snapshot

REFRESH_SECONDS = 5  # after which a page without scripts loads itself again

_environment = Environment(
    loader=ChoiceLoader([PackageLoader("whisker.training.watch"), PackageLoader("whisker.training.report")]),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["duration"] = duration
_environment.globals |= {
    "refresh": REFRESH_SECONDS,
    "left": LEFT,
    "right": WIDTH - RIGHT,
    "width": WIDTH,
    "height": HEIGHT,
}


def render_page(snapshot: Snapshot) -> bytes:
    """Render the whole page."""
    return _render(_environment.get_template("watch.html"), snapshot)


def render_parts(snapshot: Snapshot) -> bytes:
    """Render what changes: elements with identifiers, for a script to put in place of the page's."""
    return _render(_environment.get_template("live.html"), snapshot)


def read_asset(name: str) -> bytes:
    """Give a style sheet or script as it is sent."""
    return _environment.get_template(name).render().encode()


def _render(template: Template, snapshot: Snapshot) -> bytes:
    now = time.monotonic() if snapshot.ended is None else snapshot.ended
    page = template.render(
        it=snapshot,
        now=now,
        step=snapshot.advance.step if snapshot.advance else None,
        curves=draw_curves(snapshot.epochs),
        memory=memory_used() / 2**30,
    )
    return page.encode(errors="replace")
