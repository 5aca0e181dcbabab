"""What a run of VASP says about itself: which ionic steps did not converge, and whether it was killed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

NELM = re.compile(rb"^\s*NELM\s*=\s*(\d+)")
ITERATION = re.compile(rb"-+\s*Iteration\s+(\d+)\(\s*(\d+)\)")
CONVERGED = b"aborting loop because EDIFF is reached"
STEP = b"FREE ENERGIE OF THE ION-ELECTRON SYSTEM"
END = b"General timing and accounting"
ENERGY = (
    "VASP: 'energy' is the one extrapolated to no smearing (energy(sigma->0)); forces are the derivative of "
    "'free_energy' (TOTEN)."
)


class Run(NamedTuple):
    """Indices of ionic steps whose electrons did not converge within NELM steps, and whether the file ends early."""

    unconverged: list[int]
    killed: bool


def is_vasp(path: Path) -> str | None:
    """``"xml"`` or ``"outcar"`` for an output of VASP."""
    name = path.name.lower()
    with path.open("rb") as handle:
        head = handle.read(4096)
    if b"<modeling>" in head and b"vasp" in head:
        return "xml"
    return "outcar" if "outcar" in name or head.lstrip().startswith(b"vasp.") else None


def run_of(path: Path, kind: str) -> Run:
    """Look through an output of VASP; what is damaged in other ways is left to the reader."""
    return _look_xml(path) if kind == "xml" else _look_outcar(path)


def _look_xml(path: Path) -> Run:
    most, tolerance, step, unconverged = 0, 1e-4, 0, []
    try:
        for _, element in ET.iterparse(path, events=["end"]):
            if element.tag == "i" and element.attrib.get("name") == "NELM":
                most = int(element.text or 0)
            elif element.tag == "i" and element.attrib.get("name") == "EDIFF":
                tolerance = float(element.text or tolerance)
            elif element.tag == "calculation":
                if most and _ran_out(element, most, tolerance):
                    unconverged.append(step)
                step += 1
                element.clear()
    except ET.ParseError:
        return Run(unconverged, True)
    except ValueError:
        return Run(unconverged, False)  # a number is damaged; the reader says which
    return Run(unconverged, False)


def _ran_out(calculation: ET.Element, most: int, tolerance: float) -> bool:
    steps = calculation.findall("scstep")
    energies = [step.find("energy/i[@name='e_fr_energy']") for step in steps[-2:]]
    values = [float(energy.text) for energy in energies if energy is not None and energy.text]
    if len(steps) < most:
        return False
    return len(values) < 2 or abs(values[1] - values[0]) > tolerance


def _look_outcar(path: Path) -> Run:
    most, last, converged, ended, step, unconverged = 0, 0, False, False, 0, []
    with path.open("rb") as handle:
        for line in handle:
            if (found := ITERATION.search(line)) is not None:
                last, converged = int(found[2]), False
            elif not most and (found := NELM.match(line)) is not None:
                most = int(found[1])
            converged |= CONVERGED in line
            ended |= END in line
            if STEP in line:
                if most and last >= most and not converged:
                    unconverged.append(step)
                step += 1
    return Run(unconverged, not ended)
