"""Keep the memory of one step for the next one."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

KEPT = 256 * 2**20  # bytes of freed memory that stay with the process
LARGEST = 32 * 2**20  # bytes: glibc takes no larger threshold; blocks up to here come from what was kept
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_memory() -> bool:
    """Ask the C library not to give the tensors of a step back to the system only to fetch them again.

    By itself glibc returns what lies free at the end of its heap as soon as that is more than twice
    its largest block. The system clears each page that it hands out anew. That takes up to a fifth
    of the time of a training step on a processor. It takes more than half of that of direct forces
    in a batch (`benchmarks/memory.py`). It holds for the whole process, so no class of the library
    asks for it. Programs do: the shell, a worker of a study, a session of the lab. Elsewhere than
    on glibc nothing is done, and the answer is False.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(_TRIM_THRESHOLD, KEPT)) and bool(mallopt(_MMAP_THRESHOLD, LARGEST))
