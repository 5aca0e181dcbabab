"""The docs site: `make docs` builds it from docs/, notebooks/ and the docstrings, without a network.

The root of the sources is the root of the repository, so that a link from docs/teaching.md to
../notebooks/00_quickstart.ipynb is right on the site and in a checkout.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import piwsl_lab  # noqa: E402

project = "piwsl-lab"
author = "piwsl-lab developers"
version = release = piwsl_lab.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_nb",
    "pictures",  # docs/pictures.py
]
# README.md is the first page; what else there is stands in docs/contents.md.
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/api/*.md", "notebooks/*.ipynb", "notebooks/README.md"]
# Folders that are not even looked into.
exclude_patterns = [
    ".*", "benchmarks", "binder", "build", "dist", "docs/_build", "docs/contents.md", "piwsl_lab", "piwsl-lab-runs",
    "runs", "studies", "tests", "tools",
]  # fmt: skip

# What is stored in the notebooks is shown; nothing runs here.
nb_execution_mode = "off"
# Tables that a cell has printed as Markdown.
nb_render_markdown_format = "myst"
nb_custom_formats = {".ipynb": "pictures.read"}
# Widgets are shown by their still pictures, so no page asks a server for their code.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
# "energy, forces : ndarray" is one line for two attributes.
napoleon_custom_sections = [("Attributes", "params_style")]
# `name` in a docstring is code, as it reads.
default_role = "code"
# A type such as "list of frames" is looked up word by word, and two classes have an attribute `frames`.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = "piwsl-lab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
templates_path = ["_templates"]
html_additional_pages = {"index": "to_the_start.html"}


def _with_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Add the table of contents to the first page, where GitHub would show it as text."""
    if name == root_doc:
        source[0] += (ROOT / "docs" / "contents.md").read_text(encoding="utf-8")


def _plain_bars(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """In a docstring |x| is an absolute value; to Sphinx it is a substitution."""
    lines[:] = [re.sub(r"(``.*?``|`[^`]*`)|\|", lambda found: found[1] or r"\|", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _with_contents)
    app.connect("autodoc-process-docstring", _plain_bars)
