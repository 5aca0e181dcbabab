"""The doctor finds what is broken and names the remedy; in a good environment it finds nothing."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from piwsl_lab.cli import doctor, launch
from piwsl_lab.cli.doctor import OK, PROBLEM, WARNING, Diagnosis
from piwsl_lab.lab import quirks


def extension(folder: Path, name: str, version: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "package.json").write_text(json.dumps({"name": name, "version": version}))


def statuses(checks) -> list[str]:
    return [check.status for check in checks]


def test_exit_code_is_one_for_a_problem_only(capsys):
    assert doctor.report([Diagnosis(OK, "a", "fine"), Diagnosis(WARNING, "b", "odd", "mend it")]) == 0
    assert doctor.report([Diagnosis(OK, "a", "fine"), Diagnosis(PROBLEM, "b", "broken", "mend it")]) == 1
    assert "-> mend it" in capsys.readouterr().out


def test_this_environment_has_every_package_it_asks_for():
    checks = list(doctor.check_packages())
    assert [str(check) for check in checks if check.status == PROBLEM] == []
    assert {"torch", "ase", "vesin", "piwsl-lab"} <= {check.topic for check in checks}


def test_packages_outside_the_bounds_are_named(monkeypatch):
    installed = {"piwsl-lab": "0.1.0", "torch": "2.5.1+cu121", "ase": "3.25.0"}
    needed = [
        "torch<2.14,>=2.6",
        "ase<4,>=3.23",
        "pooch<2,>=1.8",
        'nglview<5; extra == "lab"',
        'ruff; extra == "test"',
    ]

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "requires", lambda name: needed)
    monkeypatch.setattr(metadata, "version", version)
    found = {check.topic: check for check in doctor.check_packages()}
    assert {topic: check.status for topic, check in found.items()} == {
        "piwsl-lab": OK,
        "torch": WARNING,
        "ase": OK,
        "pooch": PROBLEM,
        "nglview": WARNING,
    }
    assert "2.5.1" in found["torch"].finding
    assert found["pooch"].remedy == "pip install 'pooch<2,>=1.8'"
    assert found["nglview"].remedy == "pip install 'piwsl-lab[lab]'"


def test_the_oracle_s_package_is_missed_where_it_has_no_wheel(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: False)
    (check,) = doctor._check_requirement("tblite>=0.4; sys_platform == 'no such platform'")
    assert (check.status, check.topic) == (WARNING, "tblite")
    assert "conda" in check.remedy


def test_a_missing_front_end_is_a_problem(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda package: True)
    extension(tmp_path, "@jupyter-widgets/jupyterlab-manager", "5.0.13")
    extension(tmp_path, "nglview-js-widgets", "3.1.5")
    problems = [check for check in doctor.check_front_ends([tmp_path]) if check.status == PROBLEM]
    assert [check.finding for check in problems] == ["anywidget is missing although anywidget is installed"]
    assert problems[0].remedy == "pip install --force-reinstall --no-deps anywidget"


@pytest.mark.parametrize(("brought", "explained"), [("3.1.5", True), ("4.0", False), ("4.0.2", False)])
def test_the_disagreement_within_nglview_is_explained(tmp_path, monkeypatch, brought, explained):
    package = tmp_path / "nglview"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "_frontend.py").write_text("__frontend_version__ = '4.0'\n")
    extension(tmp_path, "nglview-js-widgets", brought)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "nglview", raising=False)
    findings = [check.finding for check in doctor.check_nglview([tmp_path])]
    assert len(findings) == explained
    assert all("4.0" in finding and brought in finding for finding in findings)
    assert "nglview" not in sys.modules


@pytest.mark.parametrize(
    ("program", "status"), [("python", OK), (sys.executable, OK), ("/some/other/bin/python", WARNING)]
)
def test_a_kernel_of_another_python_is_noticed(tmp_path, program, status):
    (tmp_path / "python3").mkdir()
    (tmp_path / "python3" / "kernel.json").write_text(json.dumps({"argv": [program, "-m", "ipykernel_launcher"]}))
    assert statuses(doctor.check_kernels([tmp_path / "not there", tmp_path])) == [status]


def test_missing_notebooks_are_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(launch, "find_notebooks", lambda: (_ for _ in ()).throw(launch.LaunchError("build them")))
    assert [(check.status, check.remedy) for check in doctor.check_notebooks()] == [(PROBLEM, "build them")]


def test_a_data_mirror_that_is_no_folder_is_a_problem(tmp_path):
    def status(mirror: Path) -> str:
        return list(doctor.check_data(str(mirror)))[-1].status

    assert status(tmp_path) == OK
    assert status(tmp_path / "nowhere") == PROBLEM


def test_a_folder_that_cannot_be_written_to_is_a_problem(tmp_path):
    before = sorted(tmp_path.iterdir())
    assert statuses(doctor.check_writable(tmp_path, tmp_path / "not there")) == [OK, PROBLEM]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", ["{", "{}", '{"argv": []}'])
def test_a_damaged_kernel_is_a_problem_with_a_remedy(tmp_path, content):
    (tmp_path / "python3").mkdir()
    (tmp_path / "python3" / "kernel.json").write_text(content)
    (check,) = doctor.check_kernels([tmp_path])
    assert check.status == doctor.PROBLEM
    assert "python -m ipykernel install" in check.remedy


def quirk(library: str, versions: str) -> quirks.Quirk:
    return quirks.Quirk(library, versions, f"the fault of {versions}", "mended", "tests/a.py::test_a", "it is mended")


def test_faults_of_the_installed_versions_are_listed_a_line_each(monkeypatch):
    installed = {"nglview": "4.0.1", "ipywidgets": "8.1.7", "google.colab": "1.0.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    concerned = [
        ("nglview", "4.0.1"),
        ("nglview", "3.1 to 4.0.1"),
        ("ipywidgets", "7.7 to 8.1"),
        ("ipywidgets", "8.1"),
        ("google.colab", "its page of 2026-08"),
    ]
    others = [
        ("nglview", "4.0.2 to 4.1"),
        ("ipywidgets", "8.1.9"),
        ("ipywidgets", "7.7, as on Google Colab"),
        ("ipykernel", "7.4.0"),
    ]
    found = list(doctor.check_quirks([quirk(*one) for one in concerned + others]))
    assert [(check.topic, check.finding.partition("the fault of ")[2]) for check in found] == concerned
    assert all(check.status == OK and installed[check.topic] in check.finding for check in found)
    assert all("\n" not in str(check) for check in found)


def test_the_examination_lists_the_faults_of_this_environment(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.quirks, "QUIRKS", (quirk("numpy", "1 to 9"),))
    assert "the fault of 1 to 9" in "\n".join(check.finding for check in doctor.examine(tmp_path))
