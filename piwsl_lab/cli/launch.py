"""Open the laboratory: find the notebooks, copy them where they may be changed, start JupyterLab on loopback.

From a checkout the notebooks of the checkout are opened as they are. From an installed wheel they are copied
to ``./piwsl-lab-notebooks`` first; a file that its owner changed is never overwritten.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from piwsl_lab.support.files import write_whole
from piwsl_lab.support.signals import STOPS

FIRST_NOTEBOOK = "00_quickstart.ipynb"
COPY_FOLDER = "piwsl-lab-notebooks"
MANIFEST = ".piwsl-lab.json"
LAST_PORT = 65535


class LaunchError(ValueError):
    """The laboratory cannot be opened; the message says how to mend it."""


@dataclass
class CopyReport:
    """What ``copy_notebooks`` did, as lists of file names."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)

    def lines(self, folder: Path) -> list[str]:
        """One sentence for each kind of thing that a person should know."""
        sentences = [
            (self.added, "copied to"),
            (self.updated, "brought up to date in"),
            (self.offered, "changed by you and kept; the new version lies beside it, in"),
        ]
        return [f"{', '.join(names)}: {what} {folder}" for names, what in sentences if names]


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no window")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (8888, or the next that is free)")


def run(arguments: argparse.Namespace) -> int:
    """Open the laboratory; the exit code of JupyterLab."""
    return launch(browser=not arguments.no_browser, port=arguments.port)


def find_notebooks(package: Path | None = None) -> tuple[Path, bool]:
    """Folder that holds the notebooks, and whether they were packaged (True) or lie in a checkout (False).

    Raises
    ------
    LaunchError
        Neither a packaged folder nor a checkout beside ``package`` has a notebook.
    """
    package = package or Path(__file__).resolve().parent.parent
    for folder, packaged in ((package / "share" / "notebooks", True), (package.parent / "notebooks", False)):
        if any(folder.glob("*.ipynb")):
            return folder, packaged
    raise LaunchError(
        f"no notebooks beside {package}; reinstall (pip install --force-reinstall --no-deps piwsl-lab), "
        "or build them in a checkout (make notebooks)"
    )


def copy_notebooks(source: Path, target: Path) -> CopyReport:
    """Copy every notebook of ``source`` into ``target`` without touching what its owner changed.

    A manifest remembers the hash of each packaged version once it was handed over. A file that
    still has that hash is replaced by a newer version. A changed one is kept, and a newer version
    is written beside it once, as ``NAME.new.ipynb``.
    """
    target.mkdir(parents=True, exist_ok=True)
    handed_over = _read_manifest(target / MANIFEST)
    report = CopyReport()
    for notebook in sorted(source.glob("*.ipynb")):
        content = notebook.read_bytes()
        name, new = notebook.name, _hash(content)
        current = _hash_of_file(target / name)
        if current == new:
            report.kept.append(name)
        elif current is None:
            write_whole(target / name, content)
            report.added.append(name)
        elif current == handed_over.get(name):
            write_whole(target / name, content)
            report.updated.append(name)
        elif handed_over.get(name) == new:
            report.kept.append(name)
        else:
            report.offered.append(_offer_beside(target, notebook.stem, content, handed_over))
        handed_over[name] = new
    write_whole(target / MANIFEST, json.dumps(handed_over, indent=2, sort_keys=True).encode() + b"\n")
    return report


def command(notebook: Path, root: Path, *, browser: bool = True, port: int | None = None) -> list[str]:
    """Command line that opens ``notebook`` in JupyterLab on 127.0.0.1, with the token that Jupyter draws."""
    arguments = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--ServerApp.root_dir={root}"]
    arguments.append("--ServerApp.answer_yes=True")  # one Ctrl-C closes it, no question asked
    if not browser:
        arguments.append("--no-browser")
    if port is not None:
        arguments.append(f"--port={port}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.append("--allow-root")  # containers: Jupyter refuses to start as root otherwise
    return [*arguments, str(notebook)]


def launch(*, browser: bool = True, port: int | None = None, directory: Path | None = None) -> int:
    """Open JupyterLab on the first notebook and wait until it is closed; the exit code of JupyterLab.

    Parameters
    ----------
    browser : open a browser window (otherwise only the address is printed).
    port : first port to try (Jupyter's default, 8888, otherwise).
    directory : where ``piwsl-lab-notebooks`` is made for an installed package (the working directory).
    """
    if port is not None and not 1 <= port <= LAST_PORT:
        raise LaunchError(f"--port {port}: --port must be 1 to {LAST_PORT}")
    if importlib.util.find_spec("jupyterlab") is None:
        raise LaunchError("JupyterLab is not installed; type: pip install 'piwsl-lab[lab]'")
    folder, packaged = find_notebooks()
    if packaged:
        target = (directory or Path.cwd()).resolve() / COPY_FOLDER
        for line in copy_notebooks(folder, target).lines(target):
            print(line)
        folder = target
    first = folder / FIRST_NOTEBOOK
    if not first.exists():
        first = min(folder.glob("*.ipynb"))
    print(f"piwsl-lab: opening {first} (Ctrl-C here closes it)", flush=True)
    return _run(command(first, folder, browser=browser, port=port))


def _run(arguments: list[str]) -> int:
    """Run JupyterLab in the foreground; a Ctrl-C reaches it directly, SIGTERM and SIGHUP are handed on."""
    process = subprocess.Popen(arguments)
    numbers = [getattr(signal, name, None) for name in STOPS]
    heard = [n for n in numbers if n is not None and signal.getsignal(n) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, lambda *_: process.terminate()) for number in heard}
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # the terminal sent it to JupyterLab too, which is closing
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _offer_beside(target: Path, stem: str, content: bytes, handed_over: dict[str, str]) -> str:
    """Write a new version beside a changed notebook, under the first name that costs nobody's work."""
    count = 1
    while True:
        name = f"{stem}.new{count if count > 1 else ''}.ipynb"
        if _hash_of_file(target / name) in (None, _hash(content), handed_over.get(name)):
            break
        count += 1
    write_whole(target / name, content)
    handed_over[name] = _hash(content)
    return name


def _read_manifest(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise LaunchError(f"{path} is damaged; delete it (your notebooks stay as they are)") from error
    if not isinstance(manifest, dict):
        raise LaunchError(f"{path} is damaged; delete it (your notebooks stay as they are)")
    return manifest


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash_of_file(path: Path) -> str | None:
    return _hash(path.read_bytes()) if path.exists() else None
