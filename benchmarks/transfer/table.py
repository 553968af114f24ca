"""The rows of a comparison as a Markdown table, a line a contender, the most accurate first."""

from collections.abc import Mapping, Sequence
from statistics import mean

from benchmarks.transfer.journal import Row

_HEAD = (
    "| recipe | accuracy on unseen photos | seconds | processor seconds | epochs "
    "| confident answers | of them wrong |\n"
    "|---|---|---|---|---|---|---|"
)


def write_table(rows: Sequence[Row], titles: Mapping[str, str]) -> str:
    """Write the table; with several seeds, means, and the range of the accuracy."""
    of = {name: [row for row in rows if row.name == name] for name in {row.name for row in rows}}
    ordered = sorted(of, key=lambda name: (-mean(row.accuracy for row in of[name]), name))
    return "\n".join([_HEAD, *(_line(titles[name], of[name]) for name in ordered)])


def _line(title: str, rows: Sequence[Row]) -> str:
    cells = (
        title,
        _accuracy([row.accuracy for row in rows]),
        f"{mean(row.seconds for row in rows):,.0f}",
        f"{mean(row.cpu_seconds for row in rows):,.0f}",
        _epochs(rows),
        *_confident(rows),
    )
    return f"| {' | '.join(cells)} |"


def _accuracy(values: Sequence[float]) -> str:
    spread = f" ({min(values):.1%} to {max(values):.1%})" if len(values) > 1 else ""
    return f"{mean(values):.1%}{spread}"


def _epochs(rows: Sequence[Row]) -> str:
    counts = sorted({row.epochs for row in rows if row.epochs is not None})
    if not counts:
        return "-"
    return f"{' to '.join(map(str, dict.fromkeys((counts[0], counts[-1]))))} of {rows[0].documented}"


def _confident(rows: Sequence[Row]) -> tuple[str, str]:
    counted = [(row.confident, row.confident_wrong, row.photos) for row in rows if row.confident is not None]
    if not counted:
        return "-", "-"
    answers, wrong = sum(count for count, _, _ in counted), sum(count or 0 for _, count, _ in counted)
    share = f"{answers / sum(photos for _, _, photos in counted):.1%}"
    return share, f"{wrong:,} of {answers:,} ({wrong / answers:.1%})" if answers else "0 of 0"
