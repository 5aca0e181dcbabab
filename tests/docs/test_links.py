"""`tools/check_links.py` finds what leads nowhere on the site; `make docs` runs it on the built one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "check_links.py"
PAGE = '<html><body id="top">{}</body></html>'


def checked(site: Path) -> tuple[int, list[str]]:
    """Exit code and lines of the tool."""
    done = subprocess.run(
        [sys.executable, str(TOOL), str(site)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_links_that_lead_somewhere_pass(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "picture one.png").touch()
    there = '<a href="#top">up</a> <a href="part/b.html#here">b</a> <a href="https://example.org/#x">far</a>'
    (tmp_path / "a.html").write_text(PAGE.format(there + '<img src="picture%20one.png"><a href="mailto:a@b">mail</a>'))
    (tmp_path / "part" / "b.html").write_text(PAGE.format('<p id="here"><a href="../a.html?x=1#top">a</a></p>'))
    assert checked(tmp_path) == (0, [f"{tmp_path}: all links lead somewhere"])


def test_a_missing_file_a_missing_anchor_and_a_missing_picture_are_named(tmp_path):
    (tmp_path / "a.html").write_text(
        PAGE.format('<a href="gone.html">1</a> <a href="#gone">2</a> <a href="b.html#gone">3</a> <img src="gone.png">')
    )
    (tmp_path / "b.html").write_text(PAGE.format("b"))
    assert checked(tmp_path) == (
        1,
        [
            "a.html: gone.html: there is no such file",
            "a.html: #gone: there is no such anchor",
            "a.html: b.html#gone: there is no such anchor",
            "a.html: gone.png: there is no such file",
        ],
    )


def test_what_would_come_from_the_network_is_named(tmp_path):
    loads = '<script src="https://example.org/x.js"></script><link rel="stylesheet" href="//example.org/x.css">'
    formulas = '<script src="https://cdn.jsdelivr.net/npm/mathjax@4/tex-mml-chtml.js"></script>'
    (tmp_path / "a.html").write_text(PAGE.format(loads + formulas))
    assert checked(tmp_path) == (1, ["a.html: loads https://example.org/x.js", "a.html: loads //example.org/x.css"])
