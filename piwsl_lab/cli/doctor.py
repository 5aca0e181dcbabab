"""What is installed, what is wrong with it and how to mend it: ``piwsl-lab doctor``.

Reads package metadata and files only; no widget library is imported, so that a broken one cannot break this.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from piwsl_lab.cli import launch
from piwsl_lab.lab import quirks

OK, WARNING, PROBLEM = "ok", "warning", "problem"

# Folder of each JupyterLab extension that draws a part of the dashboard, and the package that brings it.
FRONT_ENDS = {
    "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets",
    "anywidget": "anywidget",
    "nglview-js-widgets": "nglview",
}


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report."""

    status: str
    topic: str
    finding: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.status:<8} {self.topic:<14} {self.finding}"
        return f"{line}\n{'':>23} -> {self.remedy}" if self.remedy else line


def add(parser: argparse.ArgumentParser) -> None:
    """The command has no flags."""


def run(arguments: argparse.Namespace) -> int:
    """Examine and report."""
    return report(examine())


def examine(folder: Path | None = None) -> list[Diagnosis]:
    """Run every check; ``folder`` (the working directory) is where files would be written."""
    folder = folder or Path.cwd()
    return [
        *check_python(),
        *check_packages(),
        *check_device(),
        *check_front_ends(labextension_folders()),
        *check_quirks(quirks.QUIRKS),
        *check_kernels(jupyter_folders("kernels")),
        *check_notebooks(),
        *check_data(os.environ.get("PIWSL_LAB_DATA")),
        *check_writable(folder, _nearest_existing(_cache_folder())),
    ]


def report(checks: list[Diagnosis]) -> int:
    """Print the checks and a verdict; exit code 1 when one of them is a problem."""
    for check in checks:
        print(check)
    problems = sum(check.status == PROBLEM for check in checks)
    warnings = sum(check.status == WARNING for check in checks)
    print(f"\n{problems} problem(s), {warnings} warning(s)" if problems or warnings else "\nall is well")
    return 1 if problems else 0


def check_python() -> Iterator[Diagnosis]:
    """Version of Python and where it lies."""
    finding = f"{platform.python_version()} ({sys.executable}, {platform.system()} {platform.machine()})"
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Diagnosis(OK, "python", finding)
    else:
        yield Diagnosis(PROBLEM, "python", finding, "use Python 3.10-3.13, in an environment of its own")


def check_packages() -> Iterator[Diagnosis]:
    """Every package that this project asks for: installed, and within the bounds it was tested with."""
    try:
        requirements = metadata.requires("piwsl-lab") or []
    except metadata.PackageNotFoundError:
        yield Diagnosis(PROBLEM, "piwsl-lab", "runs from its source, not installed", "pip install -e '.[lab]'")
        return
    yield Diagnosis(OK, "piwsl-lab", metadata.version("piwsl-lab"))
    for text in requirements:
        yield from _check_requirement(text)


def check_quirks(known: Iterable[quirks.Quirk]) -> Iterator[Diagnosis]:
    """Every known fault of another library that the installed version has, and that is mended or avoided here."""
    for quirk in known:
        try:
            version = metadata.version(quirk.library)
        except metadata.PackageNotFoundError:
            continue
        if concerns(quirk, version):
            yield Diagnosis(OK, quirk.library, f"{version} has a fault that is dealt with here: {quirk.reason}")


def concerns(quirk: quirks.Quirk, version: str) -> bool:
    """Whether a version lies where the fault was seen: "8.1" holds 8.1.9, and words without a number hold all."""
    seen = re.fullmatch(r"(\d[\d.]*)(?: to (\d[\d.]*))?(?:,.*)?", quirk.versions)
    if seen is None:
        return True
    first, last = (Version(number).release for number in (seen[1], seen[2] or seen[1]))
    installed = Version(version).release
    return installed[: len(first)] >= first and installed[: len(last)] <= last


def _check_requirement(text: str) -> Iterator[Diagnosis]:
    requirement = Requirement(text)
    core = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    front_room = requirement.marker is not None and not core and requirement.marker.evaluate({"extra": "lab"})
    if requirement.name == "tblite" and not core and not _installed("tblite"):
        remedy = "conda install -c conda-forge tblite-python"
        yield Diagnosis(WARNING, "tblite", "no wheel for this platform: no live labels", remedy)
    if not (core or front_room):
        return
    install = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        if core:
            yield Diagnosis(PROBLEM, requirement.name, "missing", install)
        else:
            yield Diagnosis(
                WARNING, requirement.name, "missing, the dashboard needs it", "pip install 'piwsl-lab[lab]'"
            )
        return
    if requirement.specifier.contains(version, prereleases=True):
        yield Diagnosis(OK, requirement.name, version)
    else:
        yield Diagnosis(WARNING, requirement.name, f"{version}, tested with {requirement.specifier}", install)


def check_device() -> Iterator[Diagnosis]:
    """Where ``--device auto`` computes, and on how many threads."""
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    if torch.cuda.is_available():
        yield Diagnosis(OK, "device", f"cuda: {torch.cuda.get_device_name()} (CUDA {torch.version.cuda})")
    elif shutil.which("nvidia-smi"):
        reason = "its build is CPU only" if torch.version.cuda is None else "CUDA does not start"
        remedy = "see https://pytorch.org/get-started/locally for a build that fits the driver"
        yield Diagnosis(
            WARNING,
            "device",
            f"cpu, although there is an NVIDIA driver: torch cannot use it, {reason}",
            remedy,
        )
    else:
        yield Diagnosis(OK, "device", f"cpu: {torch.get_num_threads()} thread(s) on {os.cpu_count()} core(s)")


def jupyter_folders(kind: str) -> list[Path]:
    """Folders where Jupyter looks for ``kind`` ("labextensions", "kernels"), the first found wins."""
    if importlib.util.find_spec("jupyter_core") is None:
        return []
    from jupyter_core.paths import jupyter_path

    return [Path(folder) for folder in jupyter_path(kind)]


def labextension_folders() -> list[Path]:
    """Folders where JupyterLab looks for prebuilt extensions."""
    return jupyter_folders("labextensions")


def check_front_ends(folders: list[Path]) -> Iterator[Diagnosis]:
    """The browser halves of the widgets, as JupyterLab finds them on disk."""
    for name, package in FRONT_ENDS.items():
        version = quirks.front_end_version(name, folders)
        if version is not None:
            yield Diagnosis(OK, "front end", f"{name} {version}")
        elif _installed(package):
            remedy = f"pip install --force-reinstall --no-deps {package}"
            yield Diagnosis(PROBLEM, "front end", f"{name} is missing although {package} is installed", remedy)
    yield from check_nglview(folders)


def check_nglview(folders: list[Path]) -> Iterator[Diagnosis]:
    """Compare the front end that nglview asks for with the one it brought (4.0.1 disagrees with itself)."""
    disagreement = quirks.nglview_disagreement(folders)
    if disagreement is not None:
        asked, brought = disagreement
        yield Diagnosis(
            OK,
            "nglview",
            f"asks for front end {asked} and brings {brought}; the dashboard corrects this. "
            "In a notebook of your own, import piwsl_lab.lab.molecule.view before nglview",
        )


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_kernels(folders: list[Path]) -> Iterator[Diagnosis]:
    """A ``python3`` kernel that starts another Python is the usual cause of "No module named piwsl_lab"."""
    for folder in folders:
        description = folder / "python3" / "kernel.json"
        if not description.exists():
            continue
        remedy = "choose this environment's kernel, or: python -m ipykernel install --sys-prefix"
        try:
            program = json.loads(description.read_text(encoding="utf-8"))["argv"][0]
        except (json.JSONDecodeError, KeyError, IndexError):
            yield Diagnosis(PROBLEM, "kernel", f"{description} is damaged", remedy)
            return
        if os.path.isabs(program) and not _same_environment(program):
            yield Diagnosis(WARNING, "kernel", f"notebooks start {program} ({description})", remedy)
        else:
            yield Diagnosis(OK, "kernel", f"notebooks start this Python ({description})")
        return


def _same_environment(program: str) -> bool:
    # Not resolved: the python of a virtual environment is a link to the one that made it.
    return os.path.dirname(os.path.abspath(program)) == os.path.dirname(os.path.abspath(sys.executable))


def check_notebooks() -> Iterator[Diagnosis]:
    """How many notebooks there are to open, and where."""
    try:
        folder, packaged = launch.find_notebooks()
    except launch.LaunchError as error:
        yield Diagnosis(PROBLEM, "notebooks", "none", str(error))
        return
    count = len(list(folder.glob("*.ipynb")))
    where = "packaged" if packaged else "of the checkout"
    yield Diagnosis(OK, "notebooks", f"{count}, {where}: {folder}")


def check_data(mirror: str | None) -> Iterator[Diagnosis]:
    """Data that the wheel carries, and where the larger sets come from."""
    embedded = sorted((Path(__file__).parent.parent / "data" / "embedded").glob("*.npz"))
    if embedded:
        yield Diagnosis(OK, "data", f"embedded: {', '.join(path.stem for path in embedded)}")
    else:
        yield Diagnosis(PROBLEM, "data", "no embedded data", "pip install --force-reinstall --no-deps piwsl-lab")
    if mirror is None:
        yield Diagnosis(OK, "data", f"the other sets are downloaded on first use, to {_cache_folder()}")
    elif Path(mirror).is_dir():
        yield Diagnosis(OK, "data", f"the other sets are read from PIWSL_LAB_DATA={mirror}")
    else:
        yield Diagnosis(PROBLEM, "data", f"PIWSL_LAB_DATA={mirror} is no folder", "correct or unset PIWSL_LAB_DATA")


def _cache_folder() -> Path:
    import pooch

    return Path(pooch.os_cache("piwsl-lab"))


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def check_writable(*folders: Path) -> Iterator[Diagnosis]:
    """Whether notebooks and results can be written here, and downloads kept."""
    for folder in folders:
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            remedy = "change to a folder of your own"
            yield Diagnosis(PROBLEM, "write access", f"none in {folder} ({error.strerror})", remedy)
        else:
            yield Diagnosis(OK, "write access", str(folder))
