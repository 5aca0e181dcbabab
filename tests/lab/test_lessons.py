"""The lessons keep what they promise: one frame, few knobs, short sentences, blanks that run, solutions that pass.

The twenty questions of the course's rubric, as far as a notebook can be asked; the rest is in `test_players`,
`test_checks`, `test_browser_lessons` and the soak.
"""

from __future__ import annotations

import ast
import base64
import io
import re

import nbformat
import numpy as np
import pytest
from browser import require_chromium
from lessons import LESSONS, ROOT, WRONG, solution, tool
from nbconvert import HTMLExporter
from PIL import Image

from piwsl_lab.lab.checks import CHECKS, QUESTIONS, judge

EVERY = pytest.mark.parametrize("name", LESSONS)
build_notebooks, stills = tool("build_notebooks"), tool("stills")
WIDGET, PLOTLY = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"


def stored(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def code_cells(name):
    """Code cells that a reader sees."""
    return [c for c in stored(name).cells if c.cell_type == "code" and "plumbing" not in c.metadata.get("tags", [])]


def prose(name):
    """Texts of the lesson, without what is folded away."""
    texts = [re.sub(r"<details>.*?</details>", "", c.source, flags=re.DOTALL) for c in stored(name).cells
             if c.cell_type == "markdown"]  # fmt: skip
    return [text for text in texts if text.strip()]


def words_of(text):
    """Words of a text; a formula counts as one, marks of Markdown as none."""
    text = re.sub(r"\$\$?[^$]+\$\$?", " formula ", text)
    return [word for word in re.sub(r"[#*`|]", " ", text).split() if re.search(r"\w", word)]


def sentences_of(text):
    plain = re.sub(r"\$\$?[^$]+\$\$?", "formula", text)
    plain = re.sub(r"^\s*(\d+\.|\*|#+)\s+", "", plain, flags=re.MULTILINE)
    parts = re.split(r"(?<=[.?!:;])\**\s+|\n\s*\n|\n(?=\s*\d+\.\s)", plain)
    return [part for part in parts if words_of(part)]


def compared(cell):
    """What strict nbval compares of a cell, as text."""
    if "nbval-ignore-output" in cell.metadata.get("tags", []):
        return ""
    return "".join(str(o.get("text") or o.get("data", {}).get("text/plain", "")) for o in cell.outputs)


@EVERY
def test_every_lesson_has_the_same_frame_in_the_same_order(name):
    text = "\n".join(prose(name))
    assert re.match(rf"# {name[:2]} · ", text)
    assert "**Question.**" in text
    assert re.search(r"\*\*Level\*\* (beginner|intermediate|advanced).* · \*\*\d+ minutes\*\*", text)
    wanted = ["## Predict", "## Play", "## Build", "## Explain", "## What could be wrong?"]
    if name.startswith("00"):
        wanted.remove("## Build")
    places = [text.index(f"\n{title}\n") for title in wanted]
    assert places == sorted(places)
    last = code_cells(name)[-1].source
    assert last == "progress()"


def test_nobody_meets_a_formula_in_the_first_lesson():
    text = "\n".join(prose("00_quickstart"))
    assert "$" not in text
    assert not re.search(r"\w\s*=\s*\w", text)


@EVERY
def test_cells_are_short(name):
    texts = prose(name)
    for text in texts:
        assert len(words_of(text)) <= 90, (len(words_of(text)), text)
    assert sum(len(words_of(text)) for text in texts) <= 1000
    lengths = [len(words_of(sentence)) for text in texts for sentence in sentences_of(text)]
    assert np.mean(lengths) <= 12
    long = [s for text in texts for s in sentences_of(text) if len(words_of(s)) > 20]
    assert not long, long
    for cell in code_cells(name):
        assert len([line for line in cell.source.splitlines() if line.strip()]) <= 12, cell.source


@EVERY
def test_every_play_follows_a_prediction_and_every_prediction_is_revealed(name):
    sources = [cell.source for cell in stored(name).cells]
    asked = [re.search(r'predict\("([^"]+)"', s)[1] for s in sources if s.startswith("predict(")]
    revealed = re.findall(r'reveal\(\s*"([^"]+)"', "\n".join(sources))
    assert 1 <= len(asked) <= 3
    assert asked == revealed
    assert set(asked) <= QUESTIONS.keys()
    play = next(k for k, s in enumerate(sources) if "## Play" in s)
    assert any(s.startswith("predict(") for s in sources[:play])
    assert "explain(" in "\n".join(sources)


@EVERY
def test_builds_are_small_and_drawn_before_they_are_checked(name):
    cells = stored(name).cells
    tags = [cell.metadata.get("tags", []) for cell in cells]
    built = [tag.removeprefix("build:") for found in tags for tag in found if tag.startswith("build:")]
    assert built == [key for key in CHECKS if key.startswith(name[:2])]
    for key in built:
        begin = next(k for k, found in enumerate(tags) if f"build:{key}" in found)
        end = next(k for k, found in enumerate(tags) if f"check:{key}" in found)
        function = re.search(r"def (\w+)\(", cells[begin].source)[1]
        assert any(re.search(rf"Player\([^)]*\b{function}\b", cell.source) for cell in cells[begin:end]), key
        assert "..." in cells[begin].source
        assert "SOLUTION" not in cells[begin].source
        written = ast.parse(solution(name, key)).body[-1].body
        assert len([node for node in written if not isinstance(node, ast.Expr)]) <= 6
        folded = cells[end + 1]
        assert folded.cell_type == "markdown"
        assert folded.source.startswith("<details>")
        assert solution(name, key) in folded.source
        later = "".join(c.source for c in cells[end + 1 :] if c.cell_type == "code")
        assert not re.search(rf"(?<![.\w]){function}\(", later), "later cells use the function that was judged"


@EVERY
def test_blanks_run_and_say_not_yet(name):
    for cell in stored(name).cells:
        if cell.cell_type == "code":
            assert all(output.output_type != "error" for output in cell.outputs)
            if any(tag.startswith("check:") for tag in cell.metadata.get("tags", [])):
                assert ": not yet." in compared(cell)


@pytest.mark.slow
@EVERY
def test_solved_lessons_pass_every_check(name, tmp_path):
    """The same script with its solutions, run from the first cell to the last."""
    path = build_notebooks.solve(ROOT / "notebooks" / "source" / f"{name}.py", tmp_path)
    cells = nbformat.read(path, as_version=4).cells
    said = {
        tag.removeprefix("check:"): "".join(output.get("text", "") for output in cell.outputs)
        for cell in cells
        for tag in cell.metadata.get("tags", [])
        if tag.startswith("check:")
    }
    assert list(said) == [key for key in CHECKS if key.startswith(name[:2])]
    for key, words in said.items():
        assert words.startswith(f"{key}: passed."), words


@EVERY
def test_a_third_of_the_code_cells_is_compared_and_carries_physics(name):
    """A number with a unit, or a number of times: what would differ if the physics did."""
    unit = r"(?:m?eV|Å|per cm|/cm|%|times|× ?|×\d|ε\^)"
    cells = code_cells(name)
    carries = [c for c in cells if re.search(rf"\d\s*{unit}|[×^]\s?\d|\d of \d", compared(c))]
    assert len(carries) >= len(cells) / 3, [c.source[:60] for c in cells if c not in carries]


@EVERY
def test_no_output_is_a_bare_truth_value(name):
    for cell in code_cells(name):
        assert not re.search(r"\b(True|False)\b", compared(cell)), compared(cell)


@EVERY
def test_words_of_units_are_those_of_the_house(name):
    text = "\n".join([*prose(name), *map(compared, code_cells(name))])
    assert not re.search(r"(meV|eV|line|seed) a (structure|molecule|replica)", text)
    assert "meV/structure" not in text


@EVERY
def test_the_file_is_small_and_has_a_still_picture_of_everything_that_moves(name):
    assert (ROOT / "notebooks" / f"{name}.ipynb").stat().st_size <= 400_000
    pictures = 0
    for cell in stored(name).cells:
        for output in cell.get("outputs", []) if stills.moving(cell) else []:
            data = output.get("data", {})
            if WIDGET in data or PLOTLY in data:
                image = np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"))
                assert image.shape[1] >= 600, cell.source
                assert image.std() > 5, cell.source
                pictures += 1
    assert pictures >= 3


@pytest.mark.browser
@EVERY
def test_a_page_without_scripts_shows_the_pictures(name, tmp_path):
    """`jupyter nbconvert --to html`, opened with JavaScript off: GitHub and a printed lesson show the same."""
    chromium = require_chromium()
    notebook = stored(name)
    moving = sum(map(stills.moving, notebook.cells))
    page_file = tmp_path / f"{name}.html"
    page_file.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, headless=True, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False, offline=True).new_page()
        page.goto(page_file.as_uri())
        pictures = page.locator(".jp-OutputArea-output img").all()
        assert len(pictures) == moving
        assert all(picture.bounding_box()["width"] > 500 for picture in pictures)
        words = page.locator("body").inner_text()
        assert words.count("Measured: ") == len(
            re.findall(r"^reveal\(", "\n".join(c.source for c in notebook.cells), re.M)
        )
        browser.close()


def test_the_answers_typed_in_the_browser_are_wrong_in_the_way_that_they_say():
    assert set(WRONG) == set(CHECKS)
    for key, (source, hint) in WRONG.items():
        names = {"np": np, "D": 4.75, "a": 1.94, "r_e": 0.741}
        exec(source, names)
        function = names[re.search(r"def (\w+)", source)[1]]
        assert hint in judge(CHECKS[key], function).hint


# -- the build -----------------------------------------------------------------------------------------------------

SCRIPT = '''# %% [markdown]
# # Title

# %% tags=["plumbing"]
import math

# %% tags=["build:06.pitc"]
def pitc(a):
    """Words."""
    ### BEGIN SOLUTION
    b = 2 * a

    return b
    ### END SOLUTION


# %% tags=["check:06.pitc"]
judged = check("06.pitc", pitc)
'''


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT, encoding="utf-8")
    return path


def test_a_blank_takes_the_place_of_a_solution_which_is_folded_away_after_the_check(script):
    cells = build_notebooks.converted(script).cells
    assert [cell.cell_type for cell in cells] == ["markdown", "code", "code", "code", "markdown"]
    assert cells[2].source == 'def pitc(a):\n    """Words."""\n    ...  # about 2 lines'
    assert "    b = 2 * a\n\n    return b" in cells[4].source
    assert "SOLUTION" not in "".join(cell.source for cell in cells)
    assert len({cell.id for cell in cells}) == len(cells)


def test_a_solved_notebook_has_the_solution_and_no_marks(script):
    cells = build_notebooks.converted(script, solved=True).cells
    assert len(cells) == 4
    assert cells[2].source == 'def pitc(a):\n    """Words."""\n    b = 2 * a\n\n    return b'


def test_an_assignment_has_the_marks_and_what_nbgrader_wants(script, tmp_path):
    """Tried with nbgrader 0.9: a blank scores 0 of 2, the solution 2 of 2."""
    cells = nbformat.read(build_notebooks.assign(script, tmp_path / "out"), as_version=4).cells
    assert "### BEGIN SOLUTION" in cells[2].source
    assert "### END SOLUTION" in cells[2].source
    answer, judged = cells[2].metadata.nbgrader, cells[3].metadata.nbgrader
    assert (answer.solution, answer.grade, answer.locked) == (True, False, False)
    assert (judged.solution, judged.grade, judged.locked, judged.points) == (False, True, True, 2)
    for cell in (answer, judged):
        assert cell.schema_version == 3
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", cell.grade_id)
    assert answer.grade_id != judged.grade_id


def test_plumbing_is_folded_away_in_jupyterlab_and_on_colab(script):
    cell = build_notebooks.converted(script).cells[1]
    assert cell.metadata.jupyter.source_hidden is True
    assert cell.metadata.cellView == "form"


def test_a_build_without_a_solution_and_a_check_before_its_build_are_said(script):
    text = SCRIPT.replace("    ### BEGIN SOLUTION\n", "")
    script.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="has no ### BEGIN SOLUTION"):
        build_notebooks.converted(script)
    script.write_text(SCRIPT.replace("build:06.pitc", "build:07.bias"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"06\.pitc is checked before it is built"):
        build_notebooks.converted(script)
