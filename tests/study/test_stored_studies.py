"""The studies of this laboratory: their stored runs are found, and their reports come out as they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from piwsl_lab.study.report import write_report
from piwsl_lab.study.statistics import result_rows
from piwsl_lab.study.store import Store
from piwsl_lab.study.tables import read_table
from piwsl_lab.study.toml_file import read

STUDIES = Path(__file__).resolve().parents[2] / "studies"
NAMES = [path.stem for path in sorted(STUDIES.glob("*.toml")) if (STUDIES / path.stem / "runs").is_dir()]


@pytest.mark.parametrize("name", NAMES)
def test_the_report_of_a_stored_study_is_the_same_to_the_byte(name, tmp_path):
    study, store = read(STUDIES / f"{name}.toml"), Store(tmp_path / name)
    shutil.copytree(STUDIES / name / "runs", store.runs)
    assert store.finished()
    written = {path.name: path.read_bytes() for path in write_report(study, store) if path.suffix == ".csv"}
    assert written == {path.name: path.read_bytes() for path in (STUDIES / name).glob("*.csv")}


@pytest.mark.parametrize("name", ["flights", "sparse-labels"])
def test_rows_of_stored_studies_know_whether_they_are_flights(name):
    """The files do not say so until they are made by the next recipe: their parts are called "flight at 300 K"."""
    study = read(STUDIES / f"{name}.toml")
    rows = result_rows(study, Store(study.folder))
    expected = {"test", "flight"} if name == "flights" else {"test"}
    for found in (rows, read_table(study.folder / "results.csv"), read_table(study.folder / "summary.csv")):
        assert {row["kind"] for row in found} == expected
        assert all((row["kind"] == "flight") == row["part"].startswith("flight at ") for row in found)
