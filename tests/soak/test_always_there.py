"""What is on the screen is what is in Python: a machine under load, a page that is loaded anew, a second window.

Two busy loops run beside, and the page's processor is slowed down four times. A trial is right when the curves of the
page have the points of Python, the molecules have pixels, and no output says that a widget is missing. The training, or
the flight, goes on meanwhile. `make soak` takes about an hour; a scene alone: ``pytest tests/soak -k "f5 and deck"``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
from trials import FEW, Panel, Trials, until

# Ten trials are one test, each with patience of its own.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(3600)]

BUSY_LOOPS = 2
SLOWER = 4  # times, the page's processor
PATH = "soak.ipynb"


DASHBOARD = Panel(
    (
        """
from piwsl_lab.lab.panels.dashboard import Dashboard
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.study.setup import Setup
session = Session(Setup(channels=16, layers=1, steps=500_000), monitor_every=25)
""",
        "panel = Dashboard(session)\npanel",
    ),
    "panel",
    "panel._plots['Errors']",
    "Train",
)
# Springs instead of learned forces: they cost nothing, and no flight is lost before it was looked at.
DECK = Panel(
    (
        """
from ase.calculators.calculator import Calculator, all_changes
from piwsl_lab.data import Oracle
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.study.setup import Setup
frame = Session(Setup(channels=16, layers=1)).test_frames[0]

class Springs(Calculator):
    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        strength = self.parameters["strength"]  # eV/Å²
        away = atoms.positions - frame.positions
        self.results = {"energy": 0.5 * strength * (away**2).sum(), "forces": -strength * away}

pilots = {name: Oracle(Springs(strength=k)) for name, k in (("soft", 5.0), ("stiff", 20.0))}
flight = FlightSession(pilots, frame, replicas=1, temperature=300.0)
""",
        "deck = FlightDeck(flight)\ndeck",
    ),
    "deck",
    "deck.plots",
    "Fly",
)
PANELS = {"dashboard": DASHBOARD, "deck": DECK}


@pytest.fixture
def patience(pytestconfig) -> float:
    """Seconds that a trial may take until all is right."""
    return pytestconfig.getoption("--patience")


@pytest.fixture
def notebook(tmp_path) -> Callable[[Panel], Path]:
    """Write the notebook of a panel, as new, and return where it is."""

    def write(panel: Panel) -> Path:
        browser.write_notebook(tmp_path / PATH, panel.cells)
        return tmp_path

    return write


@contextlib.contextmanager
def loaded(page) -> Iterator[None]:
    with browser.busy_loops(BUSY_LOOPS), browser.throttled(page, SLOWER):
        yield


@pytest.fixture
def trials(request, pytestconfig, record, patience) -> Trials:
    """The trials of the scene that the test is named after."""
    scene = request.node.name.removeprefix("test_").replace("[", "-").rstrip("]")
    return Trials(scene, pytestconfig.getoption("--trials"), patience, record)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
@pytest.mark.parametrize("door", ["lab", "notebook7"])
def test_first_display(door, panel, trials, notebook):
    """A new kernel, a page that never drew a plot: *Run All*, then the button."""
    serve, path = (browser.jupyter_lab, "lab/tree") if door == "lab" else (browser.notebook7, "notebooks")
    with serve(notebook(panel)) as server, browser.browser_page(1280, 1000) as page:

        def attempt(trial: Trials) -> None:
            notebook(panel)  # without the outputs of the last trial
            known = browser.connection_files(server)
            page.goto("about:blank")
            browser.open_notebook(page, server, PATH, 180, path, reset=door == "lab")
            kernel = browser.Kernel(server, known)
            try:
                with loaded(page):
                    browser.run_all(page)
                    page.locator("button:visible", has_text=panel.button).first.wait_for(timeout=180_000)
                    trial.begin()
                    panel.start(kernel, page)
                    trial.check(page, kernel, panel, 0)
            finally:
                kernel.close(shut_down=True)

        trials.run(attempt)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_first_display_in_voila(panel, trials, notebook):
    """A visit to Voilà: the notebook runs, then the panel stands there."""
    with browser.voila(notebook(panel) / PATH) as server, browser.browser_page(1280, 1000) as page:

        def attempt(trial: Trials) -> None:
            known = browser.connection_files(server)
            with loaded(page):
                page.goto(f"{server.url}/?token={server.token}", wait_until="commit", timeout=120_000)
                kernel = browser.Kernel(server, known)
                try:
                    page.locator("button:visible", has_text=panel.button).first.wait_for(timeout=180_000)
                    trial.begin()
                    panel.start(kernel, page)
                    trial.check(page, kernel, panel, 0)
                finally:
                    kernel.close(shut_down=True)

        trials.run(attempt)


@contextlib.contextmanager
def open_panel(serve, root: Path, panel: Panel, path: str) -> Iterator[tuple]:
    """A notebook with a panel that was run and saved: its server, its page and its kernel."""
    with serve(root) as server, browser.browser_page(1280, 1000) as page:
        browser.open_notebook(page, server, PATH, 120, path, reset=path == "lab/tree")
        kernel = browser.Kernel(server)
        browser.run_all(page)
        page.locator("button:visible", has_text=panel.button).first.wait_for(timeout=120_000)
        panel.start(kernel, page)
        browser.save_notebook(page)
        try:
            yield server, page, kernel
        finally:
            kernel.close()


def while_it_runs(panel: Panel, kernel: browser.Kernel) -> int:
    """Train or fly on, from the start where that is over, until there is a curve; returns half of its points.

    Half, because long curves are thinned while they grow.
    """
    if panel is DECK:
        kernel.run("deck.session.stop(); deck.session.reset()")
    panel.start(kernel)
    until(lambda: panel.points(kernel) > 10 * FEW, "no points in Python", 120)
    return panel.points(kernel) // 2


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
@pytest.mark.parametrize("door", ["lab", "notebook7"])
def test_f5(door, panel, trials, notebook):
    """The page is loaded anew while it trains or flies."""
    serve, path = (browser.jupyter_lab, "lab/tree") if door == "lab" else (browser.notebook7, "notebooks")
    with open_panel(serve, notebook(panel), panel, path) as (_, page, kernel), loaded(page):

        def attempt(trial: Trials) -> None:
            least = while_it_runs(panel, kernel)
            trial.begin()
            browser.reload_notebook(page, 180)
            trial.check(page, kernel, panel, least)

        trials.run(attempt)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_close_and_reopen(panel, trials, notebook):
    """The tab of the notebook is closed and opened again while it trains or flies."""
    with open_panel(browser.jupyter_lab, notebook(panel), panel, "lab/tree") as (_, page, kernel), loaded(page):

        def attempt(trial: Trials) -> None:
            least = while_it_runs(panel, kernel)
            browser.save_notebook(page)
            trial.begin()
            browser.close_and_reopen(page, 180)
            trial.check(page, kernel, panel, least)

        trials.run(attempt)


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_second_window(panel, trials, notebook):
    """A second window of the same notebook is opened while it trains or flies in the first."""
    with open_panel(browser.jupyter_lab, notebook(panel), panel, "lab/tree") as (server, first, kernel):

        def attempt(trial: Trials) -> None:
            least = while_it_runs(panel, kernel)
            with browser.second_window(first) as page, loaded(page):
                trial.begin()
                browser.open_notebook(page, server, PATH, 180, reset=False)
                trial.check(page, kernel, panel, least)
                both = browser.points_in_page(first)
                assert sum(both) == int(trial.python), f"the first window has {both} points"

        trials.run(attempt)
