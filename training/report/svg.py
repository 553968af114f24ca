"""Drawings as inline SVG: they take the page's font and colours, in light and in dark mode."""

import io
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unicodedata import east_asian_width
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

WIDTH, HEIGHT = 4.6, 3.1  # inches, by default
SMALL, NORMAL = 8.5, 9.5  # points

# matplotlib knows no CSS variables: each stand-in is replaced in the SVG. The colours beside the variables are those of
# Okabe & Ito (2008), which can be told apart with any kind of colour vision.
INK, MUTED, LINE, BAND, FIRST, SECOND = (f"#00000{index}" for index in range(1, 7))
_PAGE_COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted, #57606a)",
    LINE: "var(--line, #d8dee4)",
    BAND: "var(--band, #f1f4f6)",
    FIRST: "var(--first, #0072b2)",
    SECOND: "var(--second, #d55e00)",
}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "svg.hashsalt": "whisker",  # without it, every run has other identifiers
    "text.parse_math": False,  # a dollar in a class's name is a dollar
    "text.color": INK,
    "font.size": NORMAL,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
}
_WIDE = 1.75  # width of a letter of Chinese, Japanese or Korean, in those of matplotlib's digits
_STAND_IN = "\N{CURRENCY SIGN}"
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Drawing:
    """A figure being drawn; once the block of `drawing` has ended, `svg` is its markup."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.svg = ""
        self._names = dict[str, str]()

    @property
    def names(self) -> Mapping[str, str]:
        """Return the names that were given, by their stand-ins."""
        return self._names

    def name(self, name: str) -> str:
        """Return a stand-in, about as wide, for a name of any script; the SVG has the name itself.

        matplotlib's font lacks most scripts, and would measure, and warn of, a glyph that only the browser has.
        """
        if name.isascii():
            return name
        stand_in = _STAND_IN + f"{len(self._names)}".rjust(math.ceil(width_of(name)) - 1, "0")
        self._names[stand_in] = name
        return stand_in


@contextmanager
def drawing(alt: str, width: float = WIDTH, height: float = HEIGHT) -> Iterator[Drawing]:
    """Draw within the block, in the page's style; `alt` describes the drawing in a sentence."""
    with mpl.rc_context():
        mpl.rcdefaults()  # whatever the user's matplotlibrc says
        mpl.rcParams.update(_SETTINGS)
        sheet = Drawing(Figure((width, height), layout="constrained"))
        yield sheet
        buffer = io.StringIO()
        sheet.figure.savefig(buffer, format="svg", metadata=_NO_METADATA, transparent=True)
    sheet.svg = _for_page(buffer.getvalue(), alt, sheet.names)


def width_of(name: str) -> float:
    """Estimate how wide a name is, in digits."""
    return sum(_WIDE if east_asian_width(letter) in "WF" else 1.0 for letter in name)


def mark(axes: Axes, x: float, label: str = "") -> None:
    """Draw a dashed line at `x`, with its meaning above the axes: within, it could lie on a curve or on bars."""
    axes.axvline(x, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    if label:
        axes.set_title(f"dashed: {label}", loc="right", fontsize=SMALL, color=INK)


def in_percent(axis: Axis) -> None:
    """Label an axis of shares in percent, up to 100."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 2):g} %" if share < 1.0001 else ""))


def _for_page(svg: str, alt: str, names: Mapping[str, str]) -> str:
    """Drop what only a separate file needs, name colours as the page does, and put names for their stand-ins."""
    root = ET.fromstring(svg)  # noqa: S314 - matplotlib has just written it
    _drop_styles(root)
    used = set(re.findall(r"#(\w+)[\")]", svg))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        if attributes.get("id") not in used:
            attributes.pop("id", None)
        attributes.update({name: _restyle(attributes[name]) for name in ("style", "d") if name in attributes})
        element.attrib.clear()
        element.attrib.update(attributes)
        element.text = names.get(element.text or "", element.text)
    view_box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update({"viewBox": view_box, "role": "img", "aria-label": alt, "class": "plot"})
    return ET.tostring(root, encoding="unicode")


def _drop_styles(root: ET.Element) -> None:
    """Drop the style sheet, which would apply to the whole page."""
    for parent in root.iter():
        for child in [child for child in parent if child.tag.endswith("}style")]:
            parent.remove(child)


def _restyle(text: str) -> str:
    text = re.sub(r"\s*font-family:[^;]*;?", "", " ".join(text.split()))
    for stand_in, colour in _PAGE_COLOURS.items():
        text = text.replace(stand_in, colour)
    return text
