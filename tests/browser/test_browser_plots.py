"""Live plots in a real Chromium: never blank, whatever is lost or late; numbers on every axis; one plotly.js a page."""

from __future__ import annotations

import browser
import pytest

pytestmark = pytest.mark.browser

CELLS = [
    """
import ipywidgets as W
from piwsl_lab.lab.figures import Curves, LossTerms, Parity
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.study.setup import Setup
session = Session(Setup(channels=16, layers=1, steps=400, energies=10, forces=10, test=40), monitor_every=2)
session.run(60)
session.twins[1].objective.epsilon = 0.2
session.run(60)
plots = [kind([t.name for t in session.twins]) for kind in (Curves, LossTerms, Parity)]
for plot in plots:
    plot.draw(session)
heard = []
plots[0].on_pick(heard.append)
W.VBox([plot.widget for plot in plots])
""",
    "slider = W.FloatSlider()\nslider",
    "slider",
]
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')].map(
    g => g.data.reduce((sum, trace) => sum + trace.x.length, 0))"""
IN_PYTHON = "[sum(len(t.x) for t in plot.figure.data) for plot in plots]"
TICKS = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(
    g => [...g.querySelectorAll('.yaxislayer-above, .yaxislayer-below')].map(a => a.querySelectorAll('text').length))
    .filter(n => n)"""
NUMBERS = "() => document.querySelector('.js-plotly-plot').querySelectorAll('.ytick text').length"
BOXES = """() => [...document.querySelectorAll('.js-plotly-plot')].map(g => ['.modebar', '.legend', '.legend2']
    .map(c => g.querySelector(c)).filter(e => e).map(e => { const b = e.getBoundingClientRect();
    return [b.left, b.top, b.right, b.bottom]; }))"""

# Numbers, words and tick marks of every plot that stand on each other, with a little room for the line above letters.
CROWDED = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(g => {
    const texts = [...g.querySelectorAll('.ytick text, .annotation-text')]
        .map(e => [e.textContent, e.getBoundingClientRect()]);
    const ticks = [...g.querySelectorAll('.xaxislayer-above path, .xaxislayer-below path, path.xtick')]
        .map(e => ['a tick', e.getBoundingClientRect()]);
    return texts.flatMap(([a, r], k) => [...texts.slice(k + 1), ...ticks].filter(([, q]) =>
        Math.min(r.right, q.right) - Math.max(r.left, q.left) > 1
        && Math.min(r.bottom, q.bottom) - Math.max(r.top, q.top) > 3).map(([b]) => `${a} on ${b}`)); })"""

# As on a page that is too busy with the states of all widgets to look for one of them: ipywidgets looks every tenth of
# a second, gives up after two seconds, and does not look again before it does.
TOO_BUSY = """
    const [soon, Socket] = [setTimeout, WebSocket];
    let busyUntil = 0;
    const free = (f) => () => { const left = busyUntil - Date.now(); left > 0 ? soon(free(f), left) : f(); };
    window.setTimeout = (f, ms, ...rest) => ms === 100 && !rest.length ? soon(free(f), ms) : soon(f, ms, ...rest);
    window.WebSocket = class extends Socket {
        constructor(...where) {
            super(...where);
            this.addEventListener('message', ({data}) => {
                const text = typeof data === 'string' ? data : new TextDecoder('latin1').decode(data);
                if (text.includes('"update_states"')) busyUntil = Date.now() + 2500;
            });
        }
    };
    window.gaveUp = 0;
    new MutationObserver(() => {
        const words = [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.textContent);
        window.gaveUp = Math.max(window.gaveUp, words.filter(t => t.includes('model not found')).length);
    }).observe(document, {childList: true, subtree: true, characterData: true});
"""


def points(page) -> list[int]:
    return page.evaluate(POINTS)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    browser.require_chromium()
    root = tmp_path_factory.mktemp("plots")
    browser.write_notebook(root / "plots.ipynb", CELLS)
    with browser.jupyter_lab(root) as server, browser.browser_page(1280, 1500) as page:
        page.received = []
        page.on("websocket", lambda s: s.on("framereceived", lambda m: page.received.append(len(m))))
        page.losing = False

        def between(socket):
            upstream = socket.connect_to_server()
            socket.on_message(upstream.send)
            upstream.on_message(lambda message: None if page.losing else socket.send(message))

        page.route_web_socket("**/channels*", between)
        browser.open_notebook(page, server, "plots.ipynb")
        browser.run_all(page)
        page.wait_for_function(f"() => ({POINTS})().length === 3", timeout=60_000)
        yield page


def in_kernel(page, expression):
    from test_browser_dashboard import in_kernel

    return in_kernel(page, expression)


def test_all_points_are_in_the_page_and_plotly_came_once(page):
    browser.eventually(page, lambda: points(page) == in_kernel(page, IN_PYTHON), "all points in the page")
    assert min(points(page)) > 100
    assert page.evaluate("Object.keys(window.piwslPlotly).length") == 1
    assert page.evaluate("window.Plotly === undefined")  # a page's own plotly is left alone
    assert 1_000_000 < sum(page.received) < 3_000_000


def test_axes_have_numbers_and_keep_them_when_zoomed(page):
    browser.eventually(page, lambda: len(page.evaluate(TICKS)) >= 7, "all axes")
    browser.eventually(page, lambda: min(page.evaluate(TICKS)) >= 2, "two numbers at each")
    for low, high in ((2.0, 2.05), (1.5, 3.5), (2.301, 2.302), (-400.0, 400.0)):
        page.evaluate(
            """async ([low, high]) => { const g = document.querySelector('.js-plotly-plot');
            const P = await Object.values(window.piwslPlotly)[0];
            await P.relayout(g, {'yaxis.range[0]': low, 'yaxis.range[1]': high}); }""",
            [low, high],
        )
        browser.eventually(page, lambda: 2 <= page.evaluate(NUMBERS) <= 8, f"numbers from 10^{low} to 10^{high}")
        in_kernel(page, "[plots[0].draw(session), 0][1]")
        shown = page.evaluate("() => document.querySelector('.js-plotly-plot').layout.yaxis.range")
        assert shown == pytest.approx([low, high]), "a new drawing takes the reader's zoom away"
    page.evaluate(
        """async () => { const P = await Object.values(window.piwslPlotly)[0];
        await P.relayout(document.querySelector('.js-plotly-plot'), {'yaxis.autorange': true}); }"""
    )


@pytest.mark.parametrize("height", [380, 260, 215])
def test_numbers_and_words_have_room_in_a_low_plot(page, height):
    """A fold that opens leaves the curves 230 px."""
    in_kernel(page, f"[setattr(p.widget.layout, 'height', '{height}px') for p in plots[:2]] and 0")
    heights = "() => [...document.querySelectorAll('.js-plotly-plot')].slice(0, 2).map(g => g.layout.height)"
    browser.eventually(page, lambda: page.evaluate(heights) == [height] * 2, "the new height")
    browser.eventually(page, lambda: page.evaluate(CROWDED) == [], "room for all numbers and words", 10)
    browser.eventually(page, lambda: min(page.evaluate(TICKS)) >= 2, "two numbers at each axis", 10)
    in_kernel(page, "[setattr(p.widget.layout, 'height', '380px') for p in plots[:2]] and 0")
    browser.eventually(page, lambda: page.evaluate(heights) == [380] * 2, "the old height")


def test_the_tool_bar_lies_on_no_legend(page):
    page.mouse.move(*[page.locator(".js-plotly-plot").first.bounding_box()[k] + 200 for k in ("x", "y")])
    bars = page.locator(".js-plotly-plot .modebar")
    browser.eventually(page, lambda: bars.count() == 3, "a tool bar to look at")
    for bar, *legends in page.evaluate(BOXES):
        assert legends
        for legend in legends:
            apart = bar[2] <= legend[0] or legend[2] <= bar[0] or bar[3] <= legend[1] or legend[3] <= bar[1]
            assert apart, (bar, legend)


def test_a_click_is_heard_in_python(page):
    area = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    page.mouse.move(area["x"] + 0.3 * area["width"], area["y"] + 0.5 * area["height"])
    page.wait_for_function("() => document.querySelector('.js-plotly-plot .hoverlayer').childElementCount")
    page.mouse.down()
    page.mouse.up()
    browser.eventually(page, lambda: in_kernel(page, "len(heard)") > 0, "a click is heard")


def test_messages_that_are_lost_are_made_good(page):
    before = points(page)
    page.losing = True
    kernel = "jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
    page.evaluate(
        f"""() => {{ {kernel}.requestExecute(
        {{code: "session.run(40)\\nfor plot in plots: plot.draw(session)", store_history: false}}); }}"""
    )
    page.wait_for_timeout(4000)
    assert points(page) == before  # it is really lost
    page.losing = False
    browser.eventually(page, lambda: points(page)[0] > before[0], "the lost state is sent again", 40)
    page.evaluate(f"() => {kernel}.interrupt()")  # the answer to the request above was lost as well
    browser.eventually(page, lambda: points(page) == in_kernel(page, IN_PYTHON), "all points in the page")


def test_after_f5_all_is_there_again_and_a_second_f5_too(page):
    wanted = in_kernel(page, IN_PYTHON)
    browser.save_notebook(page)
    for _ in range(2):
        page.reload()
        page.wait_for_function(f"() => ({POINTS})().length === 3", timeout=60_000)
        browser.eventually(page, lambda: points(page) == wanted, "all points after F5")


def test_an_output_that_gave_up_on_its_widget_is_drawn_again(page):
    wanted = in_kernel(page, IN_PYTHON)
    with browser.second_window(page) as other:
        other.add_init_script(TOO_BUSY)
        other.goto(page.url, wait_until="domcontentloaded")
        other.wait_for_function("() => window.gaveUp > 0", timeout=60_000)
        browser.eventually(other, lambda: points(other) == wanted, "all points in an output that gave up", 60)
        slider = other.locator(".widget-slider:visible")
        browser.eventually(other, lambda: slider.count() == 2, "a widget of somebody else in two other outputs")
        gave_up = other.get_by_text("model not found")
        browser.eventually(other, lambda: gave_up.count() == 0, "no output says that it gave up")


def test_a_dark_page_has_no_white_box_and_no_black_line(page):
    browser.command(page, "apputils:change-theme", theme="JupyterLab Dark")
    colour = "() => document.querySelector('.js-plotly-plot')._fullLayout.paper_bgcolor"
    browser.eventually(page, lambda: page.evaluate(colour) == "#111111", "dark paper")
    plain = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(g => g.data.flatMap(
        t => [t.line && t.line.color, t.marker && t.marker.color])).filter(c => ['#000', '#000000'].includes(c))"""
    browser.eventually(page, lambda: page.evaluate(plain) == [], "no black line")
    stats = browser.pixel_stats(page.locator(".js-plotly-plot").first)
    assert max(stats.background) < 0x30
    browser.command(page, "apputils:change-theme", theme="JupyterLab Light")


def test_a_kernel_that_was_restarted_is_told_in_words(page):
    kernel = "jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
    page.evaluate(f"() => {kernel}.restart()")
    words = page.locator(".piwsl-plot-words:visible", has_text="The kernel of this plot has ended or was restarted")
    browser.eventually(page, lambda: words.count() > 0, "words about the restart")
    assert browser.page_errors(page) == []
