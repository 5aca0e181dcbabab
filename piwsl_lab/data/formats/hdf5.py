"""HDF5 files as ANI-1x, ANI-2x, SPICE, QCML, QM7-X and Transition1x lay them out: a group for each molecule.

A group (or the file itself) with positions and atomic numbers holds frames. The names of its labels
say which data set it follows, and so which units they have. An attribute ``units`` of a data set, a
group or the file says it better.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from piwsl_lab.data.formats.arrays import LARGEST, Arrays, frames
from piwsl_lab.data.frames.frame import DataError, DataWarning, Frame
from piwsl_lab.data.frames.keys import looks_like_label, passed_over
from piwsl_lab.data.frames.measures import spelled, unit_doubts
from piwsl_lab.data.frames.stated import factors, force_unit, names_unit, stated, unit_factor
from piwsl_lab.data.sets.dataset import Dataset, Metadata

POSITIONS = ("conformations", "coordinates", "positions", "coords", "atXYZ", "geometry", "pos", "R")
NUMBERS = ("atomic_numbers", "species", "numbers", "atNUM", "nuclear_charges", "elements", "z", "Z")
CELLS = ("cell", "lattice")
CHARGES = ("charge", "total_charge", "net_charge", "Q")
MULTIPLICITIES = ("multiplicity", "spin_multiplicity")
ROLES = {
    "positions": POSITIONS,
    "numbers": NUMBERS,
    "cell": CELLS,
    "charge": CHARGES,
    "multiplicity": MULTIPLICITIES,
}
BRACKET = re.compile(r"\[[^\]]*?(\++|-+|\+\d+|-\d+)(?::\d+)?\]")  # charged atom of a SMILES


class Layout(NamedTuple):
    """Names of the labels of one data set and their units."""

    name: str
    energy: str
    forces: str
    energy_unit: str = "ev"
    length_unit: str = "angstrom"
    force_unit: str = "ev/angstrom"
    sign: int = 1  # -1 where the file holds gradients


LAYOUTS = (
    Layout("SPICE", "dft_total_energy", "dft_total_gradient", "hartree", "bohr", "hartree/bohr", -1),
    Layout("ANI-1x", "wb97x_dz.energy", "wb97x_dz.forces", "hartree", "angstrom", "hartree/angstrom"),
    Layout("QCML", "pbe0_energy", "pbe0_forces", "hartree", "bohr", "hartree/bohr"),
    Layout("Transition1x", "wB97x_6-31G(d).energy", "wB97x_6-31G(d).forces"),
    Layout("QM7-X", "ePBE0+MBD", "totFOR"),
    Layout("ANI-2x", "energies", "forces", "hartree", "angstrom", "hartree/angstrom"),
    Layout("eV and Å", "energy", "forces"),
    Layout("eV and Å", "total_energy", "forces"),
)


def read_hdf5(path: Path, source: str) -> Dataset:
    """Frames of all groups of an HDF5 file, in the order of their names.

    Raises
    ------
    DataError
        h5py is missing, the file is damaged, or no group has positions, atomic numbers and known labels.
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(f'{source}: HDF5 files need h5py: pip install "piwsl-lab[hdf5]"') from error
    said: Counter[str] = Counter()
    found: list[Frame] = []
    try:
        with h5py.File(path, "r") as file:
            _check_sizes(file, source)
            for group in _groups(file):
                stacked = _arrays(group, source, said)
                name = f"group {group.name} of {source}"
                found += Dataset(frames(stacked, name), Metadata(name))  # an error says which of its frames
    except DataError:
        raise
    # h5py raises whatever the library below it finds in a damaged file.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{source}: not a whole HDF5 file ({error}); copy or download it again") from error
    if not found:
        raise DataError(
            f"{source}: no group has positions and atomic numbers under a known name "
            f"({', '.join(POSITIONS)}; {', '.join(NUMBERS)}); convert it to extended XYZ"
        )
    for doubt in unit_doubts(found, stacked.energy_unit):
        warnings.warn(f"{source}: {doubt}", DataWarning, stacklevel=2)
    unlabelled = sum(frame.energy is None and frame.forces is None for frame in found)
    if unlabelled:
        said[f"{unlabelled} frames have no label in this file and are kept without"] = 0
    remarks = [f"{what} ({number} groups)." if number else f"{what}." for what, number in said.items()]
    return Dataset(found, Metadata(source, origin=source), remarks=remarks)


def _groups(file: Any) -> Iterator[Any]:
    """Every group that has positions and numbers, links into other files left out."""
    members: list[Any] = [file]
    file.visititems(lambda _, item: members.append(item))
    for item in members:
        if hasattr(item, "keys") and _first(item, POSITIONS) and _first(item, NUMBERS):
            yield item


def _first(group: Any, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if _is_data(group, name)), None)


def _is_data(group: Any, name: str) -> bool:
    """Whether a data set of this name lies in the group itself; links that lead out of the file are not followed."""
    if name in group.attrs:
        return True
    link = group.get(name, getlink=True) if name in group else None
    return link is not None and type(link).__name__ == "HardLink" and hasattr(group[name], "shape")


def _check_sizes(file: Any, source: str) -> None:
    """Refuse what would not fit into memory, and data that lie outside the file; nothing is read yet."""
    wanted = {*POSITIONS, *NUMBERS, *CELLS, *(name for layout in LAYOUTS for name in layout[1:3])}
    sizes: list[int] = []

    def weigh(name: str, item: Any) -> None:
        if hasattr(item, "nbytes") and name.rpartition("/")[2] in wanted:
            if item.external:
                raise DataError(f"{source}: data set {item.name} lies in another file; such files are not read")
            sizes.append(item.nbytes)

    file.visititems(weigh)
    if sum(sizes) > LARGEST:
        raise DataError(
            f"{source}: holds {sum(sizes) / 1e6:.0f} MB of geometries and labels, more than the {LARGEST / 1e6:.0f} MB "
            "that are read; write the part you need into a file of its own"
        )


def _arrays(group: Any, source: str, said: Counter[str]) -> Arrays:
    layout, has = _layout(group, source)
    names = {role: name for role, known in ROLES.items() if (name := _first(group, known)) is not None}
    names |= {role: getattr(layout, role) for role in ("energy", "forces") if getattr(layout, role) in has}
    data: dict[str, Any] = {role: _value(group, name) for role, name in names.items()}
    if "charge" not in data and (charge := _charge_of_smiles(group)):
        data["charge"] = np.array(charge)
    units = _units(group, layout, names, source)
    found = factors(units, "energy" in names, "forces" in names)
    taken = ", ".join(f"'{names[role]}'" for role in ("energy", "forces") if role in names)
    said[f"Read {taken or 'no labels'} as {layout.name} has it ({units['energy']}, {units['length']})"] += 1
    for name in sorted(has - {*names.values()}):
        if looks_like_label(name):
            said[passed_over(name)] += 1
    return Arrays(
        **data,
        length=found.length,
        energy_unit=found.energy,
        force_unit=layout.sign * found.forces,
        missing=True,
        names=names,
    )


def _layout(group: Any, source: str) -> tuple[Layout, set[str]]:
    """The first layout whose energy or forces the group has."""
    has = {name for name in (*group.keys(), *group.attrs) if _is_data(group, name)}
    for layout in LAYOUTS:
        if layout.energy in has or (layout.forces in has and layout.energy != "energies"):
            return layout, has
    labels = sorted(name for name in has if looks_like_label(name))
    if not labels:
        return LAYOUTS[-2], has
    raise DataError(
        f"{source}: group {group.name} has no label under a known name (found: {', '.join(labels)}); "
        "call the total energy 'energy' and the forces 'forces', with an attribute 'units'"
    )


def _value(group: Any, name: str) -> np.ndarray:
    value = group.attrs[name] if name in group.attrs else group[name][()]
    array = np.asarray(value)
    if array.dtype == object:  # text of any length
        array = np.array([v.decode() if isinstance(v, bytes) else str(v) for v in array.reshape(-1)]).reshape(
            array.shape
        )
    return array


def _units(group: Any, layout: Layout, names: Mapping[str, str], source: str) -> dict[str, str]:
    """Units by kind: attributes of the data set come first, those of the groups around it next, the layout last."""
    found: dict[str, str] = {}
    for holder in (group.file, group.parent, group):
        try:
            found |= stated({key: value for key, value in holder.attrs.items() if names_unit(key)})
        except DataError as error:
            raise DataError(f"{source}: attributes of {holder.name}: {error}") from error
    for kind, role in (("length", "positions"), ("energy", "energy"), ("forces", "forces")):
        if (unit := _own_unit(group, names.get(role), kind, source)) is not None:
            found[kind] = unit
    usual = {"length": layout.length_unit, "energy": layout.energy_unit}
    if all(unit_factor(kind, found.get(kind, unit)) == unit_factor(kind, unit) for kind, unit in usual.items()):
        usual["forces"] = layout.force_unit
    elif "forces" not in found and "forces" in names:
        # Another unit than the layout's: the unit of the forces has to follow from what is stated.
        length = found.get("length", None if layout.length_unit == "angstrom" else layout.length_unit)
        try:
            usual["forces"] = force_unit(found.get("energy", layout.energy_unit), length)
        except DataError as error:
            raise DataError(f"{source}: group {group.name}: {error}") from error
    return usual | found


def _own_unit(group: Any, name: str | None, kind: str, source: str) -> str | None:
    """Unit that the attributes of one data set state."""
    if name is None or name not in group.keys():
        return None
    attributes: Mapping[str, Any] = group[name].attrs
    key = next((key for key in attributes if names_unit(key)), None)
    if key is None:
        return None
    unit = spelled(attributes[key])
    if unit_factor(kind, unit) is None:
        raise DataError(
            f"{source}: data set {group.name}/{name} has the unit '{unit}', which is not known; convert it to eV and Å"
        )
    return unit


def _charge_of_smiles(group: Any) -> int:
    """Total charge, e, from the formal charges of the SMILES that SPICE stores; 0 where there is none."""
    if not _is_data(group, "smiles"):
        return 0
    total = 0
    for sign in BRACKET.findall(str(_value(group, "smiles").reshape(-1)[0])):
        digits = sign.strip("+-")
        total += (1 if sign[0] == "+" else -1) * (int(digits) if digits else len(sign))
    return total
