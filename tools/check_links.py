"""Look at a built site: every local link and anchor leads somewhere, and no page needs the network to be read.

python tools/check_links.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Formulas are drawn by MathJax. Without a network they are read as LaTeX.
FROM_THE_NETWORK = ("https://cdn.jsdelivr.net/npm/mathjax@",)
# Made by the theme for search; its links are written by a script.
NO_PAGES = {"search.html"}


class Page(HTMLParser):
    """The anchors of one page, where its links go, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors = {""}
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)
        if link := (found.get("src") or (found.get("href") if tag == "link" else None)):
            self.loads.append(link)


def broken(site: Path) -> list[str]:
    """One line for each link that leads nowhere and each file that would come from the network."""
    site = site.resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name not in NO_PAGES}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [
            f"{name}: loads {link}" for link in page.loads if _is_remote(link) and not link.startswith(FROM_THE_NETWORK)
        ]
        for link in dict.fromkeys(page.links + page.loads):
            if not _is_remote(link) and not link.startswith(("data:", "mailto:")):
                found += [f"{name}: {fault}" for fault in _fault(link, path, pages)]
    return found


def _is_remote(link: str) -> bool:
    return link.startswith(("http:", "https:", "//"))


def _fault(link: str, page: Path, pages: dict[Path, Page]) -> list[str]:
    """Why a local link leads nowhere; empty where it leads somewhere."""
    parts = urlsplit(link)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return [f"{link}: there is no such file"]
    if target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return [f"{link}: there is no such anchor"]
    return []


def main(arguments: list[str]) -> int:
    """Print what is broken; the exit code is 1 where something is."""
    if len(arguments) != 1 or not (site := Path(arguments[0])).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    found = broken(site)
    print("\n".join(found) or f"{site}: all links lead somewhere")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
