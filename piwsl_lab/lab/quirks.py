"""Faults of other libraries that are mended or avoided here, each with its reason, its test and the day it can go.

No widget library is imported in here, so that `doctor` can read it where one of them is broken.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NGLVIEW_EXTENSION = "nglview-js-widgets"
WAITING_MESSAGES = 20_000  # for one page, at most
# JavaScript for the front of an `_esm`.
KEEP_LISTENING, DRAW_AGAIN = (
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("keep_listening.js", "draw_again.js")
)


@dataclass(frozen=True)
class Quirk:
    """One fault of another library.

    Parameters
    ----------
    library, versions : whose fault it is, and where it was seen.
    reason : what goes wrong without us.
    remedy : what we do about it.
    test : the test that holds the remedy, as ``file::name``.
    until : when the entry can be deleted.
    """

    library: str
    versions: str
    reason: str
    remedy: str
    test: str
    until: str


QUIRKS = (
    Quirk(
        "nglview",
        "4.0.1",
        "Its Python half asks the page for front end 4.0, and its JupyterLab extension is 3.1.5: an error stands where "
        "a molecule should be.",
        "`mend_nglview` gives its Python half the version of the extension, before it is imported. Our own viewer "
        "takes whatever version of the extension the page has.",
        "tests/lab/test_quirks.py::test_nglview_asks_for_the_front_end_that_is_there",
        "nglview's two halves agree and the lower bound in pyproject.toml is past 4.0.1.",
    ),
    Quirk(
        "nglview",
        "3.1 to 4.0.1",
        "Its widget draws what messages tell it, so that a page loaded anew waits for the kernel; each widget keeps "
        "two polling threads and a dozen helper widgets for ever.",
        "lab/molecule/viewer.js draws from the state of an anywidget and takes NGL alone out of nglview's extension; "
        "the Python half of nglview is not imported.",
        "tests/lab/test_viewer.py::test_fifty_views_leave_nothing_behind",
        "nglview draws from state and `NGLWidget.close()` ends its threads.",
    ),
    Quirk(
        "nglview",
        "3.1 to 4.0.1",
        "Its extension keeps NGL to itself.",
        "lab/molecule/viewer.js asks the class `NGLView` for it, whose `executeCode` runs text where NGL is in scope.",
        "tests/browser/test_browser_viewer.py::test_a_person_sees_atoms_arrows_errors_and_a_movie",
        "the extension exports NGL.",
    ),
    Quirk(
        "anywidget",
        "0.9.13 to 0.11.0",
        "Where its module is not imported within 2 s of the model's birth, a model drops every later message: the "
        "view shows its first state for ever. A busy machine or 5 MB of JavaScript are enough, as in plotly's "
        "FigureWidget.",
        "`KEEP_LISTENING` hands messages to the model without that wait.",
        "tests/browser/test_browser_viewer.py::test_a_page_too_slow_for_anywidget_still_gets_every_state",
        "anywidget retries, or waits as long as it takes.",
    ),
    Quirk(
        "ipywidgets",
        "7.7 to 8.1.9",
        "After F5 a page asks for the states of all widgets. The answer goes to whichever page came last, and none "
        "comes where a thread makes or closes a widget meanwhile: the page waits 4 s, then asks for each widget alone.",
        "`mend_states` answers the page that asked, from a copy of the list of widgets.",
        "tests/lab/test_quirks.py::test_each_page_that_asks_for_all_states_gets_its_answer",
        "ipywidgets answers on the comm that asked and copies its table.",
    ),
    Quirk(
        "ipywidgets",
        "8.1.9",
        "An output looks for its widget every tenth of a second for two seconds, and then gives up without a last "
        'look. A page that takes in the states of all widgets is busy for so long: it says "model not found" for '
        "ever, beside the widget.",
        "`DRAW_AGAIN` draws every output of the notebook again that gave up on a widget which is there.",
        "tests/browser/test_browser_plots.py::test_an_output_that_gave_up_on_its_widget_is_drawn_again",
        "ipywidgets looks again before it gives up.",
    ),
    Quirk(
        "ipywidgets",
        "8.1",
        "A slider in a page that learns of a new end and a new value in one message answers with its old value.",
        "`set_slider` sends them one after the other.",
        "tests/lab/test_quirks.py::test_a_slider_gets_its_end_before_its_value",
        "ipywidgets takes both at once.",
    ),
    Quirk(
        "ipywidgets",
        "7.7 to 8.1",
        "The words of a widget, which a page without widgets shows, end after 110 letters.",
        "`whole_words` puts all of them into the bundle.",
        "tests/lab/test_players.py::test_a_page_without_widgets_has_all_the_words",
        "ipywidgets cuts no words.",
    ),
    Quirk(
        "ipywidgets",
        "7.7, as on Google Colab",
        "Tooltips and the states of a `Play` have other names than in version 8.",
        "`tooltip_name` and `play_name` say which one a widget has.",
        "tests/lab/test_quirks.py::test_traits_are_found_by_the_name_that_their_version_has",
        "Colab runs ipywidgets 8, and the lower bound in pyproject.toml is 8.",
    ),
    Quirk(
        "ipykernel",
        "7.4.0",
        "ZeroMQ lets 1000 messages wait for a server that reads late and drops the others: widgets are missing, and a "
        "cell whose last message is among them never ends. Many molecules at once on a busy machine are enough.",
        "`mend_line` lets more messages wait, on the line of every page that is there or comes.",
        "tests/lab/test_quirks.py::test_a_server_that_reads_late_gets_every_message",
        "ipykernel lifts the limit of its IOPub socket.",
    ),
    Quirk(
        "google.colab",
        "its page of 2026-08",
        "Widgets of our own are not sure to work in its page, and its ipywidgets must not be replaced.",
        "`live_widgets_work` is False there: figures are drawn anew instead of being updated.",
        "tests/lab/test_quirks.py::test_colab_is_told_from_jupyter",
        "Colab runs ipywidgets 8.",
    ),
)


def live_widgets_work() -> bool:
    """Whether the page takes widgets of our own; not known of Google Colab."""
    return "google.colab" not in sys.modules


def on_voila() -> bool:
    """Whether Voilà shows this notebook: its pages run code, and let nobody write any."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def tooltip_name(widget: Any) -> str:
    """How a widget, or its class, calls its tooltip: in ipywidgets 7 not everywhere as in 8."""
    return "tooltip" if "tooltip" in widget.class_traits() else "description_tooltip"


def play_name(play: Any, name: str) -> str:
    """How a `Play` calls "playing" or "repeat": in ipywidgets 7 with an underscore."""
    return name if play.has_trait(name) else f"_{name}"


def set_slider(slider: Any, last: int, value: int) -> None:
    """Put a slider, or a `Play`, at a value and its end at `last`, in two messages."""
    slider.max = last
    slider.value = value


def whole_words(widget: Any, bundle: Any) -> Any:
    """The bundle of a widget for a page, with all letters of its `repr`."""
    found = bundle[0] if isinstance(bundle, tuple) else bundle
    if found:
        found["text/plain"] = repr(widget)
    return bundle


def front_end_version(name: str, folders: Sequence[Path]) -> str | None:
    """Version of a JupyterLab extension in the first folder that has it; None where there is none."""
    for folder in folders:
        package = folder / name / "package.json"
        if package.is_file():
            try:
                return str(json.loads(package.read_text(encoding="utf-8")).get("version", "of unknown version"))
            except json.JSONDecodeError:
                return f"unreadable ({package})"
    return None


def extension_folders() -> list[Path]:
    """Folders where JupyterLab looks for prebuilt extensions; empty without Jupyter."""
    if importlib.util.find_spec("jupyter_core") is None:
        return []
    from jupyter_core.paths import jupyter_path

    return [Path(folder) for folder in [*jupyter_path("labextensions"), f"{sys.prefix}/share/jupyter/labextensions"]]


def nglview_request() -> str | None:
    """Version of the front end that nglview's Python half asks for; None where it is missing or does not say."""
    spec = importlib.util.find_spec("nglview")
    for folder in spec.submodule_search_locations or () if spec else ():
        source = Path(folder, "_frontend.py")
        if source.is_file():
            found = re.search(r"""__frontend_version__\s*=\s*['"]([^'"]+)""", source.read_text(encoding="utf-8"))
            return found[1] if found else None
    return None


def nglview_disagreement(folders: Sequence[Path] | None = None) -> tuple[str, str] | None:
    """Versions of the front end that nglview asks for and brings, where these are not the same; else None.

    Parameters
    ----------
    folders : where to look for extensions; by default where JupyterLab looks.
    """
    brought = front_end_version(NGLVIEW_EXTENSION, extension_folders() if folders is None else folders)
    asked = nglview_request()
    if asked is None or brought is None or not brought[:1].isdigit():
        return None
    if brought == asked or brought.startswith(f"{asked}."):
        return None
    return asked, brought


def mend_nglview() -> None:
    """Let nglview ask for the front end that it brought, whoever imports it from now on."""
    disagreement = nglview_disagreement()
    if disagreement is not None and "nglview" not in sys.modules:
        # nglview opens a widget (its colour registry) while it is imported: the version is put right before that.
        stand_in = types.ModuleType("nglview._frontend")
        vars(stand_in)["__frontend_version__"] = disagreement[1]
        sys.modules["nglview._frontend"] = stand_in


def mend_kernel() -> None:
    """Mend the line of messages to the page and the answer to its questions; outside a kernel nothing happens."""
    mend_line()
    mend_states()


def mend_line() -> None:
    """Let many messages wait for the server of the page; lines that come later start with the old limit."""
    if "ipykernel.kernelapp" not in sys.modules:
        return
    import zmq
    from ipykernel.kernelapp import IPKernelApp

    thread = IPKernelApp.instance().iopub_thread if IPKernelApp.initialized() else None
    socket = getattr(thread, "socket", None)
    if thread is not None and isinstance(socket, zmq.Socket):
        thread.schedule(lambda: socket.set(zmq.SNDHWM, WAITING_MESSAGES))  # in the only thread that may touch it


def mend_states() -> None:
    """Let every page that asks for the states of all widgets get its answer."""
    try:
        from comm import get_comm_manager
    except ImportError:  # ipywidgets 7 beside an old kernel: left as it is
        return
    targets = getattr(get_comm_manager(), "targets", {})
    if "jupyter.widget.control" in targets:
        targets["jupyter.widget.control"] = _states_wanted


def _states_wanted(comm: Any, message: dict[str, Any]) -> None:
    """A page has come and opened its line: what it asks there is answered there."""
    mend_line()
    comm.on_msg(lambda asked: comm.send(*_all_states(asked)))


def _all_states(asked: dict[str, Any]) -> tuple[dict[str, Any], None, list[Any]]:
    """Data, metadata and buffers of the answer to "request_states" (protocol 1.0 of the control channel)."""
    from ipywidgets.widgets import widget as library

    method = asked["content"]["data"].get("method")
    if method != "request_states":
        raise RuntimeError(f"a page asked for {method!r} on the line for widget states: only 'request_states' is known")
    states = {}
    for widget in list(library._instances.values()):
        name = widget.model_id
        if name is not None:  # one that was closed a moment ago has none
            names = {key: getattr(widget, f"_{key}") for key in ("model_name", "model_module", "model_module_version")}
            states[name] = {**names, "state": widget.get_state()}
    states, paths, buffers = library._remove_buffers(states)
    return {"method": "update_states", "states": states, "buffer_paths": paths}, None, buffers
