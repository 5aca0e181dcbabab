"""The development sets: what they hold, that no other set has their frames, and the table of trials made on them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from lessons import tool

from piwsl_lab.data import Dataset, datasets, load, require_disjoint
from piwsl_lab.data.frames.duplicates import duplicate_groups, shared
from piwsl_lab.data.oracle import Oracle
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "studies" / "development-frames"
METHODS = {"methanol": "GFN2-xTB", "malonaldehyde": "GFN2-xTB", "glycine": "GFN2-xTB", "nacl": "GFN1-xTB"}
PARTS = [(entry.name, part) for entry in datasets() for part in entry.parts]
SAMPLE = (0, 397, 799)


def development(name: str) -> Dataset:
    return load(str(FOLDER / f"{name}.npz"))


def formulas(data: Dataset) -> set[tuple[int, ...]]:
    return {tuple(np.sort(frame.numbers).tolist()) for frame in data}


def test_the_sets_are_these_and_small():
    sizes = {path.stem: path.stat().st_size for path in FOLDER.iterdir()}
    assert set(sizes) == set(METHODS)
    assert max(sizes.values()) <= 190_000
    assert sum(sizes.values()) <= 1_000_000


@pytest.mark.parametrize("name", METHODS)
def test_a_set_is_read_and_nothing_looks_wrong(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = development(name)
    assert (len(data), data.n_energies, data.n_forces) == (800, 800, 800)
    assert data.metadata.method == METHODS[name]
    assert not data.check().serious
    assert not list(shared(duplicate_groups(list(data)))), "two of its frames are one geometry"
    moved = np.std([frame.positions - frame.positions[0] for frame in data], axis=0).max()
    assert moved > 0.1


@pytest.mark.parametrize("name", METHODS)
def test_labels_are_those_of_the_method(name):
    pytest.importorskip("tblite")
    data = development(name)
    oracle = Oracle(METHODS[name].lower())
    for i in SAMPLE:
        fresh = oracle.label(data[i].numbers, data[i].positions, data[i].cell, data[i].pbc)
        assert fresh.energy == pytest.approx(data[i].energy, abs=1e-5)
        assert np.abs(fresh.forces - data[i].forces).max() < 1e-4


@pytest.mark.parametrize(("name", "part"), PARTS)
def test_no_development_frame_is_in_a_data_set(name, part, request):
    if not next(entry for entry in datasets() if entry.name == name).embedded:
        request.getfixturevalue("mirror")
    scored = formulas(load(f"{name}:{part}"))
    for own in METHODS:
        assert not formulas(development(own)) & scored, "frames of different formulas are no copies; these may be"


def test_development_sets_share_no_frame_with_each_other_or_with_what_is_embedded():
    parts = {name: development(name) for name in METHODS}
    require_disjoint(**parts, ethanol=load("ethanol:800K"))


def test_development_sets_are_no_ethanol_aspirin_or_acetylacetone():
    forbidden = {"C2H6O": (1,) * 6 + (6,) * 2 + (8,), "C9H8O4": (1,) * 8 + (6,) * 9 + (8,) * 4}
    forbidden["C5H8O2"] = (1,) * 8 + (6,) * 5 + (8,) * 2
    for name in METHODS:
        assert not formulas(development(name)) & set(forbidden.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_choice_is_scored_on_frames_that_training_and_best_step_never_see(name):
    """400 frames of the set are scored, always the same ones; 10 others pick the best step."""
    setups = [Setup(data=str(FOLDER / f"{name}.npz"), energies=50, forces=50, test=400, seed=seed) for seed in (0, 1)]
    tasks = [prepare(setup) for setup in setups]
    for task in tasks:
        assert [len(part) for part in task[:3]] == [50, 10, 400]
        require_disjoint(train=task.train, validation=task.validation, scored=task.test)
    scored = [{frame.positions.tobytes() for frame in task.test} for task in tasks]
    assert scored[0] == scored[1]


# -- the table ---------------------------------------------------------------------------------------------------------

HEAD = "data,energies,forces,method,seed,part,output,energy_mae,energy_rmse,force_mae,force_rmse\n"
COST = "data,energies,forces,method,seed,core_seconds,seconds,steps\n"


def stored(folder: Path, runs: list[tuple]) -> Path:
    """A report with runs (data, method, seed, output, energy MAE, force RMSE, core seconds)."""
    lines = [f"{d},50,50,{m},{s},{d},{o},{e},0.1,0.1,{f}\n" for d, m, s, o, e, f, _ in runs]
    costs = dict.fromkeys(f"{d},50,50,{m},{s},{c},{c},10\n" for d, m, s, _, _, _, c in runs)
    (folder / "results.csv").write_text(HEAD + "".join(lines), encoding="utf-8")
    (folder / "seconds.csv").write_text(COST + "".join(costs), encoding="utf-8")
    return folder


def test_there_is_no_table_before_there_are_runs(tmp_path):
    assert tool("development_table").trials(tmp_path / "nothing") == []


def test_the_score_of_a_trial_by_hand(tmp_path):
    """Ratios (0.5, 1), (0.5, 0.5) and (0.5, 0.5): the means are 0.75, 0.5 and 0.5, their geometric mean is 0.572."""
    a, b, c = (f"studies/development-frames/{name}.npz" for name in ("methanol", "nacl", "glycine"))
    runs = [
        (a, "painn radial 8", 0, "conservative", 0.01, 0.1, 14),
        (b, "painn radial 8", 0, "conservative", 0.02, 0.1, 15),
        (a, "painn", 0, "conservative", 0.02, 0.1, 10),
        (b, "painn", 0, "conservative", 0.04, 0.2, 10),
        (c, "painn radial 8", 0, "conservative", 0.02, 0.1, 15),
        (c, "painn", 0, "conservative", 0.04, 0.2, 10),
        (a, "painn few", 0, "conservative", 0.01, 0.05, 10),
        (b, "painn few", 0, "conservative", 0.02, 0.1, 10),
        (c, "painn wide", 0, "conservative", 0.02, 0.1, 21),
        (a, "painn wide", 0, "conservative", 0.01, 0.05, 21),
        (b, "painn wide", 0, "conservative", 0.02, 0.1, 21),
        (a, "painn slow", 0, "conservative", 0.02, 0.098, 5),
        (a, "tensornet big", 0, "conservative", 0.01, 0.05, 5),
    ]
    assert tool("development_table").trials(stored(tmp_path, runs)) == [
        "| painn | methanol | nacl | glycine | core seconds | score |",
        "|---|---|---|---|---|---|",
        "| base | 20.0 / 100.0 | 40.0 / 200.0 | 40.0 / 200.0 | 30 (×1.00) | 1.000 |",
        "| few | 10.0 / 50.0 | 20.0 / 100.0 |  | 20 (×1.00) | 0.500 (2 of 3 sets) |",
        "| radial 8 | 10.0 / 100.0 | 20.0 / 100.0 | 20.0 / 100.0 | 44 (×1.47) | **0.572** |",
        "| slow | 20.0 / 98.0 |  |  | 5 (×0.50) | 0.990 (1 of 3 sets) |",
        "| wide | 10.0 / 50.0 | 20.0 / 100.0 | 20.0 / 100.0 | 63 (×2.10) | 0.500 |",
        "",
        "| tensornet | methanol | core seconds | score |",
        "|---|---|---|---|",
        "| big | 10.0 / 50.0 | 5 |  |",
    ]


def test_seeds_are_paired_and_a_dual_head_is_scored_by_its_gradient(tmp_path):
    runs = [
        ("a.npz", "dual", 0, "conservative", 0.01, 0.1, 10),
        ("a.npz", "dual tied", 0, "direct", 9.0, 9.0, 10),
        ("a.npz", "dual tied", 0, "conservative", 0.01, 0.1, 10),
        ("a.npz", "dual tied", 1, "conservative", 0.03, 0.3, 10),
    ]
    assert tool("development_table").trials(stored(tmp_path, runs))[3] == "| tied | 20.0 / 200.0 | 10 (×1.00) | 1.000 |"


def test_a_trial_that_is_there_twice_is_refused(tmp_path):
    run = ("a.npz", "dual", 0, "conservative", 0.01, 0.1, 10)
    with pytest.raises(ValueError, match=r"has dual a\.npz 0 twice"):
        tool("development_table").trials(stored(tmp_path, [run, run]))
