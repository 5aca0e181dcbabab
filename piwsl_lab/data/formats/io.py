"""Files in, `Dataset` out: the door of the library. docs/data.md says the same at length."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms

from piwsl_lab.data.formats.cuts import doubt_end, refuse_cut
from piwsl_lab.data.formats.databases import SQLITE, read_database
from piwsl_lab.data.formats.dumps import is_dump, keep_forces, units_of_dump
from piwsl_lab.data.formats.foreign import refuse, refuse_folder
from piwsl_lab.data.formats.hdf5 import read_hdf5
from piwsl_lab.data.formats.npz import read_npz
from piwsl_lab.data.formats.opening import exists, files_of, unpacked
from piwsl_lab.data.formats.vasp import ENERGY, is_vasp, run_of
from piwsl_lab.data.formats.xsf import ARCHIVES, read_xsf
from piwsl_lab.data.formats.xyz import is_xyz, read_xyz
from piwsl_lab.data.frames.convert import frames_of
from piwsl_lab.data.frames.frame import DataError, DataWarning, Frame
from piwsl_lab.data.frames.isolated import lowest_taken, set_apart
from piwsl_lab.data.frames.keys import names_passed_over, passed_over
from piwsl_lab.data.sets.dataset import Dataset, Metadata
from piwsl_lab.support.files import no_file

COUNTED = re.compile(r"\((\d+) frames")
HINTS = ("negative", "columns without a name", "is 0, so that", "holds no total energy")
HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: str | Path | Sequence[str | Path], labels: bool = True) -> Dataset:
    """Read every frame of a file, or of several, converted to eV and Å.

    Parameters
    ----------
    path : str, Path or sequence of these
        A file, a pattern (``"run*.xyz"``, in natural order) or a list. Extended XYZ and all other formats of
        `ase.io.read` (eV, Å); ``.npz`` (MD17, rMD17, PhysNet, ASE names; kcal/mol for the first two where the file
        states no unit); databases of ASE and SchNetPack; HDF5 as ANI-1x, SPICE or QCML have it (needs h5py);
        ``.xsf`` with the energy in a comment, or a ``.tar.gz`` of such files. ``.gz``, ``.bz2`` and ``.xz`` are
        unpacked.
    labels : bool
        Whether energies or forces must be there; False for a start structure.

    Returns
    -------
    Dataset
        `Dataset.remarks` says which names the labels had and what was passed over. ``REF_energy`` comes before
        ``DFT_energy``, that before ``energy``, that before ``total_energy``, and ``free_energy`` last; forces are
        taken from where the energy is. Of VASP, ``energy`` is energy(sigma->0), and ionic steps that used all NELM
        electronic steps are left out. Isolated atoms become `Dataset.isolated_energies`.

    Warns
    -----
    DataWarning
        Labels of different names in one set; a run that was killed; steps that did not converge.

    Raises
    ------
    DataError
        Missing, empty, cut or unreadable file; a kind of file that is not read; bad frame; no label in the whole set.
    """
    files = files_of(path)
    sets = [read_frames(file, labels) for file in files]
    source = str(path) if isinstance(path, (str, Path)) else f"{files[0]} and {len(files) - 1} more"
    source = str(files[0]) if len(files) == 1 else source
    found = sets[0] if len(sets) == 1 else _joined(sets, files, source)
    frames, isolated, said = set_apart(list(found))
    isolated = {**found.isolated_energies, **isolated}
    dataset = Dataset(frames, found.metadata, isolated, [*found.remarks, *said])
    if labels and not dataset.n_energies and not dataset.n_forces:
        raise DataError(_no_labels(dataset, source))
    if labels and not dataset.n_energies:
        _doubt_energies(dataset.remarks, source)
    return dataset


def _doubt_energies(remarks: Sequence[str], source: str) -> None:
    """Warn where no frame has an energy and a name was passed over that may mean one."""
    names = [name for name in names_passed_over(remarks) if "energ" in name.lower() or name in ("E", "E0", "U0")]
    if names:
        warnings.warn(
            f"{source}: no frame has an energy, but {passed_over(names[0])}; if it is the total energy in eV, "
            "call it 'energy'",
            DataWarning,
            stacklevel=3,
        )


def read_frames(path: Path, labels: bool = True) -> Dataset:
    """Every frame of one file as it stands there, isolated atoms among them.

    Raises
    ------
    DataError
        As for `read`, but a file without any label is accepted.
    """
    source = str(path)
    if exists(path) and path.is_dir():
        refuse_folder(path, source)
    if not exists(path):
        raise DataError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise DataError(f"{path}: {no_file(path)}; give the path of a file")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    try:
        if path.name.lower().endswith(ARCHIVES):
            dataset = read_xsf(path)
        else:
            with unpacked(path) as plain:
                dataset = _read_plain(plain, source, labels)
    except MemoryError as error:
        raise DataError(f"{path}: needs more memory than there is; keep fewer frames in one file") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error}); check the disk and the permissions") from error
    if not len(dataset):
        raise DataError(f"{path}: no frames in the file; copy or download it again, or convert it to extended XYZ")
    return dataset


def _read_plain(path: Path, source: str, labels: bool) -> Dataset:
    """Frames of a file that is not compressed."""
    if path.stat().st_size == 0:
        raise DataError(f"{source}: nothing is in the file once it is unpacked; copy or download it again")
    refuse(path, source, labels)
    with path.open("rb") as handle:
        head = handle.read(len(SQLITE))
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path, source)
    if suffix == ".xsf" and labels:
        return read_xsf(path, source)
    if suffix in (".h5", ".hdf5", ".hdf") or (head.startswith(HDF5) and suffix != ".nc"):
        return read_hdf5(path, source)
    if suffix in (".db", ".json") or head == SQLITE:
        return read_database(path, source)
    if is_xyz(path):
        images, remarks = read_xyz(path, source, labels)
    elif suffix == ".xsf":
        # Without an energy in eV the unit of the forces is not known: only the structure is.
        images, remarks = (
            [Atoms(a.numbers, a.positions, cell=a.cell, pbc=a.pbc) for a in _read_ase(path, source)[0]],
            [],
        )
    elif (kind := is_vasp(path)) is not None:
        images, remarks = _read_vasp(path, source, kind)
    elif is_dump(path):
        images, remarks = _read_dump(path, source, labels)
    else:
        refuse_cut(path, source)
        images, remarks = _read_ase(path, source)
        remarks += doubt_end(images, path, source)
    frames, said = frames_of(images, source)
    return Dataset(frames, Metadata(source, origin=source), remarks=[*remarks, *said])


def _read_dump(path: Path, source: str, labels: bool) -> tuple[list[Atoms], list[str]]:
    """Frames of a LAMMPS dump, in the units that it states."""
    units = units_of_dump(path, source, labels)
    images, remarks = _read_ase(path, source, format="lammps-dump-text", units=units)
    keep_forces(images, labels)
    return images, [*remarks, f"LAMMPS units '{units}' were taken; a dump holds no total energy."]


def _read_ase(path: Path, source: str, format: str | None = None, **options: Any) -> tuple[list[Atoms], list[str]]:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # The whole path: ASE takes "-" for the keyboard and some beginnings for addresses.
            found = ase.io.read(str(path.absolute()), ":", format, do_not_split_by_at_sign=True, **options)
        images = found if isinstance(found, list) else [found]
        return images, sorted({f"ASE says: {warning.message}" for warning in caught})
    # Each of ASE's hundred readers fails in its own way on a damaged file: the file is the reason.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise DataError(
            f"{source}: cannot be read ({reason}); the file is truncated, damaged or of a format ASE does "
            "not know: copy it again, or convert it to extended XYZ"
        ) from error


def _read_vasp(path: Path, source: str, kind: str) -> tuple[list[Atoms], list[str]]:
    """Ionic steps that converged; the others, and the end of a killed run, are named."""
    run = run_of(path, kind)
    images, remarks = _read_ase(path, source)
    remarks.append(ENERGY)
    if run.killed:
        remarks.append(f"{source}: the run of VASP was killed or the file is cut: only {len(images)} steps were read")
        warnings.warn(remarks[-1], DataWarning, stacklevel=4)
    if run.unconverged:
        listed = ", ".join(map(str, run.unconverged[:10])) + (" …" if len(run.unconverged) > 10 else "")
        remarks.append(
            f"{source}: {len(run.unconverged)} ionic steps used all electronic steps (NELM) and did not converge; "
            f"they were left out: {listed}"
        )
        warnings.warn(remarks[-1], DataWarning, stacklevel=4)
    left = set(run.unconverged)
    return [atoms for i, atoms in enumerate(images) if i not in left], remarks


def _joined(sets: Sequence[Dataset], files: Sequence[Path], source: str) -> Dataset:
    """One set of several files; labels that the files call by different names are warned of."""
    frames: list[Frame] = [frame for one in sets for frame in one]
    remarks = _merged([one.remarks for one in sets], files)
    remarks += [
        f"{file}: no frame has a label." for file, one in zip(files, sets, strict=True) if not len(one.labelled())
    ]
    taken = {tuple(r for r in one.remarks if r.startswith("Energies were read from")) for one in sets}
    names = {tuple(re.findall(r"'([^']+)'", " ".join(said))) for said in taken} - {()}
    if len(names) > 1:
        listed = "; ".join(sorted(", ".join(one) for one in names))
        remarks.append(f"{source}: the files call their energies differently ({listed}); are they of one method?")
        warnings.warn(remarks[-1], DataWarning, stacklevel=3)
    energies: dict[int, list[float]] = {}
    for one in sets:
        for z, energy in one.isolated_energies.items():
            energies.setdefault(z, []).append(energy)
    remarks += lowest_taken(energies)
    method = _common_method(sets, source, remarks)
    units = "; ".join(sorted({one.metadata.units for one in sets}))
    lowest = {z: min(values) for z, values in energies.items()}
    return Dataset(frames, Metadata(source, method, units, source), lowest, remarks)


def _common_method(sets: Sequence[Dataset], source: str, remarks: list[str]) -> str:
    """The method that all files name, "unknown" where some name none, all of them where they differ."""
    stated = [one.metadata.method for one in sets if one.metadata.method != "unknown"]
    methods = sorted(set(stated))
    if len(methods) > 1:
        remarks.append(f"{source}: the files are of several methods ({'; '.join(methods)}); keep those of one")
        warnings.warn(remarks[-1], DataWarning, stacklevel=4)
        return "; ".join(methods)
    if len(stated) == len(sets):
        return methods[0]
    if stated:
        remarks.append(f"{source}: {len(sets) - len(stated)} of {len(sets)} files name no method, others {methods[0]}.")
    return "unknown"


def _merged(remarks: Sequence[Sequence[str]], files: Sequence[Path]) -> list[str]:
    """Remarks of several files: one that all have and that counts frames is said once, with the frames of all."""
    groups: dict[str, list[tuple[Path, str]]] = {}
    for file, said in zip(files, remarks, strict=True):
        for remark in said:
            groups.setdefault(COUNTED.sub("(… frames", remark), []).append((file, remark))
    merged = []
    for group in groups.values():
        counts = [COUNTED.findall(remark) for _, remark in group]
        if len(group) == len(files) and all(len(count) == 1 for count in counts):
            total = sum(int(count[0]) for count in counts)
            merged.append(COUNTED.sub(f"({total} frames", group[0][1]))
        else:
            merged += [remark if remark.startswith(str(file)) else f"{file}: {remark}" for file, remark in group]
    return merged


def _no_labels(dataset: Dataset, source: str) -> str:
    keys = sorted({*names_passed_over(dataset.remarks), *(key for frame in dataset for key in frame.info)})
    hints = [remark for remark in dataset.remarks if any(word in remark for word in HINTS)]
    return " ".join(
        [
            f"{source}: no frame has an energy or forces; write the total energy (eV) as 'energy' and the forces "
            f"(eV/Å) as 'forces', or compute them with an Oracle. Keys found instead: {', '.join(keys) or 'none'}"
            + ("." if hints else ""),
            *hints,
        ]
    )
