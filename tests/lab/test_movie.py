"""A saved flight: files that other programs read, and a page that moves in a browser without a network."""

from __future__ import annotations

import errno
import os
import re

import ase.io
import browser
import numpy as np
import pytest
from frames import rattled
from test_flight_deck import flights, free, soft

from piwsl_lab.data import Frame
from piwsl_lab.lab.figures import movie as export
from piwsl_lab.lab.figures.movie import new_folder, save_flight
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.sessions.md import FlightSession

MEGABYTES = 6e6  # of everything that a browser opens


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_flight_is_saved_for_other_programs_and_for_a_browser(tmp_path):
    session = flights().run(20)
    deck = FlightDeck(session)
    paths = save_flight(session, tmp_path / "out", 1, deck.plots.figure, deck.colours)
    assert [p.name for p in paths] == ["bonded.extxyz", "free.extxyz", "flight.html"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(p.name for p in paths)
    images = ase.io.read(paths[0], ":")
    track = session.tracks["bonded"]
    assert [image.info["time_fs"] for image in images] == track.time
    assert np.allclose(images[-1].positions, track.positions[-1][1], atol=1e-6)
    page = paths[-1].read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img)[^>]* (?:src|href)=", page) == []  # the library is inside
    with pytest.raises(ValueError, match="not an empty folder"):
        save_flight(session, tmp_path / "out")
    with pytest.raises(ValueError, match="replicas 0 to 1"):
        save_flight(session, tmp_path / "other", 2)
    assert not (tmp_path / "other").exists()


def test_three_movies_and_their_curves_have_at_most_6_megabytes(tmp_path):
    session = FlightSession({"a": soft(), "b": free(), "c": free()}, rattled("C2H6"), replicas=1).run(4 * 220)
    deck = FlightDeck(session)
    paths = save_flight(session, tmp_path / "out", 0, deck.plots.figure, deck.colours)
    pages = [path.stat().st_size for path in paths if path.suffix != ".extxyz"]
    assert sum(pages) < MEGABYTES
    assert len(session.tracks["a"].time) > export.MOST_PICTURES  # as many as a movie ever has


def test_a_large_molecule_gets_fewer_pictures_and_no_larger_page(tmp_path):
    rng = np.random.default_rng(0)
    places = 2.5 * np.array([(i, j, k) for i in range(9) for j in range(9) for k in range(9)], dtype=float)
    frame = Frame(
        np.full(len(places), 6), places + rng.uniform(-0.1, 0.1, places.shape), np.zeros((3, 3)), np.zeros(3, bool)
    )
    session = FlightSession({"a": free(), "b": free(), "c": free()}, frame, replicas=1).run(4 * 40)
    (*_, page) = save_flight(session, tmp_path / "out")
    assert page.stat().st_size < MEGABYTES
    count = len(re.search(r'"times": \[([^]]*)\]', page.read_text(encoding="utf-8")).group(1).split(","))
    assert 2 <= count < len(session.tracks["a"].time)


def test_the_save_button_says_where_and_how_much(home):
    deck = FlightDeck(flights())
    deck.save.click()
    (folder,) = home.iterdir()
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    assert f"Saved 3 files ({megabytes:.1f} MB) in {folder};" in deck.status.value
    deck.save.click()  # within the same second, perhaps
    assert "Saved 3 files" in deck.status.value
    assert len(list(home.iterdir())) == 2


def test_a_folder_is_never_used_twice(home):
    folders = [new_folder(name="flight") for _ in range(3)]
    assert [folder.name for folder in folders] == ["flight", "flight-2", "flight-3"]
    assert all(folder.is_absolute() and folder.is_dir() for folder in folders)


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "cannot be written to"), (errno.EIO, "choose another folder")],
)
def test_what_cannot_be_written_is_said_and_nothing_is_left(home, monkeypatch, number, words):
    write, calls = export.write_whole, []

    def fails_at_the_second(path, content):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(number, os.strerror(number))
        return write(path, content)

    monkeypatch.setattr(export, "write_whole", fails_at_the_second)
    deck = FlightDeck(flights())
    deck.save.click()
    assert "Save was not possible" in deck.status.value
    assert words in deck.status.value
    assert str(home) in deck.status.value
    assert "Error" not in deck.status.value
    assert list(home.iterdir()) == []


def test_a_path_through_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="a part of this path is a file"):
        save_flight(flights(), tmp_path / "file" / "out")
    with pytest.raises(ValueError, match="a part of this path is a file"):
        new_folder(tmp_path / "file")
    with pytest.raises(ValueError, match="the name is too long"):
        save_flight(flights(), tmp_path / ("x" * 300))


def test_names_that_are_no_file_names_keep_their_files_apart(tmp_path):
    names = ("a/b", "a b", "A_B", "../x", "", "</script><b>")
    session = FlightSession({name: free() for name in names}, rattled("H2O"), replicas=1)
    paths = save_flight(session, tmp_path / "out")
    assert len({path.name.lower() for path in paths}) == len(names) + 1
    assert {path.parent for path in paths} == {tmp_path / "out"}
    page = paths[-1].read_text(encoding="utf-8")
    assert "<b>&lt;/script&gt;&lt;b&gt;</b>" in page
    assert page.count("</script>") == 3  # data, library, player: no name has ended one of them


def test_a_lost_replica_is_marked_in_the_page(tmp_path):
    from test_flight_deck import Still

    wild = Still(lambda g: g.sum_over_atoms(-500.0 * g.positions.square().sum(1)))
    session = FlightSession({"wild": wild, "free": free()}, rattled("H2O"), replicas=1).run(40)
    paths = save_flight(session, tmp_path / "out")
    lost = re.findall(r'"lost": ([^,}]*)', paths[-1].read_text(encoding="utf-8"))
    assert float(lost[0]) == pytest.approx(session.simulations["wild"].lost[0].time / 1000.0, abs=0.0021)
    assert lost[1] == "null"
    assert len(ase.io.read(paths[0], ":")) < len(ase.io.read(paths[1], ":"))


# The first picture of the page with the slider at its end: what the button says then, as `window.said`.
AT_THE_END = """() => {
    const slider = document.getElementById('moment');
    if (Number(slider.value) < Number(slider.max)) return false;
    window.said = document.getElementById('play').textContent;
    return true;
}"""


@pytest.mark.browser
def test_a_saved_flight_moves_in_a_browser_without_a_network(tmp_path):
    session = flights(temperature=900.0).run(120)
    deck = FlightDeck(session)
    path = save_flight(session, tmp_path / "out", 1, deck.plots.figure, deck.colours)[-1]
    asked = []
    with browser.browser_page(1280, 720) as page:
        page.context.set_offline(True)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 3")

        def places(k):
            return [track.positions[k][1].ravel() for track in session.tracks.values()]

        def shows(k):
            return all(np.allclose(a, b, atol=1e-4) for a, b in zip(page.evaluate("shown()"), places(k), strict=True))

        browser.eventually(page, lambda: shows(0), "the first picture")
        stats = browser.pixel_stats(page.locator(".molecule").first)
        assert stats.foreground > 500
        points = page.evaluate("document.getElementById('curves').data.map(trace => trace.x.length)")
        assert points == [len(session.tracks["free"].time)] * 8
        drawn = page.locator("#curves .nsewdrag")
        browser.eventually(page, lambda: drawn.count() == 4, "curves drawn to their end")
        page.locator("#play").click()
        page.wait_for_function(AT_THE_END)
        assert page.evaluate("window.said") == "▶ play"  # it offers no pause of what has ended
        browser.eventually(page, lambda: shows(len(session.tracks["free"].time) - 1), "the last picture, by itself")
        page.locator("#moment").fill("5")
        browser.eventually(page, lambda: shows(5), "the picture the slider asks for")
        assert page.locator("#time").inner_text() == f"{session.tracks['free'].time[5] / 1000:.3f} ps"
        cursor = "document.getElementById('curves').layout.shapes.filter(s => s.name === 'cursor').map(s => s.x0)"
        browser.eventually(page, lambda: page.evaluate(cursor) == [0.010] * 4, "the cursor in all four curves")
        height, width = page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]")
        assert (height, width) <= (720, 1280)  # on one screen
        assert browser.page_errors(page) == []
        if folder := os.environ.get("PIWSL_LAB_SCREENSHOT_FOLDER"):
            page.screenshot(path=os.path.join(folder, "saved.png"))
    assert asked == [path.as_uri()]


@pytest.mark.browser
def test_play_in_a_page_with_one_moment_does_nothing_and_says_play(tmp_path):
    """A flight that was saved before it began."""
    session = flights()
    path = save_flight(session, tmp_path / "out")[-1]
    with browser.browser_page(1280, 720) as page:
        page.goto(path.as_uri())
        assert page.locator("#moment").get_attribute("max") == "0"
        page.locator("#play").click()
        said = page.locator("#play")
        browser.eventually(page, lambda: said.inner_text() == "▶ play", "the end of what has one moment", 5)
        assert page.locator("#time").inner_text() == "0.000 ps"
        assert browser.page_errors(page) == []
