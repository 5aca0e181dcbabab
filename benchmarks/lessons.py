"""Seconds and memory of every notebook, run from its first cell to its last as *Run All* does.

python benchmarks/lessons.py [NAME …]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = """
import os, sys, nbformat
from nbclient import NotebookClient
os.environ["PIWSL_LAB_PROGRESS"] = "off"
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=sys.argv[2])
"""


def main() -> None:
    """Print a table."""
    names = sys.argv[1:] or sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    print("notebook                       seconds   largest process so far, MB   file, kB")
    for name in names:
        path = ROOT / "notebooks" / f"{name}.ipynb"
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:  # the studies are looked for beside the folder
            subprocess.run([sys.executable, "-c", RUN, str(path), folder], check=True, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        print(f"{name:30} {seconds:7.1f} {memory:28.0f} {path.stat().st_size / 1000:11.0f}", flush=True)


if __name__ == "__main__":
    main()
