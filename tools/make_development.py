"""Make the development sets, on which every default is chosen: methanol, malonaldehyde, glycine and salt.

    python tools/make_development.py                 # all four; finished work in build/development is kept
    python tools/make_development.py nacl            # one of them

The molecules are sampled as the embedded sets are (tools/make_embedded.py), by Langevin dynamics at 500 K. The crystal
is rattled: each frame has its own amplitude and strain. Positions are rounded *before* they are labelled, to whole
multiples of 2⁻¹⁴ Å, which float32 holds exactly and which compress well. docs/protocol.md says what the sets are for.
"""

from __future__ import annotations

import argparse
import time
import zlib
from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from make_embedded import FRICTION, Molecule, Part, place, sample

FRAMES = 800
FOLDER = Path(__file__).parents[1] / "studies" / "development-frames"
GRAIN = 2.0**-14  # Å and eV/Å, 6e-5
CHUNK = 50  # frames that are labelled between two savings
AMPLITUDES = (0.04, 0.2)  # Å, standard deviation of a displacement; at 300 K it is 0.15
STRAIN = 0.03
# Rock salt, 8 atoms. tblite has no k-points, and without them a perfect MgO is a maximum of the energy in this cell.
LATTICE = 5.64  # Å
# Of the salt, where the self-consistency of GFN2-xTB fails in a third of the frames.
CRYSTAL_METHOD = "gfn1-xtb"


def build_malonaldehyde() -> Atoms:
    """The enol O=CH-CH=CH-OH with its hydrogen bond, planar, from textbook bond lengths and angles."""
    r = [np.array([-0.72, 1.24, 0.0]), np.zeros(3), np.array([1.36, 0.0, 0.0])]  # 0-2: aldehyde C, middle C, enol C
    r.append(place([r[2], r[1], r[0]], 1.24, 123, 0))  # 3: =O
    r.append(place([r[0], r[1], r[2]], 1.32, 124, 0))  # 4: -O-
    r.append(place([r[1], r[2], r[4]], 0.99, 106, 0))  # 5: H of the enol, towards =O
    r.append(place([r[2], r[1], r[0]], 1.10, 118, 180))  # 6: H of the aldehyde
    r.append(place([r[3], r[0], r[1]], 1.08, 119, 180))  # 7: H in the middle
    r.append(place([r[0], r[1], r[2]], 1.09, 122, 180))  # 8: H of the enol's carbon
    return Atoms("C3O2H4", np.array(r))


def build_glycine() -> Atoms:
    """Neutral glycine H2N-CH2-COOH from textbook bond lengths and angles."""
    r = [np.zeros(3), np.array([1.45, 0.0, 0.0]), np.array([2.04, 1.40, 0.0])]  # 0-2: N, C, carboxylic C
    r.append(place([r[0], r[1], r[2]], 1.21, 125, 0))  # 3: =O
    r.append(place([r[0], r[1], r[2]], 1.35, 112, 180))  # 4: -O-
    r.append(place([r[3], r[2], r[4]], 0.97, 106, 0))  # 5: H of the acid
    r += [place([r[4], r[2], r[1]], 1.09, 108, turn) for turn in (60, -60)]  # 6, 7
    r += [place([r[2], r[1], r[0]], 1.01, 110, turn) for turn in (60, -60)]  # 8, 9: H of the amine
    return Atoms("NCCOOHHHHH", np.array(r))


# ase.build.molecule("CH3OH"): C O H H(O) H H
METHANOL = Molecule("methanol", lambda: molecule("CH3OH"), frozenset({(0, 1), (0, 2), (1, 3), (0, 4), (0, 5)}))
# The proton goes from one oxygen to the other, and back.
MALONALDEHYDE = Molecule(
    "malonaldehyde",
    build_malonaldehyde,
    frozenset({(0, 1), (1, 2), (0, 3), (2, 4), (0, 6), (1, 7), (2, 8)}),
    loose=frozenset({(3, 5), (4, 5)}),
)
GLYCINE = Molecule(
    "glycine",
    build_glycine,
    frozenset({(0, 1), (1, 2), (2, 3), (2, 4), (4, 5), (1, 6), (1, 7), (0, 8), (0, 9)}),
)
PARTS = {
    what.name: Part(what, 500, trajectories=4, frames=FRAMES // 4, stride=50, time_step=1.0, equilibration=2000)
    for what in (METHANOL, MALONALDEHYDE, GLYCINE)
}


def rounded(values: np.ndarray) -> np.ndarray:
    """Whole multiples of 2⁻¹⁴, as float32."""
    return (np.round(values / GRAIN) * GRAIN).astype(np.float32)


def rattled(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atomic numbers [N], positions [frames, N, 3] and cells [frames, 3, 3], Å, of strained and rattled NaCl."""
    perfect = bulk("NaCl", "rocksalt", a=LATTICE, cubic=True)
    rng = np.random.default_rng(seed)
    positions, cells = [], []
    for _ in range(FRAMES):
        strain = rng.uniform(-STRAIN, STRAIN, (3, 3))
        bent = np.eye(3) + (strain + strain.T) / 2
        move = rng.normal(0, rng.uniform(*AMPLITUDES), perfect.positions.shape)
        cells.append(perfect.cell[:] @ bent)
        positions.append(perfect.positions @ bent + move - move.mean(axis=0))
    return perfect.numbers, np.array(positions), np.array(cells)


def labels(
    name: str, method: str, numbers: np.ndarray, positions: np.ndarray, cells: np.ndarray | None, scratch: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Energies [S] (eV) and forces [S, N, 3] (eV/Å); every chunk is kept in `scratch` as soon as it is there."""
    from piwsl_lab.data.oracle import Oracle  # only here: sampling needs nothing of the package

    oracle = Oracle(method)
    energies, forces = [], []
    for start in range(0, FRAMES, CHUNK):
        kept = scratch / f"{name}-labels-{start}.npz"
        part = slice(start, start + CHUNK)
        if not kept.exists():
            boxes = [None] * CHUNK if cells is None else cells[part].astype(np.float64)
            found = [
                oracle.label(numbers, place, box, box is not None)
                for place, box in zip(positions[part].astype(np.float64), boxes, strict=True)
            ]
            np.savez(kept, R=positions[part], E=[f.energy for f in found], F=[f.forces for f in found])
            print(f"{name}: {start + CHUNK} of {FRAMES} frames are labelled", flush=True)
        with np.load(kept) as chunk:
            if not np.array_equal(chunk["R"], positions[part]):
                raise RuntimeError(f"{kept} has the labels of other positions: delete it")
            energies.append(chunk["E"])
            forces.append(chunk["F"])
    return np.round(np.concatenate(energies), 6), rounded(np.concatenate(forces))


def make(name: str, scratch: Path) -> None:
    """Sample, label and store one set with everything needed to make it again."""
    from piwsl_lab.data.oracle import METHODS

    start = time.perf_counter()
    if name in PARTS:
        part = PARTS[name]
        raw, seeds = sample(part, scratch)
        numbers, cells, method = part.molecule.build().numbers, None, "gfn2-xtb"
        about = {
            "temperature_K": part.temperature,
            "thermostat": "Langevin",
            "time_step_fs": part.time_step,
            "friction_per_fs": FRICTION,
            "equilibration_steps": part.equilibration,
            "stride_steps": part.stride,
            "trajectories": part.trajectories,
        }
    else:
        seeds = [zlib.crc32(name.encode())]
        numbers, raw, raw_cells = rattled(seeds[0])
        cells, method = rounded(raw_cells), CRYSTAL_METHOD
        about = {"cell": cells, "pbc": np.ones(3, dtype=bool), "amplitudes_A": AMPLITUDES, "largest_strain": STRAIN}
    positions = rounded(raw)
    energies, forces = labels(name, method, numbers, positions, cells, scratch)
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.npz"
    np.savez_compressed(
        file,
        R=positions,
        E=energies,
        F=forces,
        z=numbers.astype(np.uint8),
        energy_unit="eV",
        length_unit="Angstrom",
        theory=METHODS[method],
        seeds=np.array(seeds, dtype=np.int64),
        tblite_version=version("tblite"),
        ase_version=ase.__version__,
        numpy_version=np.__version__,
        **about,
    )
    print(f"{file.name}: {FRAMES} frames, {file.stat().st_size} bytes, {time.perf_counter() - start:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="methanol|malonaldehyde|glycine|nacl", help="default: all")
    parser.add_argument("--scratch", type=Path, default=Path("build/development"), help="finished work")
    arguments = parser.parse_args()
    known = (*PARTS, "nacl")
    for name in arguments.names:
        if name not in known:
            parser.error(f"no development set is called {name!r}; choose among {', '.join(known)}")
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or known:
        make(name, arguments.scratch)


if __name__ == "__main__":
    main()
