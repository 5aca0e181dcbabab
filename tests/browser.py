"""A real browser for tests: JupyterLab on loopback, a notebook in headless Chromium, pixels and errors.

Used as context managers, so that only processes started here are ended, each by its own handle.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

REQUIRE = "PIWSL_LAB_REQUIRE_BROWSER"
FLAGS = [
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # WebGL without a graphics card.
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]
# Console errors that are known, harmless and not ours: (part of the text, why it may pass).
ALLOWED_ERRORS: tuple[tuple[str, str], ...] = ()


class Server(NamedTuple):
    """A running JupyterLab: its address and token."""

    url: str
    token: str


class PixelStats(NamedTuple):
    """Colours of an element: pixels, those not of the commonest colour, distinct colours, that colour, the picture."""

    total: int
    foreground: int
    colours: int
    background: tuple[int, int, int]
    image: object  # uint8 array [height, width, 3]


def require_chromium() -> str:
    """Path of Debian's chromium; without one the test is skipped, or fails where PIWSL_LAB_REQUIRE_BROWSER=1."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    reason = "no chromium on PATH (Debian: apt-get install chromium): the browser tests did not run"
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {reason}")
    print(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def jupyter_lab(root: str | Path, command: tuple[str, ...] = (sys.executable, "-m", "jupyterlab")) -> Iterator[Server]:
    """Serve the folder `root` with JupyterLab on 127.0.0.1, on a free port, with a fresh token and without news."""
    server = Server(f"http://127.0.0.1:{free_port()}", secrets.token_hex(16))
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-browser-") as scratch:
        quiet = Path(scratch, "settings", "@jupyterlab", "apputils-extension")
        quiet.mkdir(parents=True)
        quiet.joinpath("notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}', encoding="utf-8"
        )
        environment = os.environ | {
            "JUPYTER_TOKEN": server.token,
            "JUPYTERLAB_SETTINGS_DIR": str(Path(scratch, "settings")),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(scratch, "workspaces")),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        options = [
            *("--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={server.url.rsplit(':', 1)[1]}"),
            *(
                "--ServerApp.port_retries=0",
                f"--ServerApp.root_dir={root}",
                "--LabApp.expose_app_in_browser=True",
            ),
        ]
        log = Path(scratch, "server.log")
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen([*command, *options], stdout=output, stderr=output, env=environment)
            try:
                _wait_until_up(server, process, log)
                yield server
            finally:
                _shut_down(server, process)


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=2).close()
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}") from error
            time.sleep(0.1)


def _shut_down(server: Server, process: subprocess.Popen) -> None:
    """Ask politely, so that the kernels end too; then end the one process that was started here."""
    if process.poll() is not None:
        return
    request = urllib.request.Request(f"{server.url}/api/shutdown", method="POST")
    request.add_header("Authorization", f"token {server.token}")
    with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
        urllib.request.urlopen(request, timeout=5).close()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait(15)


@contextlib.contextmanager
def browser_page(width: int = 1500, height: int = 1300):
    """Open a page of headless Chromium that records its console errors (read them with `page_errors`)."""
    chromium = require_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.recorded_errors = []
        page.on("console", lambda m: m.type == "error" and page.recorded_errors.append(f"console: {m.text}"))
        page.on("pageerror", lambda error: page.recorded_errors.append(f"exception: {error}"))
        try:
            yield page
        finally:
            browser.close()


def write_notebook(path: str | Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells; it names its kernel, so that JupyterLab does not ask for one."""
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def open_notebook(page, server: Server, path: str, timeout: float = 90) -> None:
    """Open root-relative `path` in JupyterLab and wait for its kernel."""
    address = f"{server.url}/lab/tree/{path}?token={server.token}&reset"
    page.goto(address, wait_until="domcontentloaded", timeout=timeout * 1000)
    page.wait_for_function(
        """() => {
            const widget = window.jupyterapp && jupyterapp.shell.currentWidget;
            const context = widget && widget.context && widget.context.sessionContext;
            const kernel = context && context.session && context.session.kernel;
            return document.querySelector('.jp-Notebook .jp-Cell') && kernel && kernel.status === 'idle';
        }""",
        timeout=timeout * 1000,
    )


def run_all(page) -> None:
    """Run all cells of the open notebook; returns when the last has finished."""
    page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")


def eventually(page, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until a condition holds, looking ten times a second; a machine may be slow, a page may not be wrong."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        page.wait_for_timeout(100)


def pixel_stats(locator, save: str | Path | None = None) -> PixelStats:
    """Screenshot an element and count its colours."""
    import numpy as np
    from PIL import Image

    png = locator.screenshot()
    if save is not None:
        Path(save).write_bytes(png)
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    colours, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    total = int(counts.sum())
    background = tuple(int(c) for c in colours[counts.argmax()])
    return PixelStats(total, total - int(counts.max()), len(colours), background, image)


def page_errors(page) -> list[str]:
    """Return everything that went wrong on the page: console errors, exceptions, stderr and error outputs of cells.

    Only what `ALLOWED_ERRORS` names is left out.
    """
    outputs = page.evaluate(
        """() => [...document.querySelectorAll('[data-mime-type="application/vnd.jupyter.stderr"],'
            + '[data-mime-type="application/vnd.jupyter.error"], .jupyter-widgets-error-widget')]
            .map(element => 'output: ' + element.innerText.slice(0, 1000))"""
    )
    errors = [*page.recorded_errors, *outputs]
    return [error for error in errors if not any(part in error for part, _ in ALLOWED_ERRORS)]
