"""Faults of other libraries: every entry is complete, and what it says is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from piwsl_lab.lab import quirks

TESTS = Path(__file__).parents[1]


def extension(folder: Path, version: str) -> None:
    package = folder / quirks.NGLVIEW_EXTENSION
    package.mkdir(parents=True)
    (package / "package.json").write_text(f'{{"version": "{version}"}}')


@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: f"{quirk.library} {quirk.versions}")
def test_every_entry_names_a_test_that_exists(quirk):
    assert all((quirk.library, quirk.versions, quirk.reason, quirk.remedy, quirk.until))
    file, name = quirk.test.removeprefix("tests/").split("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("brought", "asked", "found"),
    [
        ("3.1.5", "4.0", ("4.0", "3.1.5")),
        ("4.0", "4.0", None),
        ("4.0.2", "4.0", None),
        ("4.01", "4.0", ("4.0", "4.01")),
        (None, "4.0", None),
        ("3.1.5", None, None),
    ],
)
def test_a_disagreement_within_nglview_is_found_only_where_there_is_one(tmp_path, monkeypatch, brought, asked, found):
    monkeypatch.setattr(quirks, "nglview_request", lambda: asked)
    if brought is not None:
        extension(tmp_path, brought)
    assert quirks.nglview_disagreement([tmp_path / "nowhere", tmp_path]) == found


def test_a_damaged_extension_is_no_version(tmp_path):
    extension(tmp_path, "3.1.5")
    (tmp_path / quirks.NGLVIEW_EXTENSION / "package.json").write_text("{")
    assert "unreadable" in quirks.front_end_version(quirks.NGLVIEW_EXTENSION, [tmp_path])
    assert quirks.nglview_disagreement([tmp_path]) is None


def test_nglview_asks_for_the_front_end_that_is_there():
    """In a Python of its own: the order of imports is what counts."""
    code = """
import sys
from piwsl_lab.lab import quirks
from piwsl_lab.lab.molecule import view
assert "nglview" not in sys.modules, "the viewer needs no widget of nglview"
asked = quirks.nglview_disagreement()
import nglview
there = quirks.front_end_version(quirks.NGLVIEW_EXTENSION, quirks.extension_folders())
print(nglview.NGLWidget()._model_module_version, asked[1] if asked else there)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    there = quirks.front_end_version(quirks.NGLVIEW_EXTENSION, quirks.extension_folders())
    assert there is not None
    assert output == [there, there]


def test_colab_is_told_from_jupyter(monkeypatch):
    assert quirks.live_widgets_work()
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert not quirks.live_widgets_work()


def test_no_widget_library_is_imported_to_read_them():
    code = "import sys, piwsl_lab.lab.quirks; print(sorted({'nglview', 'plotly', 'ipywidgets'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"


def test_each_page_that_asks_for_all_states_gets_its_answer():
    """A real kernel, two pages: the first asks after the second has come, while a thread makes and closes widgets."""
    import time

    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    try:
        run = "import ipywidgets as W\nfrom piwsl_lab.lab.figures import LivePlot\nslider = W.IntSlider(7)\n"
        run += "import threading, time\n"
        run += "def churn():\n    while True:\n        W.HTML('x').close()\n        time.sleep(0.01)\n"
        run += "threading.Thread(target=churn, daemon=True).start()"
        reply = client.execute_interactive(run, timeout=120)
        assert reply["content"]["status"] == "ok", reply

        def tell(kind: str, page: str, **content) -> None:
            message = client.session.msg(kind, {"comm_id": page, "data": {}} | content)
            message["metadata"] = {"version": "1.0.0"}
            client.shell_channel.send(message)

        for page in ("first", "second"):
            tell("comm_open", page, target_name="jupyter.widget.control")
        for _ in range(20):
            tell("comm_msg", "first", data={"method": "request_states"})
        answers, deadline = [], time.monotonic() + 120
        while len(answers) < 20:
            assert time.monotonic() < deadline, f"{len(answers)} of 20 answers within 120 s"
            message = client.get_iopub_msg(timeout=60)
            assert message["msg_type"] != "error", message["content"]
            if message["msg_type"] == "comm_msg" and "states" in message["content"]["data"]:
                answers.append(message["content"])
        assert {answer["comm_id"] for answer in answers} == {"first"}
        values = [s["state"].get("value") for s in answers[-1]["data"]["states"].values()]
        assert 7 in values
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_server_that_reads_late_gets_every_message():
    """A real kernel and two pages: nobody reads while it sends, as on a machine with too much to do."""
    import time

    from jupyter_client import BlockingKernelClient
    from jupyter_client.manager import start_new_kernel

    count = 3000  # three times as many as ZeroMQ lets wait, and too large for the buffers of the system
    manager, first = start_new_kernel(kernel_name="python3")
    second = BlockingKernelClient(connection_file=manager.connection_file)  # with a session of its own, as a page has
    second.load_connection_file()
    try:
        run = "import ipywidgets as W\nfrom piwsl_lab.lab.figures import LivePlot\nwords = W.HTML()"
        reply = first.execute_interactive(run, timeout=120)
        assert reply["content"]["status"] == "ok", reply
        second.start_channels()
        second.wait_for_ready(timeout=60)
        opened = second.session.msg("comm_open", {"comm_id": "2", "data": {}, "target_name": "jupyter.widget.control"})
        second.shell_channel.send(opened)
        while True:  # until the kernel has heard it
            message = second.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == opened["header"]["msg_id"]:
                if message["content"].get("execution_state") == "idle":
                    break
        asked = first.execute(f"for k in range({count}): words.value = 20_000 * 'x' + str(k)")
        while first.get_shell_msg(timeout=120)["parent_header"].get("msg_id") != asked:
            pass
        time.sleep(1)
        for client in (first, second):
            got = []
            while got[-1:] != ["idle"]:
                message = client.get_iopub_msg(timeout=30)
                if message["parent_header"].get("msg_id") == asked:
                    got.append(message["content"].get("execution_state", message["msg_type"]))
            assert got.count("comm_msg") == count
    finally:
        first.stop_channels()
        second.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_slider_gets_its_end_before_its_value():
    W = pytest.importorskip("ipywidgets")
    slider, told = W.IntSlider(min=0, max=3, value=2), []
    slider.observe(lambda change: told.append((change["name"], change["new"])), ["max", "value"])
    quirks.set_slider(slider, 9, 7)
    assert told == [("max", 9), ("value", 7)]


@pytest.mark.parametrize("version", [7, 8])
def test_traits_are_found_by_the_name_that_their_version_has(version):
    names = {7: ("description_tooltip", "_playing"), 8: ("tooltip", "playing")}[version]

    class Play:
        class_traits = staticmethod(lambda: dict.fromkeys(names))
        has_trait = staticmethod(names.__contains__)

    assert (quirks.tooltip_name(Play), quirks.tooltip_name(Play())) == (names[0], names[0])
    assert quirks.play_name(Play(), "playing") == names[1]
