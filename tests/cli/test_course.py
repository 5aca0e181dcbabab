"""``piwsl-lab course collect``: what a class has answered, from files that anybody may have edited."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from piwsl_lab.cli import course as cli_course
from piwsl_lab.cli import main as cli
from piwsl_lab.lab import lesson
from piwsl_lab.lab.checks import CHECKS, QUESTIONS

POSSIBLE = sum(check.points for check in CHECKS.values())
BIAS, PITC = CHECKS["07.bias"], CHECKS["06.pitc"]
HALF, SIGN = (PITC.mistakes[k] for k in (0, 1))
DOUBLE = [option.text for option in QUESTIONS["06.double"].options]


def collect(*words, capsys) -> tuple[int, str, str]:
    code = cli.main(["course", "collect", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def rows(path) -> dict[str, dict[str, str]]:
    """The CSV by the file that a row came from."""
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as opened:
        return {row["file"]: row for row in csv.DictReader(opened)}


def write(path, answers=None, name="", **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "name": name, "answers": answers or {}} | more), encoding="utf-8")


def checked(*wrong, passed=False) -> dict:
    """The answer of a check as `lesson.check` keeps it."""
    return {"kind": "check", "attempts": len(wrong) + passed, "mistakes": list(wrong), "passed": passed, "source": ""}


def predicted(text: str) -> dict:
    return {"kind": "prediction", "prediction": text}


def explained(text) -> dict:
    return {"kind": "explanation", "text": text, "question": "Why?"}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "class.csv"


@pytest.fixture
def desk(tmp_path):
    """A folder for files that learners hand in."""
    folder = tmp_path / "handed in"
    folder.mkdir()
    return folder


def learn(path, monkeypatch, name="", predictions=(), answers=(), explanations=()):
    """What one learner does in the notebooks, through the face that notebooks import."""
    path.parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("PIWSL_LAB_PROGRESS", str(path))
    monkeypatch.setattr(lesson, "_lesson", lesson._Lesson())
    for key, text in predictions:
        asked = lesson.predict(key)
        asked.choice.value = text
        asked.commit.click()
    for key, function in answers:
        lesson.check(key, function)
    for key, text in explanations:
        asked = lesson.explain(key, "Why?")
        asked.text.value = text
        asked.keep.click()
    if name:
        overview = lesson.progress()
        overview.name.value = name
        overview.keep.click()


@pytest.fixture
def five(desk, monkeypatch, capsys):
    """Five learners, in the ways in which they hand in."""

    def right(h, e):
        return np.trace(h) * e**2 / 6

    def other(h, e):
        return np.trace(h) * e**2 / 7

    half, sign, trapezoid = HALF.function, SIGN.function, PITC.reference
    learn(
        desk / "ada.json", monkeypatch, "Ada Lovelace",
        [("06.double", DOUBLE[1]), ("06.sign", QUESTIONS["06.sign"].options[0].text)],
        [(PITC.key, half), (PITC.key, trapezoid), (BIAS.key, right)],
        [("06.why", "The curvature, = E″, is left.\nIt goes with ε².")],
    )  # fmt: skip
    learn(
        desk / "Björn Ångström_17_file" / "piwsl-progress.json", monkeypatch, "",
        [("06.double", DOUBLE[0])], [(PITC.key, half), (PITC.key, sign)],
    )  # fmt: skip
    learn(
        desk / "work" / "grace" / "piwsl-progress.json", monkeypatch, "Grace", [], [(PITC.key, half), (BIAS.key, other)]
    )
    learn(
        desk / "李.json", monkeypatch, "李 华", [("06.double", DOUBLE[0])],
        [(PITC.key, sign), (PITC.key, trapezoid)], [("06.why", "因为曲率"), ("07.why", "-E″/12")],
    )  # fmt: skip
    learn(desk / "Emmy.JSON", monkeypatch, "=cmd|' /C calc'!A0", [("06.double", DOUBLE[2])])
    capsys.readouterr()
    return desk


def test_five_learners_make_five_rows(five, out, capsys):
    code, printed, error = collect(five, "--out", out, capsys=capsys)
    assert (code, error) == (0, "")
    assert printed.splitlines()[-1] == f"5 learner(s): {out}"
    found = rows(out)
    head = list(next(iter(found.values())))
    assert head == [*cli_course.FIRST_COLUMNS, *CHECKS, "06.why", "07.why"]
    ada = found["ada.json"]
    assert (ada["name"], ada["points"], ada["points_possible"]) == (
        "Ada Lovelace", str(PITC.points + BIAS.points), str(POSSIBLE)
    )  # fmt: skip
    assert (ada["predictions_made"], ada["explanations"]) == ("2", "1")
    assert (ada[PITC.key], ada[BIAS.key], ada["01.force"]) == ("passed", "passed", "")
    assert ada["06.why"] == "The curvature, = E″, is left. It goes with ε²."
    björn = found["Björn Ångström_17_file/piwsl-progress.json"]
    assert (björn["name"], björn[PITC.key], björn["points"]) == ("Björn Ångström_17_file", "tried 2", "0")
    assert found["work/grace/piwsl-progress.json"]["name"] == "Grace"
    assert (found["李.json"]["name"], found["李.json"]["06.why"]) == ("李 华", "因为曲率")
    assert found["李.json"]["07.why"] == "'-E″/12"
    assert found["Emmy.JSON"]["name"] == "'=cmd|' /C calc'!A0"


def test_the_commonest_mistakes_come_first(five, out, capsys):
    _, printed, _ = collect(five, "--out", out, capsys=capsys)
    table = printed.split("\n\n")[0].splitlines()
    assert table[0].split() == ["check", "tried", "passed", "commonest", "mistakes", "(learners)"]
    assert [line.split(None, 3) for line in table[1:]] == [
        [PITC.key, "4", "2", f"{HALF.name} (3), {SIGN.name} (2)"],
        [BIAS.key, "2", "1", "-"],
    ]


def test_the_check_that_most_learners_get_wrong_comes_first(desk, out, capsys):
    """And a learner counts once for a mistake, however often it was made."""
    name = BIAS.mistakes[1].name
    for k in range(3):
        write(desk / f"{k}.json", {BIAS.key: checked(name), "01.force": checked(passed=True)})
    write(desk / "4.json", {PITC.key: checked(HALF.name, HALF.name, HALF.name, HALF.name)})
    _, printed, _ = collect(desk, "--out", out, capsys=capsys)
    lines = [line.split() for line in printed.split("\n\n")[0].splitlines()[1:]]
    assert [line[0] for line in lines] == [BIAS.key, PITC.key, "01.force"]
    assert [line[-1] for line in lines] == ["(3)", "(1)", "-"]


def test_predictions_are_counted_by_option(five, out, capsys):
    _, printed, _ = collect(five, "--out", out, capsys=capsys)
    table = printed.split("\n\n")[1].splitlines()
    assert table[0].split() == ["prediction", "chose", "option"]
    assert [re.sub(" +", " ", line).strip() for line in table[1:4]] == [
        f"06.double 2 {DOUBLE[0]}", f"1 {DOUBLE[1]}", f"1 {DOUBLE[2]}"
    ]  # fmt: skip
    assert table[4].startswith("06.sign ")
    assert len([line for line in table if not line.startswith(" ")]) == 3  # nothing of what nobody was asked


def test_a_prediction_in_words_of_another_version_is_counted_apart(desk, out, capsys):
    write(desk / "a.json", {"06.double": predicted("it doubles"), "99.own": predicted("yes")})
    _, printed, _ = collect(desk, "--out", out, capsys=capsys)
    assert "1  in words that this version does not have" in printed
    assert "it doubles" not in printed
    assert rows(out)["a.json"]["predictions_made"] == "1"


def test_nothing_tried_and_nothing_predicted(desk, out, capsys):
    write(desk / "a.json", name="Ada")
    code, printed, _ = collect(desk, "--out", out, capsys=capsys)
    assert code == 0
    assert "No check was tried." in printed
    assert "No prediction was made." in printed
    assert rows(out)["a.json"]["points"] == "0"


def test_the_table_is_written_into_the_present_folder(desk, tmp_path, monkeypatch, capsys):
    write(desk / "a.json")
    monkeypatch.chdir(desk)
    assert collect(".", capsys=capsys)[0] == 0
    assert rows(desk / "piwsl-course.csv")["a.json"]["name"] == "a"
    assert collect(".", capsys=capsys)[0] == 0  # and written anew


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.json", "a"),
        ("x/a.json", "a"),
        ("x/piwsl-progress.json", "x"),
        ("x/y/piwsl-progress.json", "x/y"),
        ("piwsl-progress.json", "handed in"),
        ("piwsl-progress (1).json", "piwsl-progress (1)"),
    ],
)
@pytest.mark.parametrize("given", ["", "  \n", 7, None, ["Ada"]])
def test_whoever_gave_no_name_has_that_of_the_file(desk, out, capsys, file, name, given):
    write(desk / file, name=given)
    collect(desk, "--out", out, capsys=capsys)
    assert rows(out)[file]["name"] == name


# -- files that are not as they should be ---------------------------------------------------------------------------

UNREADABLE = {
    "half.json": (b'{"version": 1, "answers": {"06', "is not JSON"),
    "bytes.json": (b"\xff\xfe\x00", "is not JSON"),
    "digits.json": (b'{"version": 1, "answers": {"a": ' + b"1" * 5000 + b"}}", "is not JSON"),
    "deep.json": (b"[" * 100_000, "is not JSON"),
    "later.json": (b'{"version": 2, "answers": []}', "has version 2, this is 1: update piwsl-lab"),
    "long.json": (b'{"version": "%b", "answers": []}' % (b"9" * 4000), "update piwsl-lab"),
    "list.json": (b'{"version": 1, "answers": {"06.double": [1]}}', "has damaged answers"),
    "large.json": (b'{"version": 1, "answers": {}}' + b" " * 5_000_000, "has 5.0 MB"),
}


@pytest.mark.parametrize("file", UNREADABLE)
def test_a_file_that_cannot_be_read_is_said_and_the_others_go_on(desk, out, capsys, file):
    content, words = UNREADABLE[file]
    (desk / file).write_bytes(content)
    write(desk / "ada.json", name="Ada")
    write(desk / "zoe.json", name="Zoe")
    code, printed, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 1
    assert error.count("\n") == 1
    assert error.startswith("piwsl-lab: ")
    assert file in error
    assert words in error
    assert len(error) < 500
    assert "2 learner(s)" in printed
    assert sorted(rows(out)) == ["ada.json", "zoe.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_a_pipe_is_not_waited_for(desk, out, capsys):
    os.mkfifo(desk / "pipe.json")
    write(desk / "ada.json")
    code, _, error = collect(desk, "--out", out, capsys=capsys)
    assert (code, error) == (1, "piwsl-lab: pipe.json is no ordinary file: take it away\n")


def test_a_file_that_cannot_be_opened_is_said(desk, out, monkeypatch, capsys):
    """Not by its permissions: those do not stop an administrator. A link to nowhere stops everybody."""
    try:
        (desk / "link.json").symlink_to(desk / "nowhere")
    except OSError:
        pytest.skip("links need a right here")
    write(desk / "ada.json")
    code, _, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 1
    assert error == "piwsl-lab: link.json cannot be opened (No such file or directory): see who may read it\n"


def test_other_json_is_named_in_one_line_and_is_no_error(desk, out, capsys):
    write(desk / "ada.json")
    for k in range(5):
        (desk / f"settings{k}.json").write_text('{"answers": 42}')
    code, _, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 0
    assert error == (
        "piwsl-lab: left out, no progress files: settings0.json, settings1.json, settings2.json and 2 more\n"
    )


def test_what_programs_keep_for_themselves_is_not_looked_at(desk, out, capsys):
    write(desk / "ada.json", name="Ada")
    for hidden in (".ipynb_checkpoints/ada-checkpoint.json", "__MACOSX/ada.json", "._ada.json", ".git/x/a.json"):
        write(desk / hidden, name="Ada")
    (desk / "lesson.ipynb").write_text('{"version": 1, "answers": {}}')
    code, _, error = collect(desk, "--out", out, capsys=capsys)
    assert (code, error, list(rows(out))) == (0, "", ["ada.json"])


def test_two_files_of_the_same_name_are_said_and_both_counted(desk, out, capsys):
    write(desk / "a.json", {PITC.key: checked(HALF.name)}, name="Zoë ")
    write(desk / "b" / "piwsl-progress.json", {PITC.key: checked(HALF.name)}, name="zoe\u0308")
    write(desk / "c.json", name="Zoe")
    code, printed, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 0
    assert error.count("\n") == 1
    assert "a.json and b/piwsl-progress.json have the same name 'Zoë': both are counted; take one away" in error
    assert len(rows(out)) == 3
    assert f"{HALF.name} (2)" in printed


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["package.json"], ["sub/lesson.ipynb"]])
def test_a_folder_without_progress_files_is_named(desk, out, capsys, files):
    for file in files:
        (desk / file).parent.mkdir(exist_ok=True)
        (desk / file).write_text("{}")
    code, printed, error = collect(desk, "--out", out, capsys=capsys)
    assert (code, printed) == (2, "")
    assert f"{desk} holds no progress file" in error
    assert "*.json" in error
    assert "piwsl-progress.json" in error
    assert not out.exists()


def test_a_folder_with_nothing_that_can_be_read_says_both(desk, out, capsys):
    (desk / "a.json").write_text("{")
    code, _, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 2
    assert "a.json is not JSON" in error.splitlines()[0]
    assert "holds no progress file that can be read" in error.splitlines()[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no such folder"], "no such folder is no folder"),
        (["handed in/a.json"], "is no folder: name the one that the progress files lie in"),
        (["handed in", "--out", "handed in/a.json"], "has to end in .csv"),
        (["handed in", "--out", "missing/class.csv"], "does not exist or cannot be written to"),
        (["handed in", "--out", "folder.csv"], "is a folder; name a file in it"),
    ],
)
def test_bad_words_are_refused_and_change_nothing(desk, tmp_path, monkeypatch, capsys, words, message):
    write(desk / "a.json")
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    code, _, error = collect(*words, capsys=capsys)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


# -- what stands in a file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", ["many", None, -3, True, 1.5, [], {}, 10**40, float("nan"), float("inf")])
@pytest.mark.parametrize("passed", ["yes", 1, None, [True]])
def test_a_check_with_values_of_wrong_types_does_not_count(desk, out, capsys, attempts, passed):
    odd = {"kind": "check", "attempts": attempts, "passed": passed, "mistakes": None, "source": 5, "points": 1000}
    write(desk / "a.json", {PITC.key: odd})
    code, printed, _ = collect(desk, "--out", out, capsys=capsys)
    row = rows(out)["a.json"]
    assert (code, row["points"], row[PITC.key]) == (0, "0", "")
    assert "No check was tried." in printed


@pytest.mark.parametrize("mistakes", [None, 3, "half", {"half": 1}, [1, None, ["half"]], ["\x1b[2Jno such mistake"]])
def test_mistakes_that_are_none_do_not_count(desk, out, capsys, mistakes):
    write(desk / "a.json", {PITC.key: {"kind": "check", "attempts": 2, "mistakes": mistakes}})
    code, printed, _ = collect(desk, "--out", out, capsys=capsys)
    assert code == 0
    assert re.search(rf"{re.escape(PITC.key)} +1 +0  -\n", printed)
    assert rows(out)["a.json"][PITC.key] == "tried 2"


def test_points_are_those_of_this_version(desk, out, capsys):
    write(
        desk / "a.json",
        {
            PITC.key: checked(passed=True) | {"points": 1000},
            "06.invented": checked(passed=True) | {"points": 1000},
            BIAS.key: checked(passed=True) | {"kind": "explanation", "text": "free points"},
            "06.sign": checked(passed=True) | {"kind": ["check"]},
        },
    )
    collect(desk, "--out", out, capsys=capsys)
    row = rows(out)["a.json"]
    assert (row["points"], row[BIAS.key], row["explanations"]) == (str(PITC.points), "", "0")
    assert "06.invented" not in row


@pytest.mark.parametrize("text", [None, 5, "", " \n\t", ["a"], {"a": 1}, True])
def test_empty_predictions_and_explanations_do_not_count(desk, out, capsys, text):
    write(desk / "a.json", {"06.double": predicted(text), "06.why": explained(text)})
    code, _, _ = collect(desk, "--out", out, capsys=capsys)
    row = rows(out)["a.json"]
    assert (code, row["predictions_made"], row["explanations"]) == (0, "0", "0")
    assert "06.why" not in row


def test_code_of_a_learner_is_never_run(desk, out, tmp_path, capsys):
    touched = tmp_path / "touched"
    write(desk / "a.json", {PITC.key: checked() | {"attempts": 1, "source": f"open({str(touched)!r}, 'w')"}})
    (desk / "sitecustomize.py").write_text(f"open({str(touched)!r}, 'w')")
    assert collect(desk, "--out", out, capsys=capsys)[0] == 0
    assert not touched.exists()


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "＝1", "\x00=1", "\x1b=1", "\u2028=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(desk, out, capsys, text):
    answers = {"06.why": explained(text), text: explained("a key can be one too")}
    write(desk / "a.json", answers, name=text)
    collect(desk, "--out", out, capsys=capsys)
    with open(out, encoding="utf-8-sig", newline="") as opened:
        table = list(csv.reader(opened))
    assert len(table) == 2
    for value in (value for row in table for value in row):
        assert not re.match(r"[\s\x00-\x1f]*[=+\-@＝＋－＠]", value)
    assert table[1][0] == "'" + re.sub(r"[\s\x00-\x1f\u2028]", "", text)


@pytest.mark.parametrize("text", ['a;=1+1', 'a"; =1+1', "a\n=1", "a\r=1", "a\t=1", 'a\n"=1', "a;\n-1"])  # fmt: skip
def test_no_cell_is_a_formula_where_semicolons_part_cells(desk, out, capsys, text):
    write(desk / "a.json", {"06.why": explained(text)})
    collect(desk, "--out", out, capsys=capsys)
    content = out.read_text(encoding="utf-8-sig")
    for parted in (csv.reader(io.StringIO(content), delimiter=mark) for mark in ",;\t"):
        assert not any(re.match(r"\s*\W?[=+\-@]", value) for row in parted for value in row)


@pytest.mark.parametrize("text", ["E, F; and W = ΔE", 'he said "no"', "a - b + c = d", "it's 5 % @ 300 K"])
def test_sentences_stay_as_they_are(desk, out, capsys, text):
    write(desk / "a.json", {"06.why": explained(text)}, name="Zoë, “Ж” 👩‍🔬")
    collect(desk, "--out", out, capsys=capsys)
    row = rows(out)["a.json"]
    assert (row["06.why"], row["name"]) == (text, "Zoë, “Ж” 👩‍🔬")


def test_names_are_shown_without_anything_that_a_terminal_obeys(desk, out, capsys):
    try:
        for file in ("\x1b[2Ja.json", "b\n.json"):
            write(desk / file, name="\x1b]0;Ada\x07\ud800\u202e")
    except OSError:
        pytest.skip("the file system does not take such names")
    code, printed, error = collect(desk, "--out", out, capsys=capsys)
    assert code == 0
    assert all(c.isprintable() or c == "\n" for c in printed + error)
    assert error.count("\n") == 1
    assert "\x1b" not in out.read_text(encoding="utf-8-sig")


def test_a_cell_is_not_longer_than_a_spreadsheet_takes(desk, out, capsys):
    write(desk / "a.json", {"06.why": explained("ε" * 100_000)}, name="N" * 100_000)
    collect(desk, "--out", out, capsys=capsys)
    assert 30_000 < max(map(len, rows(out)["a.json"].values())) < 32_767


def test_a_file_with_thousands_of_keys_does_not_push_out_those_of_the_class(desk, out, capsys):
    write(desk / "a.json", {f"00.{k}": explained("x") for k in range(5000)})
    for name in "bc":
        write(desk / f"{name}.json", {"99.why": explained("because")})
    collect(desk, "--out", out, capsys=capsys)
    head = list(rows(out)["b.json"])
    assert "99.why" in head
    assert len(head) == len(cli_course.FIRST_COLUMNS) + len(CHECKS) + cli_course.MOST_EXPLANATIONS


# -- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["--help"], ["course", "--help"], ["course", "collect", "--help"]])
def test_help(words, capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(words)
    assert done.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert {1: "course", 2: "collect", 3: "progress files"}[len(words)] in printed
    if len(words) == 3:
        assert "no code of a learner is run" in printed


def test_collect_needs_neither_torch_nor_widgets(desk, out):
    write(desk / "a.json")
    code = (
        "import sys\nfrom piwsl_lab.cli import main as cli\n"
        f"cli.main(['course', 'collect', {str(desk)!r}, '--out', {str(out)!r}])\n"
        "print(sorted({'torch', 'ase', 'ipywidgets', 'plotly', 'IPython'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
