"""Figures, comparisons and the filter of the notebook of evidence, on a study whose answers are known."""

from __future__ import annotations

import csv
import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from piwsl_lab.lab.figures import page as evidence
from piwsl_lab.lab.panels.study import StudyFilter
from piwsl_lab.lab.parts.colours import COLOURS, CONSERVATIVE, CONSERVATIVE_PITC, DIRECT, DIRECT_PITC, DUAL, OTHERS
from piwsl_lab.study.report import plain, unplain, write_report
from piwsl_lab.study.store import Store
from piwsl_lab.study.toml_file import read

STUDY = """
title = "Known answers"
[grid]
data = ["ethanol", "acac_pbe"]
labels = [[40, 0], [40, 20]]
seeds = 5
[[method]]
name = "conservative"
title = "conservative, labels only"
head = "conservative"
[[method]]
name = "dual"
title = "dual"
head = "dual"
gradient = 50
"""
# The search for defaults has a hundred trials, and a table instead of lines (docs/protocol.md).
STUDIES = sorted(
    path for path in (Path(__file__).resolve().parents[2] / "studies").glob("*.toml") if path.stem != "development"
)
# Kinds of the methods of our studies by the beginning of their names; a rival is of no kind.
KINDS = {
    "supervised": DIRECT,
    "pitc": DIRECT_PITC,
    "pisc": DIRECT_PITC,
    "paper": DIRECT_PITC,
    "conservative-pitc": CONSERVATIVE_PITC,
    "conservative": CONSERVATIVE,
    "dual": DUAL,
    "": None,
}
PARTS = {"ethanol": ("ethanol", "ethanol:800K"), "acac_pbe": ("acac_pbe:test-300K", "acac_pbe:dihedral")}


def answer(cell, gain: float) -> dict:
    """Errors that differ a little from seed to seed; scans have no forces, as in the real data."""
    rows = []
    for far, part in enumerate(PARTS[cell.setup.data]):
        for output in ("conservative", "direct") if cell.method == "dual" else ("conservative",):
            force = 0.1 * gain * (1 + 0.01 * cell.seed) if part != "acac_pbe:dihedral" else None
            energy = 0.02 * (1 + far) * (1 + 0.1 * cell.seed)
            rows.append(
                {"part": part, "output": output, "energy_mae": energy, "energy_rmse": energy}
                | {"force_mae": force, "force_rmse": force}
            )
    seconds = 10.0 * (2 if cell.method == "dual" else 1)
    return {"rows": rows, "seconds": seconds, "core_seconds": seconds, "steps": 3, "counts": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Results of the study; the dual twin halves the forces of ethanol and changes nothing else."""
    path = tmp_path_factory.mktemp("studies") / "known.toml"
    path.write_text(STUDY, encoding="utf-8")
    study = read(path)
    store = Store(study.folder)
    store.runs.mkdir(parents=True)
    for cell in study.cells:
        gain = 0.5 if (cell.method, cell.setup.data) == ("dual", "ethanol") else 1.0
        store.write(cell, {"result": answer(cell, gain)})
    write_report(study, store)
    return store.folder


@pytest.fixture(scope="module")
def rows(folder):
    return evidence.read_summary(folder)


def test_duels_are_those_of_the_report_on_the_own_test_part(folder, rows):
    found = evidence.duels(folder, "dual", "conservative", "force_rmse", "conservative")
    assert [row["data"] for row in found] == ["acac_pbe"] * 2 + ["ethanol"] * 2
    assert [row["shown"] for row in found] == ["no difference shown"] * 2 + ["lower"] * 2
    assert [row["ratio"] for row in found] == pytest.approx([1, 1, 0.5, 0.5])
    assert "; error ×0.50 (ethanol, 40/0 labels) to ×1.00 (acac_pbe, 40/0 labels)" in evidence.tally(found)
    assert evidence.tally(found).startswith("lower at 2 of 4 places, no difference shown at 2")
    assert evidence.tally(found).endswith("core time ×2.00")
    # The direct output has a rival too, the only output of that; the report says which.
    direct = evidence.duels(folder, "dual", "conservative", "force_rmse", "direct")
    assert {row["against"] for row in direct} == {"conservative, labels only (conservative)"}


def test_duels_elsewhere_leave_out_what_has_no_label(folder):
    far = evidence.duels(folder, "dual", "conservative", "force_rmse", "conservative", elsewhere=True)
    assert [evidence.place(row) for row in far] == ["ethanol:800K, 40/0 labels", "ethanol:800K, 40/20 labels"]
    assert evidence.duels(folder, "dual", "no such method", "force_rmse", "conservative") == []
    assert evidence.tally([]) == "nothing to compare yet"


def test_no_label_at_all_has_a_place_on_a_logarithmic_axis(rows):
    figure = evidence.error_against_labels(evidence.own_test(rows), "force_rmse")
    assert figure.layout.xaxis.ticktext == ("0", "20")
    assert figure.data[0].x[0] == figure.layout.xaxis.tickvals[0] > 0
    assert figure.layout.xaxis.title.text == "frames with a force label"


def test_a_method_looks_alike_in_every_figure_and_no_two_look_alike(rows):
    looks = {
        trace.name: (trace.line.color, trace.marker.symbol, trace.line.dash)
        for trace in evidence.error_against_labels(rows, "force_rmse").data
    }
    assert len({look[1:] for look in looks.values()}) == len(looks) == 3
    assert looks["conservative, labels only"] == (COLOURS[CONSERVATIVE], "diamond", "solid")
    assert {look[0] for name, look in looks.items() if name.startswith("dual")} == {COLOURS[DUAL]}
    dots = evidence.side_by_side([r for r in rows if r["method"] == "conservative"], ["force_rmse"])
    assert set(dots.data[0].marker.color) == {COLOURS[CONSERVATIVE]}


def lines_of_a_study(path: Path) -> dict[str, dict]:
    """Looks of all methods of a study's file, both outputs of a dual head among them, by name and output."""
    rows = evidence.with_colours(
        [
            {"method": method.name, "title": method.name, "output": output}
            for method in read(path).methods
            for output in (("conservative", "direct") if "dual" in method.name else ("forces",))
        ],
        path,
    )
    looks = list(evidence.styles_of(rows).values())
    return {f"{r['method']}/{r['output']}": look for r, look in zip(rows, looks, strict=True)}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_kind_has_its_colour_in_every_study_and_no_two_lines_are_alike_without_colours(path):
    looks = lines_of_a_study(path)
    marks = {(look["marker"]["symbol"], look["line"]["dash"]) for look in looks.values()}
    assert len(marks) == len(looks)
    for name, look in looks.items():
        method = name.split("/")[0]
        kind = next(kind for start, kind in KINDS.items() if method.startswith(start))
        assert look["line"]["color"] in ([COLOURS[kind]] if kind else OTHERS), method


def test_methods_of_a_users_study_have_the_colours_of_what_they_are_whatever_their_names(tmp_path):
    path = tmp_path / "mine.toml"
    methods = {
        "a": "",
        "b": 'head = "conservative"\npitc = 1.0',
        "c": 'head = "dual"\ngradient = 1.0',
        "dual-mine": "curl = 1.0",
        "pitc": 'head = "conservative"',
    }
    tables = "".join(f'[[method]]\nname = "{name}"\n{fields}\n' for name, fields in methods.items())
    path.write_text(f'[grid]\ndata = ["ethanol"]\nlabels = [10]\n{tables}', encoding="utf-8")
    kinds = [COLOURS[kind] for kind in (DIRECT, CONSERVATIVE_PITC, DUAL)]
    assert list(evidence.method_colours(path).values()) == [*kinds, OTHERS[1], COLOURS[CONSERVATIVE]]


def test_lines_without_a_study_are_told_apart_and_never_black(tmp_path):
    rows = [{"method": n, "title": n, "output": ""} for n in "abcdefghijklmnopqrstu"]
    assert evidence.with_colours(rows, tmp_path / "no.toml") == rows
    looks = evidence.styles_of(rows)
    assert {look["line"]["color"] for look in looks.values()} == set(OTHERS)
    assert len({(look["marker"]["symbol"], look["line"]["dash"]) for look in looks.values()}) == len(rows)


def test_every_study_that_is_kept_here_is_among_those_tried():
    assert {"sparse-labels", "dual-head", "no-forces", "rivals", "flights"} <= {path.stem for path in STUDIES}


def test_seeds_are_the_yardstick_of_a_run_that_is_repeated():
    """Two settings whose seeds differ by ±10 % and by ±20 %: the pooled spread of the logarithms."""
    rows = [
        {"data": data, "method": "pitc", "seed": seed, "part": "x", "output": "direct", "energy_mae": math.exp(log)}
        for data, half in (("a", 0.1), ("b", 0.2))
        for seed, log in enumerate((3.0 + half, 3.0 - half))
    ]
    deviation = math.sqrt((2 * 0.1**2 + 2 * 0.2**2) / 2)  # two degrees of freedom
    wanted = math.exp(1.959964 * math.sqrt(2) * deviation)
    assert evidence.seed_factor(rows, "energy_mae", 0.95) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ValueError, match="two seeds"):
        evidence.seed_factor(rows[:1], "energy_mae")


def test_the_yardstick_of_notebook_08_tells_another_method_from_another_processor():
    """What it allows is more than a processor does, and less than what PITC does."""
    folder = evidence.find_studies() / "epsilon-weight"
    rows = evidence.read_table(folder / "results.csv")
    allowed = evidence.seed_factor(rows, "energy_mae")
    (without,) = [r["energy_mae"] for r in rows if (r["method"], r["seed"]) == ("supervised", 0)]
    at = {"method": "pitc", "seed": 0, "order": 2, "epsilon": 0.05, "pitc": 100}
    (with_pitc,) = [r["energy_mae"] for r in rows if all(r[k] == v for k, v in at.items())]
    assert 1.3 < allowed < 0.8 * without / with_pitc


def test_one_seed_is_drawn_and_written_without_an_interval(tmp_path):
    path = tmp_path / "single.toml"
    path.write_text(STUDY.replace("seeds = 5", "seeds = 1"), encoding="utf-8")
    study, store = read(path), Store(tmp_path / "single")
    store.runs.mkdir(parents=True)
    for cell in study.cells:
        store.write(cell, {"result": answer(cell, 1.0)})
    write_report(study, store)
    rows = evidence.read_summary(store.folder)
    assert all(math.isnan(row["low"]) for row in rows)
    assert evidence.main([str(store.folder)]) == 0
    assert evidence.side_by_side([r for r in rows if r["part"] == "ethanol"], ["energy_mae"]).data
    duel = evidence.duels(store.folder, "dual", "conservative", "force_rmse", "conservative")[0]
    assert (evidence.effect_words(duel), duel["shown"]) == ("1.00 (one seed)", "too few seeds")


def test_a_mean_of_many_seeds_without_an_end_is_damage(folder, tmp_path):
    with open(folder / "summary.csv", encoding="utf-8", newline="") as file:
        head, first, *others = csv.reader(file)
    first[head.index("low")] = ""
    with open(tmp_path / "summary.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, first, *others])
    with pytest.raises(ValueError, match="line 2: low is not given"):
        evidence.read_summary(tmp_path)


def test_an_axis_of_ratios_is_not_as_wide_as_an_interval_of_two_seeds(rows):
    held = [r for r in evidence.own_test(rows) if math.isfinite(r["ratio"])]
    wide = [r | {"ratio": 0.5, "ratio_low": 1e-6, "ratio_high": 1e6} for r in held]
    low, high = evidence.ratio_bars(wide, "force_rmse").layout.xaxis.range
    assert -1.1 < low < math.log10(0.5)
    assert 0 < high < 1.1


@pytest.mark.parametrize("ends", [(0.3, 0.45), (0.97, 1.02), (0.02, 40.0), (1.5, 3.0)])
def test_ticks_of_ratios_are_few_and_hold_one(ends):
    ticks = evidence.ratio_ticks(*ends)
    assert 1.0 in ticks
    assert len(ticks) <= 9


@pytest.mark.parametrize("live", [True, False])
def test_the_filter_follows_every_choice(rows, live):
    chooser = StudyFilter({"known": rows, "empty": []}, live)
    assert repr(chooser) == "StudyFilter(known)"
    _, where, labels, quantity = chooser.choices
    assert where.options[:2] == ("acac_pbe → acac_pbe:test-300K", "ethanol → ethanol")
    quantity.value = "force error, RMSE"
    where.value = "ethanol → ethanol"
    labels.value = "40/20"
    assert quantity.value == "force error, RMSE"
    assert list(chooser.plot.figure.data[0].x) == pytest.approx([102, 51, 51])
    assert "0.50 [0.50, 0.50]" in chooser.table.value
    where.value = "acac_pbe → acac_pbe:dihedral"
    assert quantity.value == "energy error, MAE"  # there is no force label to score on
    assert len(chooser.rows()) == 3


def test_without_results_there_is_a_sentence():
    chooser = StudyFilter({})
    assert "No study has results here yet" in chooser.children[0].value


def test_the_studies_are_found_beside_above_and_in_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "site" / "piwsl_lab"
    assert evidence.find_studies(package) is None
    for place in (package / "share" / "studies", tmp_path / "studies"):
        place.mkdir(parents=True)
        assert evidence.find_studies(package) != place  # a folder of that name alone is not ours
        (place / evidence.KNOWN_STUDY).write_text("")
        assert evidence.find_studies(package) == place


def test_flights_have_a_row_a_replica_a_table_and_a_figure(tmp_path):
    path = tmp_path / "flown.toml"
    path.write_text(STUDY.replace("[grid]", "[setup]\nflight_ps = 4.0\n[grid]", 1), encoding="utf-8")
    study, store = read(path), Store(tmp_path / "flown")
    store.runs.mkdir(parents=True)
    cells = [c for c in study.cells if c.setup.data == "ethanol" and c.method in ("conservative", "dual")]
    for cell in cells:
        found, fate = answer(cell, 1.0), {"ps": 1.0 + 0.5 * cell.seed, "reason": "the bond 0-1 is off by 0.60 Å"}
        fine = {"ps": 4.0, "reason": ""}
        found["flights"] = {"300": [fate, fine] if cell.method == "dual" else [fate, fate]}
        flown = {"part": "flight at 300 K", "output": found["rows"][0]["output"], "alive_ps": 2.0, "alive_share": 0.0}
        found["rows"].append(flown | {"flight_drift": 0.002 * (1 + cell.seed), "distance_error": None})
        store.write(cell, {"result": found})
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a share of 0 in both twins is no reason to warn
        write_report(study, store)
    rows = evidence.read_table(store.folder / "flights.csv")
    assert len(rows) == 2 * len(cells)
    assert {row["length_ps"] for row in rows} == {4.0}
    report = (store.folder / "summary.md").read_text(encoding="utf-8")
    lines = [line for line in report.splitlines() if "| 5 of 10: 0.50 [" in line]
    assert [line.split(" | ")[1] for line in lines] == ["40/0", "40/20"]
    assert all(line.endswith("| 6 | none |") for line in lines)  # meV an atom and ps; no reference for h(r)
    assert "tested on flight" not in report
    figure = evidence.survival(rows)
    curves = [trace for trace in figure.data if trace.fill is None]
    assert len(curves) == 4  # methods and numbers of labels
    looks = {(trace.name, trace.line.color, trace.marker.symbol) for trace in curves}
    assert looks == {
        ("conservative, labels only", COLOURS[CONSERVATIVE], "diamond"),
        ("dual (conservative forces)", COLOURS[DUAL], "star"),
    }
    for curve in curves:
        assert "markers" in curve.mode  # told apart without colours
        assert curve.y[0] == 1.0
        assert np.all(np.diff(curve.y) <= 0)
    assert {curve.y[-1] for curve in curves} == {0.0, 0.5}
    assert evidence.main([str(store.folder)]) == 0
    assert "share of replicas alive" in (store.folder / "figures.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("title", [r"a\b", r"a\\b", r"C:\new", "a|b", "a`b<c", "[x](y)", r"\|", "#1 of two", "plain"])
def test_a_title_is_read_as_it_was_written(title, tmp_path):
    """Of two backslashes none was left."""
    assert unplain(plain(title)) == title
    (tmp_path / "summary.md").write_text(f"# {plain(title)}\n\nwords\n")
    assert evidence._title(tmp_path) == title
