"""A lesson's face: what is committed is kept once and for good, and nothing that goes wrong ends a notebook."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from piwsl_lab.lab import lesson
from piwsl_lab.lab.checks import CHECKS, QUESTIONS, Option, ProgressFile, Question
from piwsl_lab.lab.checks.progress import FILE, OtherFile, ProgressError, counted, read_progress, texts

KEY = "06.double"
TWO, FOUR, EIGHT = (option.text for option in QUESTIONS[KEY].options)
COMMENTS = {option.text: option.comment for option in QUESTIONS[KEY].options}
BIAS = CHECKS["07.bias"]


def new_kernel() -> None:
    """What a restart does: nothing is known but the file."""
    lesson._lesson = lesson._Lesson()


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Path of the progress file of a new kernel; nothing is there yet."""
    path = tmp_path / FILE
    monkeypatch.setenv("PIWSL_LAB_PROGRESS", str(path))
    monkeypatch.delenv("PIWSL_LAB_STRICT", raising=False)
    monkeypatch.setattr(lesson, "_lesson", lesson._Lesson())
    return path


def answers(path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))["answers"]


class Shown(dict):
    """What `reveal` has put on the screen, by name, in words."""

    def __getitem__(self, name):
        return repr(super().__getitem__(name))

    def values(self):
        return [repr(widget) for widget in super().values()]

    @property
    def widgets(self):
        return list(super().values())


@pytest.fixture
def shown(monkeypatch):
    found = Shown()
    monkeypatch.setattr(lesson, "display", lambda w: found.__setitem__(f"piwsl-reveal-{w.question.key}", w))
    return found


def commit(text: str, key: str = KEY):
    asked = lesson.predict(key)
    asked.choice.value = text
    asked.commit.click()
    return asked


# -- predictions ----------------------------------------------------------------------------------------------------


def test_a_prediction_is_committed_once(file):
    asked = lesson.predict(KEY)
    assert "You have not committed yet." in repr(asked)
    assert asked.commit.disabled
    asked.commit.click()  # a click that comes before the choice
    assert not file.exists()
    asked.choice.value = TWO
    assert not asked.commit.disabled
    asked.commit.click()
    assert asked.choice.disabled
    assert asked.commit.disabled
    assert answers(file) == {KEY: {"kind": "prediction", "prediction": TWO}}
    assert asked.words.value == f"You predicted: <b>{TWO}</b>."
    asked.choice.value = FOUR
    asked.commit.click()
    assert answers(file)[KEY]["prediction"] == TWO
    assert asked.choice.value == TWO


def test_a_prediction_survives_a_new_kernel(file):
    commit(FOUR)
    new_kernel()
    asked = lesson.predict(KEY)
    assert asked.choice.value == FOUR
    assert asked.choice.disabled
    assert f"You predicted: {FOUR}" in repr(asked)


def test_a_widget_that_is_still_open_cannot_commit_again(file):
    """Two notebooks, or a cell that was run twice."""
    open_still = lesson.predict(KEY)
    new_kernel()
    commit(TWO)
    open_still.choice.value = FOUR
    open_still.commit.click()
    assert answers(file)[KEY]["prediction"] == TWO
    assert f"<b>{TWO}</b>" in open_still.words.value


def test_what_stands_in_the_words_of_a_question_is_no_html(file):
    question = Question("99.own", "a < b & c?", (Option("<b>yes</b>", ""), Option("no", "")))
    asked = lesson.predict(question)
    asked.choice.value = "<b>yes</b>"
    asked.commit.click()
    assert "&lt;b&gt;yes" in asked.words.value
    assert "a &lt; b &amp; c?" in asked.children[1].value


@pytest.mark.parametrize("ask", [lesson.predict, lambda key: lesson.reveal(key, 1.0)])
def test_an_unknown_question_names_those_that_there_are(file, ask):
    with pytest.raises(ValueError, match=r"no question '06\.trouble'.*06\.double"):
        ask("06.trouble")


def test_reveal_shows_both(file, shown):
    commit(TWO)
    lesson.reveal(KEY, 4.05)
    (text,) = shown.values()
    assert text.splitlines() == [f"Predicted: {TWO}", f"Measured:  4.05, that is “{FOUR}”", COMMENTS[TWO]]


def test_reveal_without_a_prediction_says_so_and_takes_one_that_comes_later(file, shown):
    lesson.reveal(KEY, 4.05, "4.05 times")
    (text,) = shown.values()
    assert text.splitlines() == ["Predicted: no prediction made", f"Measured:  4.05 times, that is “{FOUR}”"]
    commit(FOUR)
    (text,) = shown.values()
    assert text.splitlines()[0] == f"Predicted: {FOUR}"
    assert text.splitlines()[-1] == COMMENTS[FOUR]


def test_a_measurement_waits_on_the_screen_for_the_prediction(file, shown):
    """Its words, which a page without widgets and the tests of notebooks have, do not wait."""
    lesson.reveal(KEY, 4.05, "4.05 times")
    (widget,) = shown.widgets
    assert "4.05" not in widget.words.value
    assert "Commit your prediction above" in widget.words.value
    assert widget.anyway.layout.display != "none"
    assert "4.05" in widget._repr_mimebundle_()["text/plain"]
    commit(TWO)
    assert "4.05 times" in widget.words.value
    assert widget.anyway.layout.display == "none"


def test_a_measurement_can_be_had_without_a_prediction(file, shown):
    lesson.reveal(KEY, 4.05, ["one line", "4.05 times"])
    (widget,) = shown.widgets
    widget.anyway.click()
    assert "no prediction made\nMeasured:  one line\n           4.05 times" in widget.words.value
    assert not file.exists()


def test_a_prediction_of_yesterday_shows_the_measurement_at_once(file, shown):
    commit(FOUR)
    new_kernel()
    lesson.reveal(KEY, 4.05)
    (widget,) = shown.widgets
    assert "4.05" in widget.words.value


def test_praise_is_kept_back_where_the_measurement_says_otherwise(file, shown):
    commit(FOUR)
    lesson.reveal(KEY, 2.0)
    assert next(iter(shown.values())).splitlines()[-1] == "This time the measurement says otherwise."


@pytest.mark.parametrize(
    ("key", "value", "words", "line"),
    [
        ("01.halve", 3.84, "", "3.84, that is “4”"),  # a 4 is in it, and is not said
        ("01.halve", 4.01, "4.01 times less", "4.01 times less"),
        ("01.halve", 4.0, "", "4"),
        ("01.halve", 3.9, "a factor of 4.", "a factor of 4."),
        ("01.halve", 14 / 3, "14 / 3", "14 / 3, that is “4”"),
        ("04.forces_only", "right", "", "right"),
        (KEY, np.float32(4.0), "4 times", "4 times"),
    ],
)
def test_the_option_is_named_where_the_words_do_not_say_it(file, shown, key, value, words, line):
    lesson.reveal(key, value, words)
    assert next(iter(shown.values())).splitlines()[1] == f"Measured:  {line}"


@pytest.mark.parametrize("value", [0.1, 12.0, -4.0, float("nan"), float("inf")])
def test_a_measurement_in_no_range_is_refused(file, shown, value):
    with pytest.raises(ValueError, match=r"06\.double: no option stands for"):
        lesson.reveal(KEY, value)
    assert shown == {}


def test_a_measurement_in_words_has_to_be_an_option(file, shown):
    with pytest.raises(ValueError, match="no option 'three times'"):
        lesson.reveal(KEY, "three times")


def test_a_prediction_in_words_of_an_older_version_is_shown_without_a_comment(file, shown):
    ProgressFile(file).note(KEY, kind="prediction", prediction="it doubles")
    assert lesson.predict(KEY).choice.disabled
    lesson.reveal(KEY, 4.0)
    assert next(iter(shown.values())).splitlines()[0] == "Predicted: it doubles"
    assert len(next(iter(shown.values())).splitlines()) == 2


# -- checks ---------------------------------------------------------------------------------------------------------


def blank(h, e): ...


def right(h, e):
    return np.trace(h) * e**2 / 6


def half_forgotten(h, e):
    return np.trace(h) * e**2 / 3


def also_half_forgotten(h, e):
    return e**2 * np.trace(h) / 3


def no_known_mistake(h, e):
    return np.trace(h) * e**2 / 6.5


def broken(h, e):
    return undefined_name  # noqa: F821


def test_a_blank_is_no_answer(file, capsys):
    result = lesson.check(BIAS.key, blank)
    assert not result.passed
    assert result.function is BIAS.reference
    assert repr(result) == "Result(not passed)"
    printed = capsys.readouterr().out
    assert "07.bias: not yet." in printed
    assert "The cells below go on with a function that is right." in printed
    assert not file.exists()


def test_the_mistake_is_named_at_the_second_answer_and_the_formula_at_the_third(file, capsys):
    levels = []
    for answer in (half_forgotten, half_forgotten, also_half_forgotten, no_known_mistake):
        assert lesson.check(BIAS.key, answer).function is BIAS.reference
        printed = capsys.readouterr().out
        levels.append(1 + ("Hint" in printed) + ("Formula" in printed))
    assert levels == [1, 1, 2, 3]
    kept = answers(file)[BIAS.key]
    assert (kept["attempts"], kept["passed"], kept["outcome"]) == (3, False, "wrong")
    (mistake,) = set(kept["mistakes"])
    assert kept["mistakes"] == [mistake, mistake]  # the last answer is none that is known
    assert mistake in {known.name for known in BIAS.mistakes}
    assert "/ 6.5" in kept["source"]


def test_a_right_answer_goes_on_as_the_learners_own(file, capsys):
    result = lesson.check(BIAS.key, right)
    assert result.passed
    assert result.function is right
    assert repr(result) == "Result(passed)"
    assert "go on" not in capsys.readouterr().out
    kept = answers(file)[BIAS.key]
    assert (kept["attempts"], kept["passed"], kept["points"], kept["mistakes"]) == (1, True, BIAS.points, [])


def test_a_passed_check_stays_passed(file):
    lesson.check(BIAS.key, right)
    assert not lesson.check(BIAS.key, half_forgotten).passed
    assert answers(file)[BIAS.key]["passed"] is True
    new_kernel()
    lesson.check(BIAS.key, broken)
    assert answers(file)[BIAS.key]["passed"] is True
    assert answers(file)[BIAS.key]["attempts"] == 3


def test_another_kernel_does_not_take_back_what_was_passed(file):
    """Both have read the file before the other one wrote."""
    here, there = lesson._Lesson(), lesson._Lesson()
    for one in (here, there):
        assert one.progress.answers == {}
    lesson._lesson = there
    lesson.check(BIAS.key, right)
    lesson._lesson = here
    lesson.check(BIAS.key, half_forgotten)
    kept = answers(file)[BIAS.key]
    assert (kept["passed"], kept["attempts"]) == (True, 2)


def test_attempts_go_on_in_a_new_kernel(file, capsys):
    lesson.check(BIAS.key, half_forgotten)
    new_kernel()
    capsys.readouterr()
    lesson.check(BIAS.key, also_half_forgotten)
    assert "Hint: " in capsys.readouterr().out


def test_functions_without_a_text_are_told_apart_by_their_code(file):
    made = {}
    exec("def three(h, e): return 3.0\ndef four(h, e): return 4.0", made)
    for name in ("three", "three", "four"):
        lesson.check(BIAS.key, made[name])
    assert answers(file)[BIAS.key]["attempts"] == 2


@pytest.mark.parametrize("answer", [max, 3, ..., np.trace, "text"])
def test_whatever_is_given_as_an_answer_ends_nothing(file, answer):
    assert not lesson.check(BIAS.key, answer).passed


@pytest.mark.parametrize("answer", [blank, half_forgotten, broken])
def test_strict_raises(file, monkeypatch, answer):
    monkeypatch.setenv("PIWSL_LAB_STRICT", "1")
    with pytest.raises(lesson.CheckFailed, match=r"07\.bias: "):
        lesson.check(BIAS.key, answer)
    assert lesson.check(BIAS.key, right).passed


def test_an_unknown_check_names_those_that_there_are(file):
    with pytest.raises(ValueError, match=r"no check '07\.bios'.*07\.bias"):
        lesson.check("07.bios", right)


def test_voila_says_where_code_is_written(file, monkeypatch, capsys):
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.8")
    lesson.check(BIAS.key, blank)
    assert "open this notebook in JupyterLab" in capsys.readouterr().out


# -- explanations and the overview ----------------------------------------------------------------------------------


def test_an_explanation_is_kept(file):
    asked = lesson.explain("06.why", "Why <so>?")
    asked.text.value = "  "
    asked.keep.click()
    assert asked.words.value == "Write something first."
    assert not file.exists()
    asked.text.value = " Because of ε². "
    asked.keep.click()
    assert asked.words.value == "Kept."
    kept = {"kind": "explanation", "text": "Because of ε².", "question": "Why <so>?"}
    assert answers(file) == {"06.why": kept}
    new_kernel()
    assert lesson.explain("06.why", "Why <so>?").text.value == "Because of ε²."
    assert "You wrote: Because of ε²." in repr(lesson.explain("06.why", "Why <so>?"))


def test_the_overview_has_every_answer_and_keeps_the_name(file):
    assert repr(lesson.progress()) == "Nothing is kept yet."
    commit(FOUR)
    lesson.check(BIAS.key, half_forgotten)
    lesson.explain("07.why", "Why?").keep.click()
    shown = lesson.explain("07.why", "Why?")
    shown.text.value = "So."
    shown.keep.click()
    overview = lesson.progress()
    assert re.sub(r" +", " ", repr(overview)).splitlines() == [
        f"06.double predicted: {FOUR}",
        "07.bias not passed yet, 1 answer tried",
        "07.why explained",
    ]
    overview.name.value = " Ada <3 "
    overview.keep.click()
    assert read_progress(file)["name"] == "Ada <3"
    assert "07.bias" in overview.table.value
    assert str(file) in overview.table.value
    new_kernel()
    assert lesson.progress().name.value == "Ada <3"


# -- the file -------------------------------------------------------------------------------------------------------


def test_importing_and_running_blanks_writes_no_file(tmp_path):
    code = (
        "from piwsl_lab.lab import lesson\n"
        "lesson.predict('06.double'); lesson.explain('06.why', 'Why?'); lesson.progress()\n"
        "lesson.check('07.bias', lambda h, e: ...)\nlesson.reveal('06.double', 4.0)\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PIWSL_LAB_")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_lies_in_the_present_folder_where_nothing_else_is_said(tmp_path, monkeypatch, file):
    monkeypatch.delenv("PIWSL_LAB_PROGRESS")
    monkeypatch.chdir(tmp_path)
    commit(TWO)
    monkeypatch.chdir("/")  # a cell may go elsewhere: the file stays
    lesson.check(BIAS.key, right)
    assert set(answers(file)) == {KEY, BIAS.key}


@pytest.mark.parametrize("word", ["off", "OFF", " off "])
def test_off_keeps_no_file(tmp_path, monkeypatch, file, word):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIWSL_LAB_PROGRESS", word)
    new_kernel()
    commit(TWO)
    lesson.check(BIAS.key, right)
    assert f"predicted: {TWO}" in repr(lesson.progress())
    assert "Kept in" not in lesson.progress().table.value
    assert list(tmp_path.iterdir()) == []
    new_kernel()
    assert repr(lesson.progress()) == "Nothing is kept yet."


def test_tests_keep_no_file():
    assert os.environ["PIWSL_LAB_PROGRESS"] == "off"


def test_two_kernels_that_write_in_turn_lose_nothing(file):
    one, two = lesson._Lesson(), lesson._Lesson()
    for k in range(3):
        one.progress.note(f"one.{k}", kind="explanation", text="a")
        two.progress.note(f"two.{k}", kind="explanation", text="b")
    one.progress.call("Ada")
    two.progress.note("two.3", kind="explanation", text="b")
    two.progress.call("Grace")
    one.progress.note("one.3", kind="explanation", text="a")
    assert read_progress(file)["name"] == "Grace"
    assert len(answers(file)) == 8


DAMAGED = {
    "no JSON": b'{"version": 1, "answers": {"06.dou',
    "no text": b"\xff\xfe\x00\x01",
    "a number of 5000 digits": b'{"version": 1, "answers": {"a": ' + b"1" * 5000 + b"}}",
    "deep": b"[" * 100_000,
    "another version": b'{"version": 2, "answers": {}}',
    "something else": b'{"name": "a package"}',
    "a list": b"[1, 2]",
    "answers that are none": b'{"version": 1, "answers": {"06.double": "4 times"}}',
    "empty": b"",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_file_that_cannot_be_read_is_never_overwritten(file, capsys, content):
    file.write_bytes(content)
    asked = commit(TWO)
    assert "kept in memory only" in asked.words.value
    assert str(file) in asked.words.value
    lesson.check(BIAS.key, right)
    assert "kept in memory only" not in capsys.readouterr().err
    lesson.progress().keep.click()
    assert file.read_bytes() == content
    assert f"predicted: {TWO}" in repr(lesson.progress())  # in memory it is
    with pytest.raises(ProgressError, match=re.escape(str(file))):
        read_progress(file)
    # It goes into a file again, all of it, as soon as that is possible.
    file.unlink()
    lesson.check(BIAS.key, half_forgotten)
    assert set(answers(file)) == {KEY, BIAS.key}
    assert lesson._lesson.progress.warning == ""


def test_a_check_says_once_why_it_is_not_kept(file, capsys):
    file.write_text("no JSON")
    lesson.check(BIAS.key, half_forgotten)
    assert capsys.readouterr().out.count("kept in memory only") == 1
    lesson.check(BIAS.key, also_half_forgotten)
    printed = capsys.readouterr().out
    assert "kept in memory only" not in printed
    assert "Hint" in printed  # it counts in memory


def test_a_folder_that_cannot_be_written_to_only_warns(file, monkeypatch, capsys):
    """Not by its permissions: those do not stop an administrator."""
    commit(TWO)
    before = file.read_bytes()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as locked:
        locked.setattr("piwsl_lab.lab.checks.progress.write_json", refuse)
        for answer in (half_forgotten, also_half_forgotten):
            lesson.check(BIAS.key, answer)
        assert "cannot be written (Permission denied)" in capsys.readouterr().out
        assert "cannot be written" in lesson.progress().table.value
        overview = lesson.progress()
        overview.name.value = "Ada"
        overview.keep.click()
        assert "cannot be written" in overview.words.value
        assert file.read_bytes() == before
        assert lesson._lesson.progress.answers[BIAS.key]["attempts"] == 2
    lesson.explain("06.why", "Why?").keep.click()
    commit(TWO)
    lesson.check(BIAS.key, half_forgotten)
    assert read_progress(file)["name"] == "Ada"
    assert answers(file)[BIAS.key]["attempts"] == 2
    assert answers(file)[KEY]["prediction"] == TWO


def test_an_old_answer_in_a_file_that_cannot_be_written_does_not_win(file, monkeypatch):
    lesson.check(BIAS.key, half_forgotten)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("piwsl_lab.lab.checks.progress.write_json", refuse)
    lesson.check(BIAS.key, right)
    lesson.check(BIAS.key, no_known_mistake)
    assert lesson._lesson.progress.answer(BIAS.key)["passed"] is True
    assert lesson._lesson.progress.answer(BIAS.key)["attempts"] == 3


def test_the_same_answer_given_again_is_written_once_that_is_possible(file, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("piwsl_lab.lab.checks.progress.write_json", refuse)
        lesson.check(BIAS.key, right)
    assert not file.exists()
    lesson.check(BIAS.key, right)
    assert answers(file)[BIAS.key]["passed"] is True


def test_a_warning_goes_when_the_file_is_mended(file):
    file.write_text("no JSON")
    assert "kept in memory only" in lesson.progress().table.value
    file.unlink()
    assert "kept in memory only" not in lesson.progress().table.value


def test_a_path_that_is_none_only_warns(tmp_path, monkeypatch, file):
    (tmp_path / "a").write_text("")
    for path in (tmp_path, tmp_path / "a" / "b.json", tmp_path / "none" / "b.json"):
        monkeypatch.setenv("PIWSL_LAB_PROGRESS", str(path))
        new_kernel()
        assert "kept in memory only" in commit(TWO).words.value


def test_half_a_character_only_warns(file):
    file.write_bytes(b'{"version": 1, "name": "\\ud800", "answers": {}}')
    asked = commit(TWO)
    assert "cannot be written" in asked.words.value
    assert b"ud800" in file.read_bytes()


def test_a_mark_before_the_first_byte_is_no_damage(file):
    commit(TWO)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    new_kernel()
    assert lesson.predict(KEY).choice.value == TWO


def test_values_of_wrong_types_neither_count_nor_end_anything(file, shown):
    odd = {"kind": "check", "attempts": "many", "mistakes": None, "seen": 3, "source": 5, "passed": "yes"}
    content = {
        "version": 1,
        "name": 7,
        "answers": {
            BIAS.key: odd,
            KEY: {"kind": "prediction", "prediction": 4},
            "06.why": {"kind": "explanation", "text": ["a"]},
            "x": {},
        },
    }
    file.write_text(json.dumps(content))
    assert "You have not committed yet." in repr(lesson.predict(KEY))
    assert lesson.explain("06.why", "Why?").text.value == ""
    lesson.reveal(KEY, 4.0)
    assert "no prediction made" in shown[f"piwsl-reveal-{KEY}"]
    overview = lesson.progress()
    assert overview.name.value == ""
    assert "not passed yet, 0 answers tried" in repr(overview)
    lesson.check(BIAS.key, half_forgotten)
    kept = answers(file)[BIAS.key]
    assert (kept["attempts"], kept["passed"], len(kept["mistakes"]), len(kept["seen"])) == (1, False, 1, 1)
    assert "x" in answers(file)


@pytest.mark.parametrize("value", ["many", None, True, -1, 0, 1.5, float("inf"), [], 10**30])
def test_what_is_no_number_of_attempts_counts_nothing(value):
    assert counted(value) == 0
    assert counted(3) == 3


def test_texts():
    assert texts(["a", 1, None, "b"]) == ["a", "b"]
    assert texts(None) == texts("ab") == texts({"a": 1}) == []


def test_a_file_of_something_else_has_an_error_of_its_own(tmp_path):
    path = tmp_path / "package.json"
    path.write_text('{"answers": {}}')
    with pytest.raises(OtherFile, match="is no progress file of piwsl-lab"):
        read_progress(path)


# -- the questions --------------------------------------------------------------------------------------------------

EVERY = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.?!:])\s+", text) if part]


@EVERY
def test_a_question_has_a_lesson_and_options_that_differ(question):
    assert re.fullmatch(r"\d\d\.[a-z_]+", question.key)
    assert len(question.options) >= 2
    assert len({option.text for option in question.options}) == len(question.options)
    assert all(option.text and option.comment for option in question.options)


@EVERY
def test_sentences_of_a_question_are_short(question):
    for text in (question.text, *(part for o in question.options for part in (o.text, o.comment))):
        for sentence in sentences(text):
            assert len(sentence.split()) <= 20, sentence


@EVERY
def test_ranges_meet_and_do_not_overlap(question):
    ranges = sorted((o.low, o.high) for o in question.options if o.low == o.low or o.high == o.high)
    assert len(ranges) in (0, len(question.options))  # all or none
    assert all(low < high for low, high in ranges)
    assert [high for _, high in ranges[:-1]] == [low for low, _ in ranges[1:]]


@EVERY
def test_a_measurement_belongs_to_one_option(question):
    for option in question.options:
        assert question.measured(option.text) is option
        if option.low == option.low:
            assert question.measured(option.low) is option
            assert question.measured(np.nextafter(option.high, -np.inf)) is option


def test_keys_of_questions_and_checks_differ():
    assert all(question.key == key for key, question in QUESTIONS.items())
    assert all(re.fullmatch(r"\d\d\.[a-z_]+", key) for key in CHECKS)
    assert not set(QUESTIONS) & set(CHECKS)
