"""Patches of other libraries, each with versions, reason and test."""

from __future__ import annotations

import sys


def live_widgets_work() -> bool:
    """Whether the page takes widgets of our own: not on Colab."""
    return "google.colab" not in sys.modules
