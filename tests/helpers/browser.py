"""A real browser for tests: Jupyter on loopback, a notebook in headless Chromium, pixels, errors, a machine under load.

Servers are JupyterLab, Notebook 7 and Voilà. Used as context managers, so that only processes started here are ended,
each by its own handle.
"""

from __future__ import annotations

import ast
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
from collections.abc import Callable, Collection, Iterator, Sequence
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


# Numbers of points of every plotly plot on show, in the order of the page.
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .filter(plot => plot.checkVisibility({visibilityProperty: true}) && plot.clientHeight > 50)
    .map(plot => (plot.data ?? []).reduce((sum, trace) => sum + (trace.x?.length ?? 0), 0))"""
OPEN_AND_IDLE = """() => {
    const widget = window.jupyterapp && jupyterapp.shell.currentWidget;
    const context = widget && widget.context && widget.context.sessionContext;
    const kernel = context && context.session && context.session.kernel;
    return document.querySelector('.jp-Notebook .jp-Cell') && kernel && kernel.status === 'idle';
}"""


class Server(NamedTuple):
    """A running server: its address, its token, and the folder where its kernels say how they are reached."""

    url: str
    token: str
    runtime: Path


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
    options = [*command, *_LOOPBACK, f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"]
    with _serving(options) as server:
        yield server


@contextlib.contextmanager
def notebook7(root: str | Path) -> Iterator[Server]:
    """Serve the folder `root` with Jupyter Notebook 7, as `jupyter_lab` does."""
    command = [sys.executable, "-m", "notebook", *_LOOPBACK]
    with _serving(
        [*command, f"--ServerApp.root_dir={root}", "--JupyterNotebookApp.expose_app_in_browser=True"]
    ) as server:
        yield server


@contextlib.contextmanager
def voila(notebook: str | Path) -> Iterator[Server]:
    """Serve one notebook with Voilà on 127.0.0.1: every visit runs it in a kernel of its own."""
    command = [sys.executable, "-m", "voila", str(notebook), "--no-browser", "--Voila.ip=127.0.0.1"]
    with _serving([*command, "--show_tracebacks=True"], _voila_options) as server:
        yield server


def _voila_options(server: Server) -> list[str]:
    """Voilà does not read them from the environment."""
    return [f"--token={server.token}", f"--Voila.connection_dir_root={server.runtime}"]


_LOOPBACK = ("--no-browser", "--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0")


@contextlib.contextmanager
def _serving(command: Sequence[str], options: Callable[[Server], list[str]] = lambda server: []) -> Iterator[Server]:
    """Run a server until the block ends; `options` names those that depend on its token and folders."""
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-browser-") as scratch:
        runtime = Path(scratch, "runtime")
        runtime.mkdir(0o700)
        server = Server(f"http://127.0.0.1:{free_port()}", secrets.token_hex(16), runtime)
        quiet = Path(scratch, "settings", "@jupyterlab", "apputils-extension")
        quiet.mkdir(parents=True)
        quiet.joinpath("notification.jupyterlab-settings").write_text(
            '{"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}', encoding="utf-8"
        )
        environment = os.environ | {
            "JUPYTER_TOKEN": server.token,
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(Path(scratch, "settings")),
            "JUPYTERLAB_WORKSPACES_DIR": str(Path(scratch, "workspaces")),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        address = [f"--port={server.url.rsplit(':', 1)[1]}", *options(server)]
        log = Path(scratch, "server.log")
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen([*command, *address], stdout=output, stderr=output, env=environment)
            try:
                _wait_until_up(server, process, log)
                yield server
            finally:
                _shut_down(server, process)


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=2).close()
            return
        except urllib.error.HTTPError as answer:
            answer.close()  # Voilà has no such page, and is there
            return
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args[2]} did not start:\n{log.read_text()[-3000:]}") from error
            time.sleep(0.1)


def _shut_down(server: Server, process: subprocess.Popen) -> None:
    """Ask politely, so that the kernels end too; then end the one process that was started here."""
    if process.poll() is not None:
        return
    with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
        request(server, "POST", "api/shutdown").close()
        process.wait(15)
    try:
        process.terminate()  # Voilà has no page that ends it; it ends its kernels
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(15)


def request(server: Server, method: str, path: str):
    """Ask a server for something with its token; returns the open answer."""
    asked = urllib.request.Request(f"{server.url}/{path}", method=method)
    asked.add_header("Authorization", f"token {server.token}")
    return urllib.request.urlopen(asked, timeout=5)


class Kernel:
    """The newest kernel of a server, asked beside its page: a page that is slow or gone does not matter.

    Parameters
    ----------
    server : Server
    known : collection of Path
        Connection files of kernels that are not meant.
    """

    def __init__(self, server: Server, known: Collection[Path] = (), seconds: float = 120) -> None:
        from jupyter_client import BlockingKernelClient

        deadline = time.monotonic() + seconds
        while not (found := connection_files(server) - set(known)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no new kernel within {seconds:g} s")
            time.sleep(0.2)
        self.server = server
        self.file = max(found, key=lambda path: path.stat().st_mtime)
        self._client = BlockingKernelClient(connection_file=str(self.file))
        self._client.load_connection_file()
        self._client.start_channels(hb=False, stdin=False)

    def run(self, code: str, seconds: float = 60) -> str:
        """Run code in the kernel and return what it printed; an error there is a RuntimeError here."""
        printed: list[str] = []
        self._client.execute_interactive(
            code, store_history=False, allow_stdin=False, timeout=seconds,
            output_hook=lambda message: printed.append(
                message["content"].get("text") or "\n".join(message["content"].get("traceback", ()))
            ),
        )  # fmt: skip
        return "".join(printed).strip()

    def value(self, expression: str, seconds: float = 60):
        """The value of an expression in the kernel: numbers, texts, or lists of them."""
        printed = self.run(f"print(repr({expression}))", seconds)
        try:
            return ast.literal_eval(printed)
        except (ValueError, SyntaxError) as error:
            raise RuntimeError(f"{expression} printed {printed}") from error

    def close(self, shut_down: bool = False) -> None:
        """Let go of the kernel; `shut_down` also ends it."""
        self._client.stop_channels()
        if shut_down:
            identity = self.file.stem.removeprefix("kernel-")
            with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
                request(self.server, "DELETE", f"api/kernels/{identity}").close()


def connection_files(server: Server) -> set[Path]:
    """Return the files that say how the kernels of a server are reached."""
    return set(server.runtime.rglob("kernel-*.json"))


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Keep so many cores busy beside the block: plain Python processes, ended by their handle."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait(15)


@contextlib.contextmanager
def throttled(page, rate: float) -> Iterator[None]:
    """Make the page's processor so many times slower inside the block, also after it has loaded anew."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
    try:
        yield
    finally:
        session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        session.detach()


@contextlib.contextmanager
def browser_page(width: int = 1500, height: int = 1300):
    """Open a page of headless Chromium that records its console errors (read them with `page_errors`)."""
    chromium = require_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=FLAGS)
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        _record_errors(page)
        try:
            yield page
        finally:
            browser.close()


def _record_errors(page) -> None:
    page.recorded_errors = []
    page.on("console", lambda m: m.type == "error" and page.recorded_errors.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: page.recorded_errors.append(f"exception: {error}{_where(error)}"))
    # "Leave this page?": without a listener the answer is no, and a page that has changes is never loaded anew.
    page.on("dialog", lambda dialog: dialog.accept())


def _where(error) -> str:
    """The first lines of an exception's stack: without them nobody knows whose mistake it is."""
    lines = (getattr(error, "stack", None) or "").splitlines()[1:5]
    return "".join(f"\n    {line.strip()[:200]}" for line in lines)


@contextlib.contextmanager
def second_window(page) -> Iterator[object]:
    """Another window of the same browser, with the same address."""
    window = page.context.new_page()
    _record_errors(window)
    try:
        yield window
    finally:
        window.close()


def write_notebook(path: str | Path, cells: Sequence[str]) -> None:
    """Write a notebook of code cells; it names its kernel, so that JupyterLab does not ask for one."""
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def open_notebook(page, server: Server, path: str, timeout: float = 90, door: str = "lab/tree", reset: bool = True):
    """Open root-relative `path` and wait for its kernel.

    `door` is ``lab/tree`` for JupyterLab and ``notebooks`` for Notebook 7; `reset` forgets what JupyterLab had open.
    """
    address = f"{server.url}/{door}/{path}?token={server.token}" + ("&reset" if reset else "")
    page.goto(address, wait_until="domcontentloaded", timeout=timeout * 1000)
    page.wait_for_function(OPEN_AND_IDLE, timeout=timeout * 1000)


# What a page says of a command that does not end.
STUCK = """() => {
    const widget = jupyterapp.shell.currentWidget;
    const kernel = widget?.context?.sessionContext?.session?.kernel;
    return JSON.stringify({
        kernel: kernel?.status, connection: kernel?.connectionStatus,
        waiting: [...(kernel?._futures?.values() ?? [])].map(future => future.msg.header.msg_type),
        cells: [...document.querySelectorAll('.jp-InputPrompt')].map(e => e.innerText),
        dialogs: [...document.querySelectorAll('.jp-Dialog')].map(e => e.innerText.slice(0, 200))});
}"""


def command(page, name: str, timeout: float = 120, **arguments) -> None:
    """Execute a command of JupyterLab and wait for its end; where it does not come, say what the page waits for.

    playwright has no time limit for a promise, and one whose kernel never answers would hang the whole run: so the
    promise stays in the page and is looked at from here.
    """
    page.evaluate(
        """([name, options]) => {
            const run = window.commandOfTest = {ended: false, error: ''};
            run.promise = jupyterapp.commands.execute(name, options)
                .catch(error => { run.error = String(error); }).finally(() => { run.ended = true; });
            return true;
        }""",
        [name, arguments],
    )
    deadline = time.monotonic() + timeout
    while not page.evaluate("() => window.commandOfTest.ended"):
        if time.monotonic() > deadline:
            pytest.fail(f"{name} did not end within {timeout:g} s: {page.evaluate(STUCK)}")
        page.wait_for_timeout(50)
    if error := page.evaluate("() => window.commandOfTest.error"):
        raise RuntimeError(f"{name}: {error}")


def save_notebook(page) -> None:
    """Write the open notebook with its outputs to disk, so that it can be loaded anew."""
    command(page, "docmanager:save")


def reload_notebook(page, timeout: float = 90) -> None:
    """Press F5: the page loads anew and opens the notebook as it was saved, with the kernel that is still there."""
    page.reload(wait_until="domcontentloaded", timeout=timeout * 1000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout * 1000)


def close_and_reopen(page, timeout: float = 90) -> None:
    """Close the tab of the notebook, without ending its kernel, and open it again."""
    page.evaluate(
        """async () => {
            const {path} = jupyterapp.shell.currentWidget.context;
            jupyterapp.shell.currentWidget.dispose();
            window.reopened = path;
        }"""
    )
    page.wait_for_selector(".jp-Notebook", state="detached", timeout=timeout * 1000)
    command(page, "docmanager:open", path=page.evaluate("() => window.reopened"))
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout * 1000)


def run_all(page) -> None:
    """Run all cells of the open notebook; returns when the last has finished."""
    command(page, "notebook:run-all-cells", timeout=240)


def points_in_page(page) -> list[int]:
    """Points of every plot on show, all its traces together."""
    return page.evaluate(POINTS)


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
