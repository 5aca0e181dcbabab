"""Live plots without a browser: what is state, what is sent, and that nothing else has to arrive."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import ipywidgets as W
import numpy as np
import plotly.graph_objects as go
import pytest

from piwsl_lab.lab.figures import Curves, LivePlot, LossTerms, Parity, log_ticks, smooth, step_end, thin
from piwsl_lab.lab.figures.live import _Library
from piwsl_lab.lab.figures.training import MOST_MARKS
from piwsl_lab.lab.parts.colours import COLOURS, ON_DARK, OTHERS, assign, name_colours, potential_kind, twin_colours
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup

SMALL = {"energies": 10, "forces": 10, "test": 40, "channels": 16, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}


class Two(LivePlot):
    def __init__(self, live=None):
        figure = go.Figure([go.Scatter(x=[], y=[]), go.Scatter(x=["a", "b"], y=[1, 2])])
        super().__init__(figure, live)

    def _update(self, what):
        self.figure.data[0].update(x=np.arange(len(what), dtype=float), y=np.array(what))


def small_session(steps: int = 40) -> Session:
    return Session(Setup(**SMALL, steps=steps), monitor_every=5)


def in_the_page(model) -> list[dict]:
    """The traces as live.js puts them together, from the state alone."""
    state = model.get_state()
    data = json.loads(state["figure"])["data"]
    numbers = np.frombuffer(state["numbers"], dtype="<f4")
    for trace, key, first, length in state["columns"]:
        data[trace][key] = numbers[first : first + length].tolist()
    return data


def test_the_state_of_the_widget_holds_the_whole_picture():
    plot = Two()
    plot.draw([3.0, np.nan, 5.0])
    first, second = in_the_page(plot.state)
    assert first["x"] == [0, 1, 2]
    assert first["y"][0] == 3.0
    assert np.isnan(first["y"][1])
    assert second["x"] == ["a", "b"]
    assert len(plot.state.get_state()["numbers"]) == 2 * 3 * 4


def test_one_drawing_is_one_message_and_the_same_picture_none(monkeypatch):
    plot = Two()
    sent = []
    monkeypatch.setattr(plot.state.comm, "send", lambda data=None, buffers=None, **_: sent.append(data))
    plot.draw([1.0, 2.0])
    assert len(sent) == 1
    assert set(sent[0]["state"]) >= {"columns", "revision"}
    plot.draw([1.0, 2.0])
    assert len(sent) == 1


def test_a_page_that_lost_a_state_gets_all_of_it_again(monkeypatch):
    plot = Two()
    plot.draw([1.0, 2.0])
    sent = []
    monkeypatch.setattr(plot.state, "send_state", lambda key=None: sent.append("state"))
    monkeypatch.setattr(plot.state, "send", lambda content, buffers=None: sent.append(content["type"]))
    plot.state._handle_custom_msg({"type": "have", "revision": plot.state.revision}, [])
    assert sent == ["current"]
    plot.state._handle_custom_msg({"type": "have", "revision": plot.state.revision - 1}, [])
    assert sent == ["current", "state", "current"]


def test_plotly_is_sent_once_for_all_plots():
    one, other = Two(), Two()
    assert one.state.library == other.state.library == _Library.shared().model_id
    code = gzip.decompress(_Library.shared().kept).decode()
    assert "Plotly" in code
    assert len(_Library.shared().kept) < 2_000_000
    for plot in (one, other):
        state = {name: value for name, value in plot.state.get_state().items() if name != "numbers"}
        assert len(json.dumps(state)) < 60_000


def test_the_library_is_state_until_a_page_has_it_and_is_then_sent_on_demand(monkeypatch):
    """What a page asks for after F5 stays small: JupyterLab waits four seconds for all of it."""
    _Library.shared().close()
    library, sent = _Library.shared(), []
    assert library.code == library.kept
    monkeypatch.setattr(library, "send", lambda content, buffers=None: sent.append((content, buffers)))
    library._handle_custom_msg({"type": "loaded"}, [])
    assert library.code == b""
    library._handle_custom_msg({"type": "wanted"}, [])
    assert sent == [({"type": "code"}, [library.kept])]


def test_a_library_that_was_closed_is_made_again():
    plot, before = Two(), _Library.shared().model_id
    _Library.shared().close()
    plot.state._handle_custom_msg({"type": "no library"}, [])
    assert plot.state.library == _Library.shared().model_id != before


def test_what_may_be_deaf_has_no_state_of_its_own():
    """anywidget drops all messages of a widget whose script was late: nothing that changes may be one of its traits."""
    plot = Two()
    before = plot.widget.get_state()
    plot.draw([1.0, 2.0])
    assert plot.widget.get_state() == before
    for model in (plot.state, _Library.shared()):
        assert (model._model_module, model._model_name) == ("@jupyter-widgets/base", "WidgetModel")


def test_picks_and_drags_reach_their_callbacks():
    plot, heard = Two(), []
    plot.on_pick(heard.append)
    plot.on_drag(lambda name, x: heard.append((name, x)))
    plot.state._handle_custom_msg({"type": "pick", "x": 3}, [])
    plot.state._handle_custom_msg({"type": "drag", "name": "cursor", "x": 0.5}, [])
    assert heard == [3.0, ("cursor", 0.5)]


def test_a_closed_plot_leaves_no_widget_behind():
    _Library.shared()
    before = len(W.widgets.widget._instances)
    for _ in range(3):
        plot = Two()
        plot.draw([1.0])
        plot.close()
    assert len(W.widgets.widget._instances) == before


def test_where_no_widget_works_the_plot_is_redrawn():
    session = small_session().run(10)
    for kind in (Curves, LossTerms, Parity):
        plot = kind([twin.name for twin in session.twins], live=False)
        plot.draw(session)
        (output,) = plot.widget.outputs
        assert "plotly" in output["data"]["text/html"]
        assert any(trace.x is not None and len(trace.x) for trace in plot.figure.data)


def test_a_moved_knob_leaves_a_line_and_its_words():
    session = small_session(100)
    session.run(20)
    session.twins[1].objective.epsilon = 0.2
    session.run(20)
    session.twins[1].objective.pitc = 0.0
    session.run(20)
    plot = Curves([t.name for t in session.twins])
    plot.draw(session)
    lines = [(s.x0, s.line.dash) for s in plot.figure.layout.shapes if s.name == "move"]
    words = [a.text for a in plot.figure.layout.annotations if a.name == "move"]
    assert lines == [(20, "dot"), (40, "dot")]
    assert words == ["ε 0.05 → 0.2 Å", "PITC 100 → off"]


def test_a_slider_drawn_over_many_stops_is_one_move_and_many_moves_do_not_bury_the_curves():
    stops = {k: Objective(pitc=100.0, epsilon=e) for k, e in ((0, 0.05), (500, 0.06), (502, 0.08), (505, 0.1))}
    session = SimpleNamespace(twins=[SimpleNamespace(changes=stops)])
    from piwsl_lab.lab.figures.training import _moves

    _, words = _moves(session.twins[0].changes, 1000)
    assert [w["text"] for w in words] == ["ε 0.05 → 0.1 Å"]
    many = {50 * k: Objective(pitc=float(k + 1)) for k in range(20)}
    lines, words = _moves(many, 1000)
    assert len(lines) == len(words) == MOST_MARKS
    assert words[-1]["text"] == "PITC 19 → 20"
    back = {0: Objective(), 500: Objective(epsilon=0.1), 505: Objective()}
    assert _moves(back, 1000) == ([], [])


def test_the_cursor_and_the_moves_do_not_disturb_each_other():
    session = small_session(100).run(10)
    session.twins[1].objective.epsilon = 0.1
    session.run(10)
    plot = Curves([t.name for t in session.twins])
    plot.mark(5)
    plot.draw(session)
    assert {s.name for s in plot.figure.layout.shapes} == {"move", "cursor"}
    plot.mark(None)
    assert {s.name for s in plot.figure.layout.shapes} == {"move"}


def test_a_twin_that_became_something_else_changes_its_colour():
    session = small_session(20)
    plot = Curves([t.name for t in session.twins])
    plot.draw(session)
    assert [t.line.color for t in plot.figure.data[:2]] == [COLOURS["direct"], COLOURS["direct + PITC"]]
    session.reset(replace(session.setup, head="dual"))
    plot.draw(session)
    assert [t.line.color for t in plot.figure.data[:2]] == [COLOURS["conservative"], COLOURS["dual"]]
    assert twin_colours(session.twins)["PIWSL"] == COLOURS["dual"]


def test_a_kind_has_one_colour_and_no_two_lines_of_a_page_are_alike():
    assert potential_kind("direct", True) == "direct + PITC"
    assert potential_kind("dual", False) == "dual"
    colours = name_colours(["direct", "direct + PITC", "conservative", "dual", "GFN2-xTB", "supervised", "mine"])
    assert len(set(colours.values())) == len(colours)
    assert colours["GFN2-xTB"] == "#000000"
    assert colours["supervised"] in OTHERS  # "direct" has its colour already
    assert name_colours(["mine"], {"mine": "conservative"})["mine"] == COLOURS["conservative"]
    assert len(set(assign({str(k): None for k in range(4)}).values())) == 4
    assert not {c.upper() for c in ON_DARK} - set(ON_DARK), "keys are compared in upper case"


def test_every_tab_draws_what_a_session_knows():
    session = small_session().run(20)
    curves, terms, parity = (kind([t.name for t in session.twins]) for kind in (Curves, LossTerms, Parity))
    for plot in (curves, terms, parity):
        plot.draw(session)
    assert list(curves.figure.data[0].x) == [0, 5, 10, 15, 20]
    last = session.twins[1].points[-1][1]
    assert in_the_page(curves.state)[1]["y"][-1] == pytest.approx(1000 * last.energy_mae, rel=1e-6)
    assert in_the_page(curves.state)[3]["y"][-1] == pytest.approx(1000 * last.force_rmse, rel=1e-6)
    drawn = {(t.name, len(t.x)) for t in terms.figure.data if len(t.x)}
    assert drawn == {
        *(("supervised", 20), ("supervised: force", 20), ("PIWSL", 20), ("PIWSL: force", 20)),
        ("PIWSL: Taylor consistency (PITC), eV²", 20),
    }
    energy = parity.figure.data[2]
    errors = np.abs(np.array(energy.y) - np.array(energy.x))
    assert errors.mean() == pytest.approx(1000 * last.energy_mae, rel=1e-4)


def test_after_reset_no_curve_of_the_old_run_is_left():
    session = small_session().run(20)
    plots = [kind([t.name for t in session.twins]) for kind in (Curves, LossTerms)]
    for plot in plots:
        plot.draw(session)
    session.reset()
    for plot in plots:
        plot.draw(session)
    assert max(len(t["x"]) for t in in_the_page(plots[0].state)) == 1
    assert max(len(t["x"]) for t in in_the_page(plots[1].state)) == 0


def test_many_points_are_thinned_and_batches_averaged():
    assert thin([1, 2, 3, 4, 5], limit=2) == [2, 5]
    assert thin([], limit=2) == []
    x, y = smooth(np.arange(10.0), np.arange(10.0) ** 2, limit=5)
    assert x.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert y.tolist() == [0.5, 6.5, 20.5, 42.5, 72.5]


def test_the_step_axis_seldom_moves():
    assert [step_end(step, 800) for step in (0, 20, 99, 101, 399, 401)] == [12.5, 25, 100, 200, 400, 800]


@pytest.mark.parametrize("low", [1e-5, 0.3, 90.0])
@pytest.mark.parametrize("ratio", [1.0, 1.02, 1.3, 2.0, 3.0, 5.0, 100.0, 1e6])
def test_ticks_of_a_logarithmic_axis_can_be_read(low, ratio):
    ticks, words = log_ticks(np.array([low, low * ratio]))
    assert len(ticks) == len(words) <= 7
    assert ratio == 1.0 or sum(low <= tick <= low * ratio for tick in ticks) >= 2
    np.testing.assert_allclose([float(word) for word in words], ticks, rtol=1e-9)


def test_reprs_do_not_change_from_run_to_run():
    assert repr(Two().widget) == repr(Two().widget) == "LivePlot()"
