"""Find what a built site asks of other hosts, and which of its own files are missing. Links may leave the site.

Argument: the site's folder.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"src", "srcset", "poster", "data", "action"}
LOADED_LINKS = {"stylesheet", "icon", "preconnect", "dns-prefetch", "preload", "prefetch", "modulepreload", "manifest"}
IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")


class Page(HTMLParser):
    """Collect the addresses that a browser loads with a page, and those that it links to."""

    def __init__(self, text: str) -> None:
        """Read the page's text."""
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort the addresses of one tag."""
        self._in_style = tag == "style"
        values = {name: value or "" for name, value in attrs}
        self.loaded += [value.split()[0] for name, value in values.items() if name in LOADED and value]
        self.loaded += IN_STYLES.findall(values.get("style", ""))
        if "href" in values:
            is_loaded = tag == "link" and LOADED_LINKS & {*values.get("rel", "").split()}
            (self.loaded if is_loaded else self.linked).append(values["href"])
        if "mermaid" in values.get("class", "").split():
            self.loaded.append("https://unpkg.com/mermaid")  # the theme's script fetches it for such a block

    def handle_data(self, data: str) -> None:
        """Take the addresses of a page's own styles."""
        if self._in_style:
            self.loaded += IN_STYLES.findall(data)


def main() -> None:
    """Print what is wrong with the site, a line each; exit with 1 if anything is."""
    site = Path(sys.argv[1])
    faults = [fault for file in sorted(site.rglob("*")) for fault in _faults(site, file)]
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


def _faults(site: Path, file: Path) -> list[str]:
    loaded: list[str] = []
    linked: list[str] = []
    if file.suffix == ".css":
        loaded = IN_STYLES.findall(file.read_text())
    elif file.suffix == ".html":
        page = Page(file.read_text())
        loaded, linked = page.loaded, page.linked
    name = file.relative_to(site)
    foreign = [f"{name} asks another host: {address}" for address in loaded if urlsplit(address).netloc]
    return foreign + [
        f"{name} leads to nothing: {address}" for address in loaded + linked if not _exists(site, file, address)
    ]


def _exists(site: Path, file: Path, address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or not parts.path:
        return True
    target = (
        site / parts.path.lstrip("/") if parts.path.startswith("/") else file.parent / unquote(parts.path)
    ).resolve()
    return target.is_file() or (target / "index.html").is_file()


if __name__ == "__main__":
    main()
