"""``piwsl-lab datasets``: the data sets that are embedded or can be downloaded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from piwsl_lab.data.entries import Entry


def add(parser: argparse.ArgumentParser) -> None:
    """The command has no flags."""


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    from piwsl_lab.data.catalog import datasets

    for entry in datasets():
        place = "embedded" if entry.embedded else f"download, {entry.size_mb:.1f} MB"
        print(f"{entry.name:<16} {entry.title} ({entry.frames} frames, {place})")
        print(f"{'':<16} {entry.method} · {entry.licence} · {entry.origin}")
        print(f"{'':<16} parts: {', '.join(_part_names(entry))}\n")
    return 0


def _part_names(entry: Entry) -> list[str]:
    remarks = {entry.default: " (default)", entry.test: " (test)"}
    return [f"{entry.name}:{part}{remarks.get(part, '')}" for part in entry.parts]
