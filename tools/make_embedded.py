"""Make the data sets that ship with piwsl-lab: GFN2-xTB molecular dynamics of ethanol and aspirin.

    python tools/make_embedded.py                      # everything, about half an hour on one core
    python tools/make_embedded.py ethanol --scratch DIR  # one molecule; finished trajectories in DIR are kept

The geometries are built here, never fetched. Each part is a few independent Langevin trajectories whose
seeds follow from the part's name, and a trajectory in which a bond breaks is thrown away and drawn again
from the next seed. Positions are rounded to float32 *before* they are labelled, so every label belongs to
exactly the stored position.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import ase
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.data import covalent_radii
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from tblite.ase import TBLite

EMBEDDED = Path(__file__).parents[1] / "piwsl_lab" / "data" / "embedded"
TIME_STEP = 0.5  # fs
FRICTION = 0.02  # 1/fs: momenta are forgotten in 50 fs
EQUILIBRATION = 4000  # steps (2 ps)


@dataclass(frozen=True)
class Molecule:
    """What is simulated: a start near the minimum, the pairs that are bonded, and pairs that may be or not."""

    name: str
    build: Callable[[], Atoms]
    bonds: frozenset[tuple[int, int]]
    loose: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Part:
    """One file: independent trajectories of `frames` frames, one frame every `stride` steps."""

    molecule: Molecule
    temperature: int  # K
    trajectories: int
    frames: int
    stride: int
    time_step: float = TIME_STEP  # fs
    equilibration: int = EQUILIBRATION  # steps

    @property
    def name(self) -> str:
        return f"{self.molecule.name}_{self.temperature}K"


ETHANOL_BONDS = {(0, 1), (1, 2), (2, 3), (1, 4), (1, 5), (0, 6), (0, 7), (0, 8)}  # ase.build: C C O H(O) H6
ASPIRIN_SYMBOLS = "C6" + "COOH" + "OCOCH3" + "H4"  # ring, carboxylic acid, acetate, ring hydrogens
ASPIRIN_BONDS = {
    *{(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)},
    *{(0, 6), (6, 7), (6, 8), (8, 9)},
    *{(1, 10), (10, 11), (11, 12), (11, 13), (13, 14), (13, 15), (13, 16)},
    *{(2, 17), (3, 18), (4, 19), (5, 20)},
}


def place(chain: list[np.ndarray], bond: float, angle: float, dihedral: float) -> np.ndarray:
    """Position of an atom bonded to the last of three, by bond length (Å), angle and dihedral (degrees)."""
    first, second, third = chain
    angle, dihedral = np.radians(angle), np.radians(dihedral)
    along = (third - second) / np.linalg.norm(third - second)
    normal = np.cross(second - first, along)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, along)
    direction = (
        -np.cos(angle) * along + np.sin(angle) * np.cos(dihedral) * across + np.sin(angle) * np.sin(dihedral) * normal
    )
    return third + bond * direction


def build_aspirin() -> Atoms:
    """Acetylsalicylic acid from textbook bond lengths and angles, not yet relaxed."""
    rays = [np.array([np.cos(np.pi * k / 3), np.sin(np.pi * k / 3), 0.0]) for k in range(6)]
    r = [1.39 * ray for ray in rays]
    r.append(2.88 * rays[0])  # 6: carboxylic carbon
    r.append(place([r[1], r[0], r[6]], 1.21, 123, 160))  # 7: =O
    r.append(place([r[1], r[0], r[6]], 1.35, 114, -20))  # 8: -O-
    r.append(place([r[0], r[6], r[8]], 0.97, 107, 180))  # 9: H of the acid
    r.append(2.79 * rays[1])  # 10: ester oxygen
    r.append(place([r[0], r[1], r[10]], 1.37, 117, 100))  # 11: acetyl carbon
    r.append(place([r[1], r[10], r[11]], 1.20, 123, 0))  # 12: =O
    r.append(place([r[1], r[10], r[11]], 1.50, 111, 180))  # 13: methyl carbon
    r += [place([r[10], r[11], r[13]], 1.09, 109.5, turn) for turn in (60, 180, 300)]  # 14-16
    r += [2.47 * rays[k] for k in (2, 3, 4, 5)]  # 17-20: hydrogens of the ring
    return Atoms(ASPIRIN_SYMBOLS, np.array(r))


ETHANOL = Molecule("ethanol", lambda: molecule("CH3CH2OH"), frozenset(ETHANOL_BONDS))
ASPIRIN = Molecule("aspirin", build_aspirin, frozenset(ASPIRIN_BONDS))
PARTS = (
    Part(ETHANOL, 500, trajectories=4, frames=500, stride=60),
    Part(ETHANOL, 300, trajectories=1, frames=500, stride=60),
    Part(ETHANOL, 800, trajectories=1, frames=500, stride=60),
    Part(ASPIRIN, 500, trajectories=3, frames=500, stride=50),
)


def has_bonds(atoms: Atoms, what: Molecule) -> bool:
    """Whether exactly the bonds of a molecule are there; its loose pairs are not looked at.

    A bond counts as broken beyond 1.5 and a new one as formed below 1.25 times the sum of the covalent
    radii: hot bonds stretch far beyond their equilibrium length without breaking, hence the gap between the
    two.
    """
    radii = covalent_radii[atoms.numbers]
    ratio = atoms.get_all_distances() / (radii[:, None] + radii[None, :])
    expected = np.zeros(ratio.shape, dtype=bool)
    for i, j in what.bonds:
        expected[i, j] = expected[j, i] = True
    others = ~expected & ~np.eye(len(atoms), dtype=bool)
    for i, j in what.loose:
        others[i, j] = others[j, i] = False
    return bool((ratio[expected] < 1.5).all() and (ratio[others] > 1.25).all())


def relaxed(what: Molecule) -> Atoms:
    """Geometry at a GFN2-xTB minimum, which must still have the bonds of the molecule."""
    atoms = what.build()
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    BFGS(atoms, logfile=None).run(fmax=0.01, steps=1000)
    if not has_bonds(atoms, what):
        raise RuntimeError(f"{what.name}: the relaxed geometry has other bonds than the molecule")
    return atoms


def trajectory(part: Part, seed: int) -> np.ndarray | None:
    """Positions [frames, N, 3] (Å, float32) of one Langevin run, or None when a bond broke or formed."""
    atoms = relaxed(part.molecule)
    rng = np.random.default_rng(seed)
    masses = atoms.get_masses()[:, None]
    thermal = np.sqrt(masses * units.kB * part.temperature)
    atoms.set_momenta(thermal * rng.standard_normal(atoms.positions.shape))
    dynamics = Langevin(
        atoms,
        timestep=part.time_step * units.fs,
        temperature_K=part.temperature,
        friction=FRICTION / units.fs,
        fixcm=False,  # the fixed centre of mass does not sample NVT exactly; it is removed below instead
        rng=rng,
    )
    dynamics.run(part.equilibration)
    frames = []
    for _ in range(part.frames):
        dynamics.run(part.stride)
        if not has_bonds(atoms, part.molecule):
            return None
        frames.append(atoms.positions - atoms.get_center_of_mass())
    return np.array(frames, dtype=np.float32)


def sample(part: Part, scratch: Path) -> tuple[np.ndarray, list[int]]:
    """Positions of all trajectories of a part and their seeds; finished ones are kept in `scratch`."""
    runs, seeds = [], []
    for index in range(part.trajectories):
        for attempt in range(10):
            seed = zlib.crc32(f"{part.name}/{index}/{attempt}".encode())
            kept = scratch / f"{part.name}-{seed}.npy"
            run = np.load(kept) if kept.exists() else trajectory(part, seed)
            if run is None:
                print(
                    f"{part.name}: trajectory {index}, attempt {attempt}: a bond broke, drawn again",
                    flush=True,
                )
                continue
            np.save(kept, run)
            print(f"{part.name}: trajectory {index} done (seed {seed})", flush=True)
            runs.append(run)
            seeds.append(seed)
            break
        else:
            raise RuntimeError(f"{part.name}: ten trajectories in a row broke a bond")
    return np.concatenate(runs), seeds


def write(part: Part, positions: np.ndarray, seeds: list[int]) -> None:
    """Label the float32 positions [frames, N, 3] and store them with everything needed to make them again."""
    from piwsl_lab.data.oracle import Oracle  # only here: sampling needs nothing of the package

    numbers = part.molecule.build().numbers
    oracle = Oracle("gfn2-xtb")
    labelled = [oracle.label(numbers, frame) for frame in positions.astype(np.float64)]
    file = EMBEDDED / f"{part.name}.npz"
    np.savez_compressed(
        file,
        R=positions,
        E=np.array([frame.energy for frame in labelled]),
        F=np.array([frame.forces for frame in labelled], dtype=np.float32),
        z=numbers.astype(np.uint8),
        energy_unit="eV",
        length_unit="Angstrom",
        theory="GFN2-xTB",
        temperature_K=part.temperature,
        thermostat="Langevin",
        time_step_fs=part.time_step,
        friction_per_fs=FRICTION,
        equilibration_steps=part.equilibration,
        stride_steps=part.stride,
        trajectories=part.trajectories,
        seeds=np.array(seeds, dtype=np.int64),
        tblite_version=version("tblite"),
        ase_version=ase.__version__,
        numpy_version=np.__version__,
    )
    print(f"{file.name}: {len(positions)} frames, {file.stat().st_size} bytes (to go into data/entries.py)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("molecules", nargs="*", metavar="ethanol|aspirin", help="default: both")
    parser.add_argument("--scratch", type=Path, default=Path("build/embedded"), help="finished trajectories")
    parser.add_argument("--sample-only", action="store_true", help="stop before the labels")
    arguments = parser.parse_args()
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if part.molecule.name in (arguments.molecules or ["ethanol", "aspirin"]):
            positions, seeds = sample(part, arguments.scratch)
            if not arguments.sample_only:
                write(part, positions, seeds)


if __name__ == "__main__":
    main()
