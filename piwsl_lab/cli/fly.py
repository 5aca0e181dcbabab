"""``piwsl-lab fly``: molecular dynamics with a saved potential or an oracle, and whether it survives.

`add` hooks the command into the command line. Modules that need torch are imported when it runs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piwsl_lab.names import ENSEMBLES
from piwsl_lab.support.files import write_json
from piwsl_lab.support.signals import FAILED, INTERRUPTED
from piwsl_lab.support.streams import say

if TYPE_CHECKING:
    from piwsl_lab.analysis.survival import Bonds, Survival
    from piwsl_lab.data import Dataset, Frame
    from piwsl_lab.md.simulation import Simulation
    from piwsl_lab.md.snapshot import Snapshot
    from piwsl_lab.md.trajectory import Trajectory

RECORDS = 1000  # states kept at most
EVERY = 10  # steps between two of them at least


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("potential", metavar="CHECKPOINT", help="a saved potential, or the oracle gfn2-xtb or gfn1-xtb")
    parser.add_argument("--data", default="ethanol", metavar="NAME|FILE", help="where the first frame comes from")
    parser.add_argument("--frame", type=int, default=0, help="number of that frame")
    parser.add_argument("--replicas", type=int, default=8, help="copies with velocities of their own")
    parser.add_argument("--temperature", type=float, default=300.0, help="K")
    parser.add_argument(
        "--ensemble", choices=tuple(ENSEMBLES), default="nvt", help="with a heat bath or at constant energy"
    )
    parser.add_argument("--dt", type=float, default=0.5, help="time step, fs")
    parser.add_argument("--ps", type=float, default=5.0, help="length of the flight, ps")
    parser.add_argument("--seed", type=int, default=0, help="of velocities and noise")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.extxyz", help="write the frames here while they come (or .traj)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here")


def run(arguments: argparse.Namespace) -> int:
    """Fly, write the figures, print a table.

    Returns
    -------
    int
        0 when it worked, 1 when a file could not be written, 130 when it was interrupted. The table and the files hold
        the flight so far in each case.

    Raises
    ------
    ValueError
        Bad input, or a file that cannot be written from the first state on: nothing has flown (the command ends with
        2).
    KeyboardInterrupt
        It came before the first state.
    """
    from piwsl_lab.analysis.survival import alive_ps
    from piwsl_lab.data.catalog import own_files
    from piwsl_lab.md.constraints import words
    from piwsl_lab.support.outputs import check_outputs

    steps = _steps(arguments)
    check_outputs(
        {"--out": arguments.out, "--json": arguments.json},
        {"CHECKPOINT": [arguments.potential], "--data": own_files(arguments.data)},
    )
    source = _source(arguments.potential, arguments.device)
    frames = _frames(arguments)
    start = frames[arguments.frame]
    _tell_unseen(source, start)
    bonds = _bonds(start, frames)
    simulation = _simulation(source, frames, arguments)
    trajectory, seconds, trouble, code = _fly(simulation, steps, arguments)
    survivals = alive_ps(trajectory, bonds, arguments.temperature, energy=arguments.ensemble == "nve")
    result = _figures(trajectory, survivals, seconds, simulation.step_count) | {
        "potential": arguments.potential,
        "data": arguments.data,
        "ensemble": arguments.ensemble,
        "time_step_fs": arguments.dt,
        "steps": simulation.step_count,
        "constraints": words([start]) or None,
    }
    unwritten = _write(arguments.json, result) if arguments.json else ""
    if trouble or unwritten:
        say("; ".join(filter(None, (trouble, unwritten))))
    print(_table(result))
    return FAILED if unwritten else code


def _write(path: Path, result: dict[str, Any]) -> str:
    """Write the figures; in words why not, as the table is still to be seen."""
    try:
        write_json(path, result)
    except OSError as error:
        return f"--json {path}: not written, {error.strerror}; the table holds its figures"
    return ""


def _simulation(source: Any, frames: Dataset, arguments: argparse.Namespace) -> Simulation:
    from piwsl_lab.md.simulation import Simulation

    return Simulation(
        source,
        frames[[arguments.frame] * arguments.replicas],
        temperature=arguments.temperature,
        time_step=arguments.dt,
        ensemble=arguments.ensemble,
        seed=arguments.seed,
    )


def _bonds(start: Frame, frames: Dataset) -> Bonds:
    """The bonds of the start, with their lengths in all frames of the same molecule."""
    import numpy as np

    from piwsl_lab.analysis.survival import reference_bonds

    same = [frame.positions for frame in frames if frame.numbers.tolist() == start.numbers.tolist()]
    return reference_bonds(start, np.stack(same))


def _steps(arguments: argparse.Namespace) -> int:
    from piwsl_lab.md.limits import check_steps

    if arguments.replicas < 1:
        raise ValueError(f"--replicas {arguments.replicas}: must be 1 or larger")
    if not 0 < arguments.ps < float("inf") or not 0 < arguments.dt < float("inf"):
        raise ValueError(f"--ps {arguments.ps} and --dt {arguments.dt} must be finite numbers above 0")
    steps = 1000 * arguments.ps / arguments.dt
    check_steps(steps)
    return max(1, round(steps))


def _source(name: str, device: str) -> Any:
    from piwsl_lab.data import Oracle
    from piwsl_lab.data.oracle import METHODS
    from piwsl_lab.support.device import pick_device
    from piwsl_lab.training.checkpoint import load_potential

    if name.lower() in METHODS and not Path(name).exists():
        return Oracle(name)
    # Nobody trains it any more: without that the network keeps less while it finds its forces.
    return load_potential(name).to(pick_device(device)).requires_grad_(False)


def _frames(arguments: argparse.Namespace) -> Any:
    from piwsl_lab.data import load
    from piwsl_lab.md.limits import check_atoms

    frames = load(arguments.data, labels=False)
    if not 0 <= arguments.frame < len(frames):
        raise ValueError(
            f"--frame {arguments.frame}: {arguments.data} has {len(frames)} frames, 0 to {len(frames) - 1}"
        )
    check_atoms(arguments.replicas, len(frames[arguments.frame]))
    for remark in frames.remarks:
        if "passed over" in remark:  # a constraint that a frame cannot hold; names of labels matter to nobody here
            say(f"{arguments.data}: {remark}")
    return frames


def _tell_unseen(source: Any, start: Frame) -> None:
    """Say what of the electronic state of a start has no effect: a potential knows elements and positions alone."""
    from piwsl_lab.models import Potential

    unseen = [f"the charge {start.charge:+g} e"] if start.charge else []
    if start.multiplicity not in (None, 1):
        unseen.append(f"the multiplicity {start.multiplicity}")
    if unseen and isinstance(source, Potential):
        say(f"the potential does not see {' and '.join(unseen)}")


def _fly(simulation: Any, steps: int, arguments: argparse.Namespace) -> tuple[Trajectory, float, str, int]:
    """The flight so far, its seconds, what ended it early in words, and the exit code."""
    from tqdm import tqdm

    from piwsl_lab.md.limits import STATES
    from piwsl_lab.md.simulation import fly
    from piwsl_lab.md.trajectory import Trajectory

    records = min(RECORDS, STATES // len(simulation.positions))
    every = max(EVERY, -(-steps // records))
    snapshots, trouble, code, begun = [], "", 0, time.perf_counter()
    try:
        with (
            _states_to(arguments.out, simulation.frames) as keep,
            tqdm(total=steps, unit="step", disable=None) as bar,
        ):
            for snapshot in fly(simulation, steps, every):
                snapshots.append(_without_vectors(snapshot))
                bar.update(snapshot.step - bar.n)
                keep(snapshot)
    except KeyboardInterrupt:
        if not snapshots:
            raise
        trouble, code = "interrupted; the table and the files hold the flight so far", INTERRUPTED
    except _Unwritten as error:
        if not snapshots:
            raise ValueError(f"--out {arguments.out}: cannot be written, {error}; choose another") from error
        trouble = f"--out {arguments.out}: {error}; the flight ended, the table and the file hold it so far"
        code = FAILED
    except OSError as error:  # of whatever finds the forces
        if not snapshots:
            raise
        trouble, code = f"{error}; the flight ended, the table and the files hold it so far", FAILED
    return Trajectory.of(simulation.frames, snapshots, simulation.lost), time.perf_counter() - begun, trouble, code


class _Unwritten(OSError):
    """The file of states cannot be written; says why."""


@contextmanager
def _states_to(path: Path | None, frames: Dataset) -> Iterator[Callable[[Snapshot], None]]:
    """A function that adds a state to a file, and does nothing where none is asked for."""
    from piwsl_lab.md.files import TrajectoryFile

    if path is None:
        yield lambda _: None
        return
    with _unwritten():
        file = TrajectoryFile(path, frames)
    try:
        yield _unwritten()(file.write)
    finally:
        with _unwritten():
            file.close()


@contextmanager
def _unwritten() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _Unwritten(error.strerror or error) from error


def _without_vectors(snapshot: Snapshot) -> Snapshot:
    """The state without what only its file asks for: a long flight of many atoms must fit into memory."""
    return replace(snapshot, velocities=snapshot.velocities[:0], forces=snapshot.forces[:0])


def _figures(flight: Trajectory, survivals: list[Survival], seconds: float, steps: int) -> dict[str, Any]:
    import numpy as np

    drift = flight.drift() * 1000.0
    atoms = sum(len(frame) for frame in flight.frames)
    return {
        "alive_ps": [survival.ps for survival in survivals],
        "ended_by": [survival.reason or None for survival in survivals],
        "drift_mev_per_atom_ps": [float(d) if np.isfinite(d) else None for d in drift],
        "temperature_k": [_mean(flight.temperature[:, s], flight.alive[:, s]) for s in range(len(flight.frames))],
        "atom_steps_per_second": atoms * steps / seconds,
        "ps": float(flight.time[-1]) / 1000.0,
    }


def _mean(values: Any, alive: Any) -> float | None:
    return float(values[alive].mean()) if alive.any() else None


def _table(result: dict[str, Any]) -> str:
    lines = [result["constraints"]] if result["constraints"] else []
    lines += [f"{'replica':<9}{'alive, ps':>10}{'drift, meV/atom/ps':>20}{'temperature, K':>16}  ended by"]
    rows = zip(
        result["alive_ps"], result["drift_mev_per_atom_ps"], result["temperature_k"], result["ended_by"], strict=True
    )
    for number, (alive, drift, kelvin, reason) in enumerate(rows):
        lines.append(
            f"{number:<9}{alive:>10.2f}{'–' if drift is None else f'{drift:.3f}':>20}"
            f"{'–' if kelvin is None else f'{kelvin:.0f}':>16}  {reason or ''}".rstrip()
        )
    whole = sum(reason is None for reason in result["ended_by"])
    lines.append(
        f"{whole} of {len(result['alive_ps'])} replicas alive after {result['ps']:g} ps; "
        f"{result['atom_steps_per_second']:,.0f} atom-steps per second"
    )
    return "\n".join(lines)
