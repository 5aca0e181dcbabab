"""Oracles: reference methods that label positions with energy and forces, live."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError

from piwsl_lab.data.frames.frame import DataError, Frame
from piwsl_lab.data.sets.dataset import Dataset, Metadata

METHODS = {"gfn2-xtb": "GFN2-xTB", "gfn1-xtb": "GFN1-xTB"}
# Names under which ASE's calculators take the electronic state.
CHARGE_NAMES = ("charge", "total_charge", "net_charge")
MULTIPLICITY_NAMES = ("multiplicity", "mult")
ACCURACY = 0.1  # of the self-consistency: tight enough for forces to be the gradient to 1e-5 eV/Å


class Oracle:
    """Labels positions with energy and forces.

    Parameters
    ----------
    method : str or ase.calculators.calculator.Calculator
        ``"gfn2-xtb"`` or ``"gfn1-xtb"`` (tblite; an ethanol frame takes a few ms), or any ASE calculator
        that has energy and forces. It is reset before every frame: labels do not depend on their order.
        Charge and multiplicity of a frame are passed on; a calculator that takes none is for neutral singlets only.

    Raises
    ------
    DataError
        For an unknown method, and where tblite is not installed.
    """

    def __init__(self, method: str | Calculator = "gfn2-xtb") -> None:
        if isinstance(method, str):
            self.calculator: Calculator = _xtb(method)
            self.method = METHODS[method.lower()]
        else:
            self.calculator = method
            self.method = type(method).__name__
        known = {**getattr(self.calculator, "default_parameters", {}), **self.calculator.parameters}
        self._state = {name: known[name] for name in CHARGE_NAMES + MULTIPLICITY_NAMES if name in known}

    def __repr__(self) -> str:
        return f"Oracle({self.method})"

    def label(
        self,
        numbers: np.ndarray,
        positions: np.ndarray,
        cell: np.ndarray | None = None,
        pbc: np.ndarray | bool = False,
        charge: float = 0.0,
        multiplicity: int | None = None,
    ) -> Frame:
        """Frame with energy (eV) and forces (eV/Å) at ``positions`` [N, 3] (Å), in an electronic state.

        `charge` is in e, `multiplicity` is 2S + 1; None leaves the spin to the method.

        Raises
        ------
        DataError
            When the positions are unusable, the method does not converge or the state cannot be had.
        """
        cell = np.zeros((3, 3)) if cell is None else cell
        info = {"charge": charge} if charge else {}
        info |= {} if multiplicity is None else {"multiplicity": multiplicity}
        return self._label(Frame(numbers, positions, cell, False if pbc is None else pbc, info=info))

    def label_frames(self, frames: Iterable[Frame]) -> Dataset:
        """The same frames with this method's labels in place of their own; an error names the frame."""
        source = frames.metadata if isinstance(frames, Dataset) else Metadata("frames")
        metadata = replace(source, method=self.method, units="eV, Å")
        # Isolated-atom energies of the old labels do not belong to the new ones.
        return Dataset((self._label(frame) for frame in frames), metadata)

    def _label(self, frame: Frame) -> Frame:
        atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        self._choose_state(frame)
        self.calculator.reset()
        atoms.calc = self.calculator
        try:
            return replace(frame, energy=atoms.get_potential_energy(), forces=atoms.get_forces())
        except PropertyNotImplementedError as error:
            raise DataError(f"{self.method} has no {error}; an oracle needs energy and forces") from error
        except RuntimeError as error:  # the base of ASE's calculator errors
            raise DataError(
                f"{self.method} failed ({error}); check the geometry (stretched bonds, wrong charge), or drop the frame"
            ) from error

    def _choose_state(self, frame: Frame) -> None:
        """Set charge and multiplicity of a frame, or what the calculator came with where the frame says nothing."""
        charge, multiplicity = frame.charge, frame.multiplicity
        unpaired = 0 if multiplicity is None else multiplicity - 1
        electrons = int(frame.numbers.sum()) - charge
        if multiplicity is not None and (electrons - unpaired) % 2 and charge == int(charge):
            raise DataError(
                f"{electrons:.0f} electrons cannot have the multiplicity {multiplicity}; correct charge or multiplicity"
            )
        state = dict(self._state)
        for value, names, word in (
            (charge or None, CHARGE_NAMES, f"charge {charge:+g}"),
            (multiplicity, MULTIPLICITY_NAMES, f"multiplicity {multiplicity}"),
        ):
            name = next((name for name in names if name in state), None)
            if name is not None and value is not None:
                state[name] = value
            elif value is not None and (value, names) != (1, MULTIPLICITY_NAMES):
                raise DataError(
                    f"{self.method} takes no charge or multiplicity, and the frame has {word}; use a calculator that "
                    "does, such as gfn2-xtb, or leave the frame out"
                )
        if state:
            self.calculator.set(**state)


def _xtb(method: str) -> Calculator:
    if method.lower() not in METHODS:
        raise DataError(f"unknown method '{method}'; use one of {', '.join(METHODS)} or pass an ASE calculator")
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise DataError(
            f"{method} needs tblite, whose wheels exist for Linux and macOS only: 'pip install tblite' "
            "there, 'conda install -c conda-forge tblite-python' elsewhere; or pass an ASE calculator"
        ) from error
    # cache_api=False: a wave function kept from the frame before would make labels depend on their order.
    return TBLite(method=METHODS[method.lower()], accuracy=ACCURACY, cache_api=False, verbosity=0)
