"""Studies: what a file means, what survives a kill, and what the statistics say."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from ase.io import write
from commands import ENV, listen
from frames import labelled

from piwsl_lab.cli import main as cli
from piwsl_lab.cli import study as cli_study
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study import statistics
from piwsl_lab.study.cell import run
from piwsl_lab.study.engine import progress_of, run_cells
from piwsl_lab.study.grid import FIELDS, Cell, text
from piwsl_lab.study.report import write_report
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.store import Store, fields_of
from piwsl_lab.study.toml_file import read
from piwsl_lab.study.worker import WORKER
from piwsl_lab.support.files import without_nan
from piwsl_lab.training.kept import Kept

HEAD = '[setup]\nchannels = 8\nlayers = 1\nsteps = 20\ntest = 20\nbatch_size = 4\ndevice = "cpu"\n'
GRID = '[grid]\ndata = ["ethanol"]\nlabels = [8, [12, 6]]\nseeds = 3\n'
FIVE = GRID.replace("= 3", "= 5")  # as many as a claim needs
METHODS = (
    '[[method]]\nname = "supervised"\ntitle = "labels alone"\n'
    '[[method]]\nname = "piwsl"\ntitle = "with Taylor consistency"\npitc = 100\n'
)
# A worker that answers at once, or dies or refuses where a test wants it to.
QUICK_WORKER = """
import json, os, signal, sys, time
print(json.dumps({"ready": os.getpid()}), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    s, o = job["setup"], job["objective"]
    dying = os.environ.get("DIE_AT")
    if dying and s["seed"] == 1:
        try:
            open(dying, "x").close()  # one worker only
            os.kill(os.getpid(), signal.SIGKILL)
        except FileExistsError:
            pass
    if s["seed"] == 2 and os.environ.get("ALWAYS_DIE"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("PAUSE", "0")))
    if s["energies"] > 1000:
        print(json.dumps({"failed": "ValueError: ethanol has 2000 frames"}), flush=True)
        continue
    error = (1 + 0.1 * s["seed"]) * (0.5 if o["pitc"] else 1.0) / s["energies"]
    row = {"part": "test", "output": s["head"], "energy_mae": error, "energy_rmse": None, "force_mae": 2 * error}
    row |= {"force_rmse": 3 * error, "loop_work": 0.25}
    cost = {"seconds": time.monotonic(), "core_seconds": time.monotonic(), "steps": s["steps"]}
    result = {"rows": [row], **cost, "counts": {}}
    print(json.dumps({"result": result, "warnings": [], "versions": {}}), flush=True)
"""
QUICK = (sys.executable, "-c", QUICK_WORKER)


def study_of(folder: Path, content: str = HEAD + GRID + METHODS, name: str = "study.toml"):
    path = folder / name
    path.write_text(content)
    return read(path)


# What a file means


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("channels", "chanels", r"study.toml: \[setup\]: there is no key 'chanels'; did you mean 'channels'"),
        ("pitc = 100", "pict = 100", "method 'piwsl': there is no key 'pict'; did you mean 'pitc'"),
        ("[grid]", "[gird]", "the file: there is no key 'gird'; did you mean 'grid'"),
        ("labels = [8", "label = [8", r"\[grid\]: there is no key 'label'; did you mean 'labels'"),
        (
            "pitc = 100",
            'against = "supervized"',
            "against = 'supervized' is no other method; did you mean 'supervised'",
        ),
        ('name = "piwsl"', 'name = "supervised"', "two methods are called 'supervised'"),
        ('name = "piwsl"', "", r"\[\[method\]\] number 2 has no name"),
        (GRID, "", r"\[grid\] is empty"),
        ("labels = [8, [12, 6]]", "labels = []", r"\[grid\] labels = \[\] is empty"),
        ("seeds = 3", "seeds = 0", "seeds = 0: give how many"),
        ("seeds = 3", "seeds = [1, 1]", "without repeats"),
        ("seeds = 3", "seed = [1]", "the axis is called seeds"),
        ("seeds = 3", "energies = [3]", "give either labels or those two"),
        (METHODS, "", r"there is no \[\[method\]\]"),
        ("pitc = 100", "pitc = -1", "method 'piwsl' with .*'labels': 8.*the weight pitc=-1"),
        ("pitc = 100", 'pitc = "100"', "pitc = '100' has the wrong type; give float"),
        ("pitc = 100", "only = {labels = 9}", "method 'piwsl' has no cells"),
        ("pitc = 100", "only = {lables = 8}", "method 'piwsl': only: there is no key 'lables'"),
        ("[grid]", "[cells]\nfirst = [{labels = 9}]\n[grid]", r"first: \{'labels': 9\} matches no cell"),
        ("[grid]", "[grid", "is not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, old, new, message):
    content = HEAD + GRID + METHODS
    assert old in content
    with pytest.raises(ValueError, match=message):
        study_of(tmp_path, content.replace(old, new))
    with pytest.raises(ValueError, match="the study cannot be read"):
        read(tmp_path / "none.toml")


def test_fields_of_setup_and_objective_do_not_share_a_name():
    assert not FIELDS[Setup].keys() & FIELDS[Objective].keys()


def test_the_grid_is_a_product_run_seed_by_seed_with_all_methods_of_a_place_together(tmp_path):
    study = study_of(tmp_path)
    order = [(c.seed, c.value("labels"), c.method) for c in study.cells]
    assert order == [(s, n, m) for s in range(3) for n in ("8", "12/6") for m in ("supervised", "piwsl")]
    assert all((c.setup.energies, c.setup.forces) == (12, 6) for c in study.cells if c.value("labels") == "12/6")
    assert {c.objective.pitc for c in study.cells} == {0.0, 100.0}
    first = study_of(tmp_path, "[cells]\nfirst = [{labels = [[12, 6]], method = 'piwsl'}]\n" + HEAD + GRID + METHODS)
    assert [c.value("labels") for c in first.cells[:4]] == ["12/6", "12/6", "12/6", "8"]
    assert sorted(c.key for c in first.cells) == sorted(c.key for c in study.cells)


def test_a_method_that_sets_a_field_is_not_repeated_along_that_axis(tmp_path):
    grid = GRID.replace("seeds", "epsilon = [0.01, 0.05]\npitc = [1, 10.0]\nseeds")
    methods = METHODS.replace("pitc = 100", "").replace('alone"', 'alone"\npitc = 0\nepsilon = 0.05')
    study = study_of(tmp_path, HEAD + grid + methods)
    counts = {m.name: sum(c.method == m.name for c in study.cells) for m in study.methods}
    assert counts == {"supervised": 2 * 3, "piwsl": 2 * 3 * 4}
    assert study.axes == ("epsilon", "pitc")
    only = study_of(tmp_path, HEAD + grid + methods + "skip = {epsilon = 0.01, labels = [8]}\nonly = {seed = [0, 1]}")
    assert sum(c.method == "piwsl" for c in only.cells) == (4 + 2) * 2


def test_a_key_is_made_of_what_decides_the_result_and_of_nothing_else(tmp_path):
    study = study_of(tmp_path)
    keys = [c.key for c in study.cells]
    assert len(set(keys)) == len(keys) == 12
    renamed = METHODS.replace('"piwsl"', '"taylor"').replace("alone", "only").replace("pitc = 100", "pitc = 100.0")
    other = study_of(tmp_path, "[objective]\nepsilon = 0.05\n" + renamed + GRID + HEAD)
    assert {c.key for c in other.cells} == set(keys)
    wider = study_of(tmp_path, HEAD + GRID.replace("[8,", "[8, 9,").replace("3", "4") + METHODS)
    assert set(keys) < {c.key for c in wider.cells}
    changed = study_of(tmp_path, HEAD.replace("steps = 20", "steps = 21") + GRID + METHODS)
    assert not set(keys) & {c.key for c in changed.cells}
    # As made on the day the format was settled: another value here means that all finished studies are lost.
    cell = Cell("any", {}, Setup(energies=8, forces=8, steps=20), Objective(pitc=100.0))
    assert cell.key == "f713d63b2c92ac8a"


def test_a_choice_of_cells(tmp_path):
    study = study_of(tmp_path)
    assert len(study.select(["labels=8", "method=piwsl", "seed=0,2"])) == 2
    assert len(study.select(["labels=12/6"])) == 6
    for words, message in (("labels=9", "matches none of the 12"), ("labels", "key=value"), ("labls=8", "'labels'")):
        with pytest.raises(ValueError, match=message):
            study.select([words])
    assert [text(v) for v in (50, 50.0, "50", [50, 50], [50, 10], True, None, 1e-3)] == [
        "50", "50", "50", "50", "50/10", "true", "none", "0.001"
    ]  # fmt: skip


# Running


def quick(study, store, **options):
    news = []
    progress = run_cells(study.cells, store, command=QUICK, watch=lambda _, line: news.append(line), **options)
    return progress, [line for line in news if line]


def test_results_are_the_same_whatever_the_number_of_workers_and_the_order(tmp_path):
    study, tables = study_of(tmp_path), []
    for k, (workers, choice) in enumerate([(1, None), (3, None), (2, "seed=2")]):
        store = Store(tmp_path / str(k))
        if choice:
            run_cells(study.select([choice]), store, command=QUICK)
        progress, news = quick(study, store, workers=workers)
        assert (progress.count("done"), progress.count("done", "piwsl"), progress.seconds_left()) == (12, 6, 0)
        assert len(news) == (8 if choice else 12)
        write_report(study, store)
        tables.append((store.folder / "results.csv").read_bytes())
        assert quick(study, store)[1] == []
    assert tables[0] == tables[1] == tables[2]
    rows = list(csv.DictReader(tables[0].decode().splitlines()))
    assert len(rows) == 12
    assert rows[0]["energy_rmse"] == ""
    assert "seconds" not in rows[0]
    assert [int(row["energies"]) for row in rows] == [8] * 6 + [12] * 6


def test_data_files_are_found_from_anywhere(tmp_path, monkeypatch):
    """A path of a data file only worked from one working directory."""
    frames, elsewhere = tmp_path / "studies" / "frames", tmp_path / "elsewhere"
    frames.mkdir(parents=True)
    elsewhere.mkdir()
    write(frames / "own.xyz", labelled("CH3OH", 40).to_atoms())
    names = ["frames/own.xyz", "studies/frames/own.xyz"]
    (tmp_path / "studies" / "own.toml").write_text(
        HEAD.replace("20", "4")
        + f'[grid]\ndata = ["{names[0]}", "{names[1]}"]\nlabels = [8]\n[[method]]\nname = "supervised"\n'
    )
    monkeypatch.chdir(elsewhere)
    assert cli.main(["study", "../studies/own.toml", "--workers", "1"]) == 0
    study = read(tmp_path / "studies" / "own.toml")
    store = Store(study.folder)
    rows = statistics.result_rows(study, store)
    assert [row["part"] for row in rows] == names
    assert rows[0]["energy_mae"] == rows[1]["energy_mae"]
    assert not list(elsewhere.iterdir())


def test_a_run_that_fails_is_recorded_and_only_repeated_when_asked(tmp_path):
    study = study_of(tmp_path, HEAD + GRID.replace("[8,", "[8, 1900,") + METHODS)
    store = Store(study.folder)
    progress, news = quick(study, store, workers=2)
    assert (progress.count("done"), progress.count("failed")) == (12, 6)
    assert sum("failed. ValueError: ethanol has 2000 frames" in line for line in news) == 6
    write_report(study, store)
    report = (store.folder / "summary.md").read_text()
    assert "* piwsl ethanol 1900 labels seed 1: ValueError: ethanol has 2000 frames" in report
    assert quick(study, store)[1] == []
    assert len(quick(study, store, retry=True)[1]) == 6
    assert len(store.failed()) == 6


def test_a_worker_that_is_killed_gets_a_second_chance_and_no_third(tmp_path, monkeypatch):
    study = study_of(tmp_path)
    monkeypatch.setenv("DIE_AT", str(tmp_path / "died"))
    progress, news = quick(study, Store(tmp_path / "once"), workers=2)
    assert progress.count("done") == 12
    assert sum("tried again, the worker ended with signal 9" in line for line in news) == 1
    monkeypatch.setenv("ALWAYS_DIE", "1")
    store = Store(tmp_path / "always")
    progress, _ = quick(study, store, workers=1)
    assert (progress.count("done"), progress.count("failed")) == (8, 4)
    reason = json.loads(next(iter(store.failed().values())).read_text())["failed"]
    assert reason == "the worker ended with signal 9, out of memory? (2 times)"


def test_workers_that_cannot_start_and_impossible_numbers_end_the_study(tmp_path):
    study, store = study_of(tmp_path), Store(tmp_path / "out")
    broken = (sys.executable, "-c", "raise SystemExit('no torch here')")
    with pytest.raises(ValueError, match="a worker cannot start: the worker ended with exit code 1: no torch here"):
        run_cells(study.cells, store, command=broken)
    with pytest.raises(ValueError, match="workers=0"):
        run_cells(study.cells, store, workers=0)


def test_one_runner_a_folder_and_leftovers_go(tmp_path):
    study, store = study_of(tmp_path), Store(tmp_path / "out")
    store.runs.mkdir(parents=True)
    (store.runs / ".half.json.0123.part").write_text('{"setup": ')
    with Store(tmp_path / "out").lock():
        with pytest.raises(ValueError, match=rf"in use by another .* \(process {os.getpid()}\): wait for it.*--out"):
            quick(study, store)
        assert (store.runs / ".half.json.0123.part").exists()
    quick(study, store)
    assert not list(store.runs.glob("*.part"))


def test_a_result_that_is_broken_or_of_other_defaults_is_named(tmp_path):
    study, store = study_of(tmp_path), Store(tmp_path / "out")
    quick(study, store)
    cell, path = study.cells[0], store.finished()[study.cells[0].key]
    stored = json.loads(path.read_text())
    stored["setup"]["learning_rate"] = 0.5
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"made with learning_rate = 0.5, which is now 0.001 by default"):
        store.load(cell, path)
    path.write_text("{")
    with pytest.raises(ValueError, match=r"is no result of a run.*delete it"):
        progress_of(study.cells, store)


def test_the_time_limit_keeps_what_is_finished(tmp_path, monkeypatch):
    monkeypatch.setenv("PAUSE", "0.3")
    study, store = study_of(tmp_path), Store(tmp_path / "out")
    start = time.monotonic()
    progress, _ = quick(study, store, limit=1.2)
    assert time.monotonic() - start < 5
    assert 0 < progress.count("done") == len(store.finished()) < 12


def test_the_command_lists_and_reports(tmp_path, capsys):
    study_of(tmp_path)
    path = str(tmp_path / "study.toml")
    assert cli.main(["study", "list", path, "--only", "labels=8"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split(maxsplit=1) == ["-", "supervised ethanol 8 labels seed 0"]
    assert "0 of 6 done, 0 failed" in printed
    assert cli.main(["study", "report", path]) == 0
    assert "Nothing has finished yet" in (tmp_path / "study" / "summary.md").read_text()
    assert cli.main(["study", "draw", path]) == 2
    assert "write study [run|report|list] STUDY.toml" in capsys.readouterr().err
    assert [cli_study.duration(s) for s in (12.3, 300, 7500)] == ["12 s", "5 min", "2 h 05 min"]


def test_the_table_on_a_terminal(tmp_path):
    study = study_of(tmp_path)
    progress = progress_of(study.cells, Store(tmp_path / "out"))
    progress.state[study.cells[0].key] = "done"
    progress.seconds[study.cells[0].key] = 10.0
    progress.state[study.cells[1].key] = "running"
    progress.started[study.cells[1].key] = time.monotonic()
    progress.steps[study.cells[1].key] = (7, 20)
    rows = cli_study.lines(study, progress)
    assert rows[1].split() == ["labels", "alone", "1", "·", "·", "5"]
    assert "piwsl ethanol 8 labels seed 0: step 7 of 20" in rows[3]
    assert rows[-1] == "1 of 12 cells, about 2 min left"


# Broken off in the middle of a run: the real worker keeps it as it is

LONG = HEAD.replace("steps = 20", "steps = 1500") + GRID.replace("[8, [12, 6]]", "[8]").replace("= 3", "= 1") + METHODS
EVERY = 75  # steps between two validations of it


def steps_kept(store: Store, cell: Cell) -> int:
    kept = Kept(store.progress(cell))
    kept.open()
    return kept.steps[""]


def test_a_study_that_is_interrupted_goes_on_at_the_very_step(tmp_path):
    """Its workers were killed, and everything since the last validation was lost."""
    study, store = study_of(tmp_path, LONG), Store(tmp_path / "out")
    cell, seen = study.cells[0], []

    def press(progress, _):
        if progress.steps.get(cell.key, (0, 0))[0] > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cells([cell], store, watch=press)
    step = steps_kept(store, cell)
    if step % EVERY == 0:  # once in 75 times it was at a validation
        with pytest.raises(KeyboardInterrupt):
            run_cells([cell], store, watch=press)
        step = steps_kept(store, cell)
    assert step % EVERY
    run_cells([cell], store, watch=lambda progress, _: seen.extend(progress.steps.values()))
    assert min(done for done, _ in seen) > step
    assert not store.begun.exists()
    stored = store.load(cell, store.finished()[cell.key])
    assert stored["result"]["rows"] == without_nan(run(cell.setup, cell.objective)["rows"])


@pytest.mark.parametrize("how", ["SIGINT and SIGTERM", "SIGHUP", "its runner is gone"])
def test_a_worker_keeps_its_run_however_it_is_ended(how, tmp_path):
    cell, path = study_of(tmp_path, LONG).cells[0], tmp_path / "begun" / "key.safetensors"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": ENV, "preexec_fn": listen}
    with subprocess.Popen(WORKER, text=True, **pipes) as worker:
        worker.stdin.write(json.dumps({**fields_of(cell), "progress": str(path)}) + "\n")
        worker.stdin.flush()
        said = [json.loads(worker.stdout.readline()) for _ in range(2)]
        assert [*said[0], *said[1]] == ["ready", "step", "steps"]
        if how == "its runner is gone":
            worker.stdout.close()
            worker.stdin.close()
        else:
            for name in how.split(" and "):
                worker.send_signal(getattr(signal, name))
        assert worker.wait(timeout=60) == (129 if how == "SIGHUP" else 143)
    kept = Kept(path)
    kept.open()
    assert said[1]["step"] <= kept.steps[""] < 1500


# Statistics


def test_the_summary_names_rival_ratio_and_what_was_not_run(tmp_path):
    study, store = study_of(tmp_path, HEAD + FIVE + METHODS), Store(tmp_path / "out")
    run_cells(study.select(["labels=8"]) + study.select(["labels=12/6", "seed=0,1"]), store, command=QUICK)
    rows = statistics.summarise(study, statistics.result_rows(study, store))
    row = next(r for r in rows if (r["method"], r["energies"], r["quantity"]) == ("piwsl", 8, "energy_mae"))
    assert row["mean"] == pytest.approx(1000 * 1.2 * 0.5 / 8)
    assert (row["unit"], row["seeds"], row["against"], row["paired"]) == ("meV", 5, "labels alone", "paired")
    assert row["ratio"] == pytest.approx(0.5)
    assert row["shown"] == "lower"
    few = next(r for r in rows if (r["method"], r["energies"], r["quantity"]) == ("piwsl", 12, "force_rmse"))
    assert few["shown"] == "too few seeds"
    assert all("ratio" not in r for r in rows if r["method"] == "supervised")
    assert not [r for r in rows if r["quantity"] == "energy_rmse"]  # no label, no row
    write_report(study, store)
    report = (store.folder / "summary.md").read_text()
    assert "| ethanol | 12/6 | 2 of 5 | 2 of 5 |" in report
    assert "Not run (6):\n\n* supervised ethanol 12/6 labels seed 2" in report
    assert f"piwsl-lab study report {study.path} --out {store.folder}" in report


def test_a_method_can_be_held_against_several(tmp_path):
    methods = METHODS + '[[method]]\nname = "both"\npitc = 3\nagainst = ["supervised", "piwsl"]\n'
    study, store = study_of(tmp_path, HEAD + FIVE + methods), Store(tmp_path / "out")
    quick(study, store)
    rows = statistics.duels(study, statistics.result_rows(study, store))
    found = {(r["method"], r["against"]): r["ratio"] for r in rows if r["quantity"] == "energy_mae"}
    assert found == pytest.approx({
        ("piwsl", "labels alone"): 0.5,
        ("both", "labels alone"): 0.5,
        ("both", "with Taylor consistency"): 1.0,
    })  # fmt: skip
    write_report(study, store)
    assert "## Head to head" in (store.folder / "summary.md").read_text()
    assert (store.folder / "duels.csv").read_text().count("both,both") == 16


def test_a_rival_is_found_along_axes_and_outputs_it_does_not_have(tmp_path):
    grid = GRID.replace("seeds", "epsilon = [0.01, 0.05]\nseeds")
    methods = METHODS.replace('alone"', 'alone"\nepsilon = 0.05').replace("= 100", '= 100\nhead = "conservative"')
    study, store = study_of(tmp_path, HEAD + grid + methods), Store(tmp_path / "out")
    quick(study, store)
    rows = [r for r in statistics.summarise(study, statistics.result_rows(study, store)) if r["method"] == "piwsl"]
    assert {r["epsilon"] for r in rows} == {0.01, 0.05}
    assert {r["against"] for r in rows} == {"labels alone (direct)"}


def test_the_figures_say_what_they_show(tmp_path, capsys):
    from piwsl_lab.lab.figures import page as pictures

    grid = FIVE.replace("[8, [12, 6]]", "[8]").replace("seeds", "epsilon = [0.01, 0.05]\npitc = [1, 10]\nseeds")
    methods = METHODS.replace('alone"', 'alone"\nepsilon = 0.05\npitc = 0').replace("pitc = 100", "")
    maps = study_of(tmp_path, HEAD + grid + methods, "map.toml")
    for study in (study_of(tmp_path, HEAD + FIVE.replace("[8", "[8, 16") + METHODS), maps):
        store = Store(study.folder)
        quick(study, store)
        write_report(study, store)
        assert pictures.main([str(store.folder)]) == 0
        assert (store.folder / "figures.html").stat().st_size < 200_000
    lines, bars, *_ = pictures.figures(pictures.read_summary(tmp_path / "study"))
    assert [trace.name for trace in lines.data] == [
        "labels alone (direct forces)",
        "with Taylor consistency (direct forces)",
    ]
    assert (lines.layout.xaxis.type, lines.layout.yaxis.type) == ("log", "log")
    assert lines.layout.yaxis.title.text == "energy error, MAE, meV"
    assert list(lines.data[0].x) == [8, 16]
    assert np.allclose(bars.data[0].x, 0.5)
    chart = pictures.ratio_map(pictures.read_summary(tmp_path / "map"))
    assert np.allclose(np.array(chart.data[0].z, dtype=float), np.log10(0.5))
    assert chart.layout.coloraxis.cmin == -chart.layout.coloraxis.cmax
    assert chart.data[0].text[0][0] == "0.50*"
    with pytest.raises(ValueError, match="needs the axes epsilon and pitc"):
        pictures.ratio_map(pictures.read_summary(tmp_path / "study"))
    assert pictures.main([str(tmp_path)]) == 2
    assert "piwsl-lab study report" in capsys.readouterr().err


# The real command, killed


def start(path: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "piwsl_lab.cli", "study", str(path), "--out", str(out), "--workers", str(workers)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors.decode()


def kill(process: subprocess.Popen) -> None:
    """SIGKILL the command alone: its workers have to notice by themselves."""
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path):
    study = study_of(tmp_path)
    undisturbed, store, chance = Store(tmp_path / "undisturbed"), Store(tmp_path / "killed"), random.Random(0)
    whole = start(study.path, undisturbed.folder, workers=1)
    stamps: dict[Path, int] = {}
    for attempt in range(5):
        process = start(study.path, store.folder, workers=1 + attempt % 2)
        deadline, before = time.monotonic() + 60, len(store.finished())
        # Two kills at any moment of the start, three in the middle of training or writing.
        while attempt > 1 and len(store.finished()) == before and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        time.sleep(chance.uniform(0.2, 3.0) if attempt < 2 else chance.uniform(0.0, 0.6))
        kill(process)
        for path in store.runs.glob("*.json"):
            json.loads(path.read_text())
            assert stamps.setdefault(path, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    assert 0 < len(stamps) < 12
    finish(start(study.path, store.folder, workers=2))
    finish(whole)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(store.finished()) == 12
    assert not list(store.runs.glob("*.part"))
    for one in (undisturbed, store):
        write_report(study, one)
    assert (undisturbed.folder / "results.csv").read_bytes() == (store.folder / "results.csv").read_bytes()
