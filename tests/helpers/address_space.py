"""Little memory for a process that is fed with what may ask for a lot."""

from __future__ import annotations

import os
import resource
from pathlib import Path

ROOM = 1 << 30  # bytes above what the imported libraries take


def limit(room: int = ROOM) -> None:
    """Leave this process that much address space above what it takes now; Linux only."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + room, resource.getrlimit(resource.RLIMIT_AS)[1]))
