"""What is installed: the wheel, its metadata, and the files beside the code that repeat something of it."""

from __future__ import annotations

import ast
import email
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import piwsl_lab

ROOT = Path(__file__).resolve().parent.parent
# Names on conda-forge that differ from those on PyPI.
CONDA_NAMES = {"pytorch": "torch", "python-vesin": "vesin", "tblite-python": "tblite", "jupyter_core": "jupyter-core"}
# Distributions that need not be installed where the tests run.
ABSENT_HERE = {
    "google": "google-colab", "h5py": "h5py", "tblite": "tblite", "tomli": "tomli", "torch_sim": "torch-sim-atomistic",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel of this tree, built as pip would build it, from the build requirements that are installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def metadata(wheel) -> email.message.Message:
    (name,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    return email.message_from_bytes(wheel.read(name))


def requirements(metadata, extra: str = "") -> dict[str, Requirement]:
    """Requirements by name: the core ones, or those that an extra adds."""
    parsed = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    if extra:
        return {found.name: found for found in parsed if f'extra == "{extra}"' in str(found.marker)}
    return {found.name: found for found in parsed if "extra" not in str(found.marker)}


def test_the_wheel_carries_the_notebooks(wheel):
    packed = {name for name in wheel.namelist() if name.startswith("piwsl_lab/share/notebooks/")}
    assert packed == {f"piwsl_lab/share/notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert (
        wheel.read("piwsl_lab/share/notebooks/00_quickstart.ipynb")
        == (ROOT / "notebooks/00_quickstart.ipynb").read_bytes()
    )


def test_the_wheel_carries_the_studies_that_the_notebooks_draw(wheel):
    packed = {name for name in wheel.namelist() if name.startswith("piwsl_lab/share/studies/")}
    kept = [*(ROOT / "studies").glob("*.toml"), *(ROOT / "studies").glob("*/*.csv")]
    assert packed == {f"piwsl_lab/share/{path.relative_to(ROOT).as_posix()}" for path in kept}
    assert "piwsl_lab/share/studies/sparse-labels.toml" in packed


def test_the_wheel_carries_the_embedded_data(wheel):
    packed = [info for info in wheel.infolist() if info.filename.startswith("piwsl_lab/data/embedded/")]
    files = {
        f"embedded/{part.file}" for entry in piwsl_lab.datasets() if entry.embedded for part in entry.parts.values()
    }
    assert files <= {info.filename.removeprefix("piwsl_lab/data/") for info in packed}
    assert sum(info.file_size for info in packed) <= 3e6


def test_the_wheel_carries_the_code_and_nothing_else(wheel):
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "piwsl_lab").rglob("*.py")}
    names = set(wheel.namelist())
    assert modules <= names
    assert {name.split("/")[0] for name in names} == {"piwsl_lab", f"piwsl_lab-{piwsl_lab.__version__}.dist-info"}


def test_the_command_is_there(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "piwsl-lab = piwsl_lab.cli.main:main" in wheel.read(name).decode()


def test_metadata(metadata):
    assert (metadata["Name"], metadata["Version"]) == ("piwsl-lab", piwsl_lab.__version__)
    assert set(metadata["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert metadata["License-Expression"] == "MIT"


def test_torch_has_both_bounds(metadata):
    """An open upper bound replaces a CPU build by gigabytes of CUDA; a wider lower one was never tested."""
    specifier = requirements(metadata)["torch"].specifier
    accepted = {version: specifier.contains(version) for version in ("2.5.1", "2.6.0", "2.13.0+cpu", "2.14.0", "3.0")}
    assert accepted == {"2.5.1": False, "2.6.0": True, "2.13.0+cpu": True, "2.14.0": False, "3.0": False}


def test_the_core_has_few_requirements_and_all_are_bounded(metadata):
    core = requirements(metadata)
    assert set(core) == {
        "ase", "numpy", "packaging", "pooch", "safetensors", "scipy", "tblite", "tomli", "torch", "tqdm", "vesin",
    }  # fmt: skip
    for found in (core | requirements(metadata, "lab")).values():
        operators = {specifier.operator for specifier in found.specifier}
        assert operators - {"!="} == {">=", "<"}, f"{found} needs a lower and an upper bound"


def imported(*folders: str) -> dict[str, set[str]]:
    """Names of other distributions that the modules of these folders import, with the modules that do."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if "_build" not in path.parts]
    own = {path.stem for path in paths} | {path.name for folder in folders for path in (ROOT / folder).iterdir()}
    distributions = importlib.metadata.packages_distributions()
    found: dict[str, set[str]] = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - own - {"piwsl_lab"}:
                distribution = ABSENT_HERE.get(name) or distributions.get(name, [name])[0]
                found.setdefault(canonicalize_name(distribution), set()).add(path.relative_to(ROOT).as_posix())
    return found


def declared(metadata, *extras: str) -> set[str]:
    """Names of the core requirements and of those of some extras."""
    found = set(requirements(metadata)).union(*(requirements(metadata, extra) for extra in extras))
    return {canonicalize_name(name) for name in found} - {"piwsl-lab"}


def test_what_the_package_imports_is_declared(metadata):
    """Google's package comes with Colab and with nothing else."""
    found = imported("piwsl_lab")
    missing = set(found) - declared(metadata, "lab", "hdf5", "torch-sim") - {"google-colab"}
    assert {name: found[name] for name in missing} == {}


def test_what_tests_and_tools_import_is_declared(metadata):
    found = imported("tests", "tools", "docs")
    missing = set(found) - declared(metadata, "lab", "hdf5", "docs", "test", "torch-sim")
    assert {name: found[name] for name in missing} == {}


def test_what_is_declared_for_all_is_imported(metadata):
    assert declared(metadata) - set(imported("piwsl_lab")) == set()


def test_the_extra_test_contains_the_others_that_tests_need(metadata):
    inner = [set(requirements(metadata, extra)) for extra in ("lab", "hdf5", "docs", "test")]
    lab, hdf5, docs, test = inner
    assert lab < docs < test
    assert hdf5 < test


@pytest.mark.parametrize(
    ("system", "machine", "wanted"),
    [("linux", "x86_64", True), ("linux", "aarch64", False), ("darwin", "arm64", True), ("win32", "AMD64", False)],
)
def test_tblite_is_asked_for_only_where_it_has_wheels(metadata, system, machine, wanted):
    marker = requirements(metadata)["tblite"].marker
    assert marker.evaluate({"sys_platform": system, "platform_machine": machine}) is wanted


def test_conda_has_the_same_packages_and_bounds(metadata):
    """Otherwise pip would replace what conda installed, torch first of all."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = [Requirement(line.replace(" ", "", 1)) for line in listed if isinstance(line, str)]
    found = {CONDA_NAMES.get(line.name, line.name): line.specifier for line in conda}
    del found["python"], found["pip"]
    wanted = requirements(metadata) | requirements(metadata, "lab")
    assert found == {name: requirement.specifier for name, requirement in wanted.items()}


def test_versions_agree():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == piwsl_lab.__version__
    assert f"## [{piwsl_lab.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.skipif(shutil.which("make") is None or os.name != "posix", reason="needs make and a POSIX shell")
def test_make_names_a_remedy_where_there_is_no_python(tmp_path):
    """A fresh copy, and a PATH on which every Python is a shim that fails when called (as pyenv's do)."""
    copy = tmp_path / "clone"
    (copy / "tools").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "tools/make_venv.sh"):
        shutil.copy(ROOT / name, copy / name)
    shims = tmp_path / "bin"
    shims.mkdir()
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(10, 14))):
        (shims / name).write_text("#!/bin/sh\nexit 127\n")
        (shims / name).chmod(0o755)
    environment = {"PATH": f"{shims}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    done = subprocess.run(["make", "test"], cwd=copy, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "no Python 3.10-3.13 found" in done.stderr
    assert "make lab PYTHON=" in done.stderr
    assert not (copy / ".venv").exists()


def test_continuous_integration_never_skips_the_browser():
    script = (ROOT / ".ci" / "run").read_text()
    assert "export PIWSL_LAB_REQUIRE_BROWSER=1" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def collected(*arguments: str) -> set[str]:
    """Names of the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split("::")[1] for line in done.stdout.splitlines() if "::" in line}


def test_continuous_integration_takes_one_loaded_pass_of_first_display_and_f5():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make test\n" in script
    (soak,) = [line for line in script.splitlines() if "make soak" in line]
    assert "export PIWSL_LAB_SOAK_TRIALS=1\n" in script
    (chosen,) = re.findall(r'-k "(.*)"', soak)
    scenes = {f"test_{scene}[lab-{panel}]" for scene in ("first_display", "f5") for panel in ("dashboard", "deck")}
    assert collected("tests/soak", "-k", chosen) == scenes


def test_github_runs_the_same_and_publishes_the_pages_that_it_built():
    text = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert ".ci/run" in [step.get("run") for step in jobs["check"]["steps"]]
    (pages,) = [step for step in jobs["check"]["steps"] if "upload-pages-artifact" in step.get("uses", "")]
    assert pages["with"]["path"] == "docs/_build/html"
    assert jobs["publish"]["needs"] == "check"
    assert "OWNER" in text, "nobody's account is written into the repository"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_soak_runs_when_it_is_called_by_its_name_only(pytestconfig):
    def commands(target: str) -> str:
        return subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "pytest tests/soak" in commands("soak")
    assert "soak" not in commands("test")
    assert "soak" in pytestconfig.getini("norecursedirs"), "pytest tests/ would collect it"


def test_the_tables_of_the_readme_are_those_of_the_studies():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "readme_tables.py"), "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
