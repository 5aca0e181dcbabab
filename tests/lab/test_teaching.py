"""The page for teachers and the list of notebooks: nothing that they name is missing, and no number in them is old."""

from __future__ import annotations

import csv
import itertools
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

import piwsl_lab
from piwsl_lab.cli import main as cli
from piwsl_lab.lab import lesson
from piwsl_lab.lab.checks import CHECKS, QUESTIONS
from piwsl_lab.lab.players import (
    AdvicePlayer,
    BiasPlayer,
    BondPlayer,
    CoveragePlayer,
    SlopePlayer,
    SpringPlayer,
    StarvingPlayer,
    TaylorPlayer,
    UnitPlayer,
    statistics,
)
from piwsl_lab.lab.players.player import Yours
from piwsl_lab.lab.sessions.replay import Replay
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup

ROOT = Path(__file__).resolve().parents[2]
PAGE, LIST = ROOT / "docs" / "teaching.md", ROOT / "notebooks" / "README.md"
TEXT = PAGE.read_text(encoding="utf-8")
LARGEST, ALL = 60_000, 300_000  # bytes of a picture, and of all: the page is read over slow lines too
MOST_WORDS = 20


def section(title: str, text: str = TEXT) -> str:
    """What stands below a heading, down to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", text, re.MULTILINE)
    assert found, f"no heading {title!r}"
    end = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE).search(text, found.end())
    return text[found.end() : end.start() if end else len(text)]


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the rows of all tables, by their first cell without its marks."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|- :"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
            found[cells[0].strip("`*")] = cells
    return found


def right(key: str) -> str:
    """The option of a question that its comment calls right."""
    (option,) = [option.text for option in QUESTIONS[key].options if option.comment.startswith("Right")]
    return option


# -- links and pictures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [PAGE, LIST], ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert links
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), f"{page.name}: {link} is not there"
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles], link


def test_every_picture_is_shown_and_small():
    from PIL import Image

    pictures = sorted((ROOT / "docs" / "teaching").glob("*.png"))
    assert len(pictures) >= 5
    for picture in pictures:
        assert f"](teaching/{picture.name})" in TEXT
        assert picture.stat().st_size <= LARGEST
        with Image.open(picture) as image:
            assert len(image.convert("RGB").getcolors(1 << 20)) <= 128
    assert sum(picture.stat().st_size for picture in pictures) <= ALL


def test_the_script_makes_the_pictures_that_are_there():
    source = (ROOT / "tools" / "teaching_pictures.py").read_text(encoding="utf-8")
    made = set(re.findall(r'^    "(\w+)": ', source, re.MULTILINE))
    assert made == {path.stem for path in (ROOT / "docs" / "teaching").glob("*.png")}


def test_every_picture_has_words_for_those_who_cannot_see_it():
    for words in re.findall(r"!\[([^\]]*)\]", TEXT):
        assert len(words.split()) >= 5, words


# -- the list of notebooks ------------------------------------------------------------------------------------------


def test_every_notebook_is_in_the_list_and_nothing_else():
    text = LIST.read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)/]+\.ipynb)\)", text))
    assert linked == {path.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert linked == set(re.findall(r"\w+\.ipynb", text))


def test_the_list_has_sixteen_lessons_and_says_what_the_notebooks_say():
    found = rows(section("The sixteen lessons", LIST.read_text(encoding="utf-8")))
    assert sorted(found)[:-1] == [f"{number:02d}" for number in range(16)]  # the last is the head
    for number, (_, title, level, minutes, _) in found.items():
        notebooks = list((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
        if "](" not in title:
            assert "to come" in title or number == "lesson"
            continue
        cell = nbformat.read(notebooks[0], as_version=4).cells[0].source
        assert title.split("[")[1].split("]")[0] in cell.splitlines()[0].replace("'", "’")
        assert f"**{minutes} minutes**" in cell
        assert level in cell


# -- the key --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", QUESTIONS)
def test_every_prediction_is_in_the_key_with_what_is_right(key):
    found = rows(section("The key: predictions"))
    assert found[key][1] == right(key)
    wrong = [option.text for option in QUESTIONS[key].options if option.text != right(key)]
    assert any(text in found[key][3] for text in wrong)


@pytest.mark.parametrize("key", QUESTIONS)
def test_the_notebook_measures_what_the_key_says(key):
    (path,) = (ROOT / "notebooks").glob(f"{key[:2]}_*.ipynb")
    measured = [
        output.data["text/plain"]
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and f'reveal("{key}"' in cell.source.replace("(\n    ", "(")
        for output in cell.outputs
        if "Measured:" in output.get("data", {}).get("text/plain", "")
    ]
    assert len(measured) == 1
    assert right(key) in measured[0]


@pytest.mark.parametrize("key", CHECKS)
def test_every_build_is_in_the_key_with_all_of_its_mistakes(key):
    found = rows(section(key))
    head = {"mistake"}
    assert set(found) - head == {mistake.name for mistake in CHECKS[key].mistakes}
    assert "Solution in words." in section(key)


ETHANOL = piwsl_lab.load("ethanol")


def unit_player(function):
    player = UnitPlayer(ETHANOL[0], function)
    player.knobs["unit"].value = "kcal/mol per Å"
    return player


PLAYERS = {
    "01.force": BondPlayer,
    "01.slope": SlopePlayer,
    "04.unit_factor": unit_player,
    "05.exponent": StarvingPlayer,
    "06.pitc": lambda function: TaylorPlayer(ETHANOL[0], function, rule="the mean of both forces"),
    "07.bias": lambda function: BiasPlayer(ETHANOL[0], function),
    "07.softness": SpringPlayer,
}


@pytest.mark.parametrize("key", PLAYERS)
def test_the_key_has_the_numbers_that_the_figure_says(key):
    pytest.importorskip("tblite", reason="the numbers of the key are those of GFN2-xTB")
    player = PLAYERS[key](CHECKS[key].reference)
    found = rows(section(key))
    try:
        assert same(section(key).replace("\n", " ").split("right: ")[1].split(")")[0], said(player))
        for mistake in CHECKS[key].mistakes:
            player.yours = Yours(mistake.function)
            player.draw()
            assert same(found[mistake.name][1], said(player)), mistake.name
    finally:
        player.close()


def same(page: str, player: str) -> bool:
    """Whether a number of the page is that of a figure: the last digit may be rounded the other way elsewhere."""
    (one, unit), (two, other) = (re.fullmatch(r"(−?[\d.]+)?(.*)", text).groups() for text in (page, player))
    if one is None or two is None:
        return page == player
    step = 10.0 ** -len(one.partition(".")[2])
    return unit == other and abs(float(one.replace("−", "-")) - float(two.replace("−", "-"))) < 1.5 * step


def said(player) -> str:
    """The learner's number as a figure says it, with the signs of a page."""
    number = repr(player).split("Yours: ")[1].rstrip(".").split(" ")
    number[-2:] = ["0", "meV"] if number[-2:] == ["-0", "meV"] else number[-2:]
    return " ".join(number).replace("k′/k = ", "").replace("-", "−")


def test_the_key_has_the_coverage_of_wrong_intervals(monkeypatch):
    monkeypatch.setattr(statistics, "PATIENCE", 1e9)  # all experiments, however slow this machine is
    player = CoveragePlayer(experiments=2000)
    found = rows(section("05.bootstrap"))
    assert f"right: {player.coverage(5):.0f} of 100)" in section("05.bootstrap")
    for mistake in CHECKS["05.bootstrap"].mistakes:
        assert found[mistake.name][1] == f"{player.coverage(5, mistake.function):.0f} of 100", mistake.name
    player.close()


def test_numbers_for_the_board_are_measured():
    """All but those of the training with 200 labels, which takes too long here."""
    pytest.importorskip("tblite", reason="the numbers of 06 are those of GFN2-xTB")
    text = section("Numbers for the board").replace("\n  ", " ")
    setup = Setup(data="ethanol", energies=50, forces=50, channels=32, steps=600)
    stored = Replay.of(setup, {"supervised": Objective(), "PIWSL": Objective(pitc=100.0, epsilon=0.05)}).advance(10)
    plain, piwsl = (twin.final for twin in stored.twins)
    energy, force = plain.energy_mae / piwsl.energy_mae, plain.force_rmse / piwsl.force_rmse
    assert f"the energy error is {energy:.1f} times lower with PIWSL, the force error {force:.1f} times" in text
    study = StarvingPlayer()
    alone, pitc = (study.errors(method, "energy error") for method in ("labels alone", "with PITC"))
    for labels in (50, 200):
        assert f"{alone[labels].mean() / pitc[labels].mean():.1f} times with {labels} labels" in text
    taylor = TaylorPlayer(ETHANOL[0])
    left = [taylor.remainder("random step 1", epsilon, 1) for epsilon in (0.01, 0.02, 0.04, 0.08)]
    growth = ", ".join(f"×{there / here:.2f}" for here, there in itertools.pairwise(left))
    assert f"three doublings: {growth}" in text
    springs = SpringPlayer()
    for weight, epsilon in ((100.0, 0.1), (100.0, 0.2), (1000.0, 0.1)):
        assert f"{springs.stiffness(weight, epsilon, 1):.4f} eV/Å²" in text
    twins = AdvicePlayer()
    energy, force = (
        [np.mean(twins.ratios(order, quantity)[0.1]) for order in (1, 2)] for quantity in ("energy_mae", "force_rmse")
    )
    assert (
        f"The first force has ×{energy[0]:.2f} the energy error of labels alone, and ×{force[0]:.2f} the force" in text
    )
    assert f"The mean of both has ×{energy[1]:.2f} and ×{force[1]:.2f}." in text
    for player in (study, taylor, springs, twins):
        player.close()


# -- a class --------------------------------------------------------------------------------------------------------


def half(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + np.bincount(structure, weights=np.sum((f0 + f1) * delta, axis=1))


def sign(e0, e1, f0, f1, delta, structure):
    return e1 - e0 - 0.5 * np.bincount(structure, weights=np.sum((f0 + f1) * delta, axis=1))


def batch(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + 0.5 * np.sum((f0 + f1) * delta)


def odd(e0, e1, f0, f1, delta, structure):
    return e1 - e0


def good(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + 0.5 * np.bincount(structure, weights=np.sum((f0 + f1) * delta, axis=1))


def mean(hessian, epsilon):
    return epsilon**2 * np.trace(hessian) / 6


def no_variance(hessian, epsilon):
    return epsilon**2 * np.trace(hessian) / 2


TAKEN = ("00.winner", "00.more", "06.double", "06.sign", "06.hunt", "07.softer", "07.weight")
# File, name, options that were chosen by their place, answers, explanations.
CLASS = (
    ("ada", "Ada", (2, 2, 1, 2, 1, 1, 1), (("06.pitc", half), ("06.pitc", good), ("07.bias", mean)),
     {"06.why": "The first force forgets that forces change on the way. The mean of both cancels the curvature.",
      "07.why": "A larger weight asks more of a wrong thing. The mean of both asks the right one."}),
    ("ben", "Ben", (3, 0, 0, 0, 0, 0, 0), (("06.pitc", sign), ("06.pitc", half), ("06.pitc", batch)),
     {"06.why": "Because two forces are more exact than one."}),
    ("chen", "Chen", (2, 2, 0, 1, 1, 1, 1), (("06.pitc", half), ("06.pitc", good), ("07.bias", no_variance)),
     {"06.why": "It leaves only ε³.", "07.why": "The advice itself has to change, to the mean of both forces."}),
    ("dana", "Dana", (), (("06.pitc", good),), {}),
    ("emre", "", (2, 1, 1, 2, 0, 2, 1), (("06.pitc", odd), ("06.pitc", sign)), {}),
)  # fmt: skip


@pytest.fixture
def handed_in(tmp_path, monkeypatch, capsys) -> Path:
    """The progress files of a made-up class, written through the face that notebooks import."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    for file, name, chosen, answers, explanations in CLASS:
        monkeypatch.setenv("PIWSL_LAB_PROGRESS", str(folder / f"{file}.json"))
        monkeypatch.setattr(lesson, "_lesson", lesson._Lesson())
        for key, place in zip(TAKEN, chosen, strict=False):
            asked = lesson.predict(key)
            asked.choice.value = QUESTIONS[key].options[place].text
            asked.commit.click()
        for key, function in answers:
            lesson.check(key, function)
        for key, text in explanations.items():
            asked = lesson.explain(key, "Why?")
            asked.text.value = text
            asked.keep.click()
        overview = lesson.progress()
        overview.name.value = name
        overview.keep.click()
    capsys.readouterr()
    return folder


def test_the_page_shows_what_collect_says(handed_in, monkeypatch, capsys):
    monkeypatch.chdir(handed_in.parent)
    assert cli.main(["course", "collect", "handed-in", "--out", "class.csv"]) == 0
    printed = capsys.readouterr().out.rstrip("\n")
    assert f"```\n{printed}\n```" in TEXT
    with open("class.csv", encoding="utf-8-sig", newline="") as opened:
        found = {row["name"]: row for row in csv.DictReader(opened)}
    shown = rows(section("How to read what collect says"))
    for name, row in found.items():
        columns = ("points", "predictions_made", "explanations", "06.pitc", "07.bias")
        assert shown[name][1:] == [row[column] for column in columns]


def test_the_page_names_every_field_of_a_progress_file(handed_in):
    fields = set()
    for path in handed_in.glob("*.json"):
        for answer in json.loads(path.read_text(encoding="utf-8"))["answers"].values():
            fields |= answer.keys()
    text = section("What the progress file holds")
    assert fields == {"kind", "prediction", "passed", "points", "attempts", "outcome", "seen", "mistakes", "source",
                      "text", "question"}  # fmt: skip
    for field in fields | {"name", "version"}:
        assert f"`{field}`" in text


def test_the_points_of_the_taster_are_those_of_the_checks():
    points = {key: check.points for key, check in CHECKS.items()}
    taster = sum(points[key] for key in points if key[:2] in ("00", "06", "07"))
    text = section("Grading")
    assert f"The whole course so far has {sum(points.values())} points, the taster {taster}." in text
    for key in ("06.pitc", "07.bias", "07.softness"):
        assert f"`{key}` {points[key]}" in text


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [PAGE, LIST], ids=lambda page: page.name)
def test_sentences_are_short(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    # A heading, a cell, a line of a list and a paragraph are parts of their own.
    parts = re.split(r"\n\s*\n|\||^\s*(?:[-*]|\d+\.)\s|^#+ ", text, flags=re.MULTILINE)
    sentences = [
        sentence
        for part in parts
        for sentence in re.split(r"(?<=[.?!:;”])\**\s+(?=[A-Z“*`0-9(])|→", " ".join(part.split()))
    ]
    assert [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS] == []
