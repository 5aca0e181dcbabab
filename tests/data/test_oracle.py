"""Live labels: the embedded ones are reproduced, forces are minus the gradient, failures name the frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, SCFError, all_changes
from ase.calculators.emt import EMT

from piwsl_lab.data import DataError, Dataset, Frame, Metadata, Oracle, load

pytest.importorskip("tblite", reason="tblite has wheels for Linux and macOS only")


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle("gfn2-xtb")


@pytest.mark.parametrize("name", ["ethanol:300K", "ethanol:500K", "ethanol:800K", "aspirin"])
def test_embedded_labels_are_reproduced(oracle: Oracle, name: str) -> None:
    for frame in load(name)[::250]:
        live = oracle.label(frame.numbers, frame.positions)
        assert live.energy == pytest.approx(frame.energy, abs=1e-6)
        np.testing.assert_allclose(live.forces, frame.forces, atol=1e-5)


@pytest.mark.parametrize("name", ["ethanol", "aspirin"])
def test_embedded_forces_are_minus_the_gradient(oracle: Oracle, name: str) -> None:
    """Fourth-order difference along random directions: its own error is far below the tolerance."""
    rng = np.random.default_rng(0)
    step = 5e-3
    for frame in load(name)[[3, 700]]:
        direction = rng.standard_normal(frame.positions.shape)
        direction /= np.linalg.norm(direction)
        moved = {k: frame.positions + k * step * direction for k in (-2, -1, 1, 2)}
        e = {k: oracle.label(frame.numbers, positions).energy for k, positions in moved.items()}
        slope = (8 * (e[1] - e[-1]) - (e[2] - e[-2])) / (12 * step)
        assert slope == pytest.approx(-(frame.forces * direction).sum(), abs=1e-4)


def test_labels_do_not_depend_on_their_order(oracle: Oracle) -> None:
    frames = load("ethanol:800K")[:6]
    forward = oracle.label_frames(frames)
    backward = oracle.label_frames(frames[::-1])
    assert [f.energy for f in forward] == [f.energy for f in backward][::-1]


def test_label_frames_replaces_labels_and_keeps_the_rest(oracle: Oracle, capfd: pytest.CaptureFixture) -> None:
    source = load("ethanol:300K")[:3]
    wrong = Dataset(
        [Frame(f.numbers, f.positions, energy=0.0, info=f.info) for f in source],
        Metadata("mine", method="guess", licence="MIT"),
        isolated_energies={1: -1.0},
    )
    labelled = oracle.label_frames(wrong)
    assert [f.energy for f in labelled] == pytest.approx([f.energy for f in source], abs=1e-6)
    assert labelled[0].info == {"temperature": 300.0}
    assert (labelled.metadata.name, labelled.metadata.method) == ("mine", "GFN2-xTB")
    assert labelled.isolated_energies == {}
    assert capfd.readouterr() == ("", "")


def test_any_ase_calculator_is_an_oracle() -> None:
    frame = Oracle(EMT()).label([29, 29], [[0, 0, 0], [0, 0, 2.0]], cell=np.diag([5.0, 5, 5]), pbc=True)
    assert frame.pbc.all()
    assert frame.forces[0, 2] == pytest.approx(-frame.forces[1, 2])
    assert Oracle(EMT()).method == "EMT"


class Broken(Calculator):
    """A method that does not converge for stretched molecules."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        if atoms.get_distance(0, 1) > 2:
            raise SCFError("no convergence in 250 iterations")
        self.results = {"energy": 0.0, "forces": np.zeros((2, 3))}


def test_failure_names_the_frame() -> None:
    frames = [Frame([1, 1], [[0, 0, 0], [0, 0, d]]) for d in (0.7, 0.8, 2.5)]
    with pytest.raises(DataError, match=r"^frame 2 of frames: Broken failed \(no convergence .*drop the frame"):
        Oracle(Broken()).label_frames(frames)
    with pytest.raises(DataError, match=r"GFN2-xTB failed .*check the geometry"):
        Oracle().label([92], [[0, 0, 0]])  # no parameters for uranium


class EnergyOnly(Broken):
    implemented_properties = ("energy",)


def test_oracle_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"unknown method 'pm6'; use one of gfn2-xtb, gfn1-xtb or pass"):
        Oracle("pm6")
    with pytest.raises(DataError, match="an oracle needs energy and forces"):
        Oracle(EnergyOnly()).label([1, 1], [[0, 0, 0], [0, 0, 0.7]])
    with pytest.raises(DataError, match="atoms 0 and 1 are on one spot"):
        Oracle(EMT()).label([1, 1], np.zeros((2, 3)))
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    with pytest.raises(DataError, match=r"needs tblite, whose wheels exist for Linux and macOS only: 'pip install"):
        Oracle("gfn2-xtb")


@pytest.mark.parametrize(("charge", "multiplicity"), [(0, None), (1, 2), (-1, 2), (2, 1), (0, 3), (1, None)])
def test_case_16_charge_and_spin_of_a_frame_reach_the_method(
    oracle: Oracle, charge: int, multiplicity: int | None
) -> None:
    """Against tblite's own interface, in bohr and hartree; a neutral frame in between changes nothing."""
    from tblite.interface import Calculator as Direct

    frame = load("ethanol")[0]
    direct = Direct("GFN2-xTB", frame.numbers, frame.positions / units.Bohr, charge=charge, uhf=(multiplicity or 1) - 1)
    direct.set("verbosity", 0)
    direct.set("accuracy", 0.1)
    result = direct.singlepoint()
    neutral = oracle.label(frame.numbers, frame.positions)
    label = oracle.label(frame.numbers, frame.positions, charge=charge, multiplicity=multiplicity)
    assert label.energy == pytest.approx(result.get("energy") * units.Hartree, abs=1e-6)
    np.testing.assert_allclose(label.forces, -result.get("gradient") * units.Hartree / units.Bohr, atol=1e-5)
    assert (label.charge, label.multiplicity) == (charge, multiplicity)
    assert oracle.label(frame.numbers, frame.positions).energy == neutral.energy
    again = oracle.label_frames([label])[0]
    assert again.energy == pytest.approx(label.energy, abs=1e-8)


def test_states_that_cannot_be_had_are_refused(oracle: Oracle) -> None:
    f = load("ethanol")[0]
    with pytest.raises(DataError, match="26 electrons cannot have the multiplicity 2"):
        oracle.label(f.numbers, f.positions, multiplicity=2)
    with pytest.raises(DataError, match=r"^frame 0 of frames: EMT takes no charge .* the frame has charge \+1"):
        Oracle(EMT()).label_frames([Frame([29, 29], [[0, 0, 0], [0, 0, 2.4]], info={"charge": 1})])
    assert Oracle(EMT()).label([29, 29], [[0, 0, 0], [0, 0, 2.4]], multiplicity=1).energy is not None


def test_case_16_a_charged_frame_flies_charged(oracle: Oracle) -> None:
    import torch

    from piwsl_lab.md.forces import OracleForces

    f = load("ethanol")[0]
    frame = Frame(f.numbers, f.positions, info={"charge": 1, "multiplicity": 2})
    energies, forces = OracleForces(oracle, Dataset([frame]))(torch.from_numpy(f.positions.copy()))
    label = oracle.label(f.numbers, f.positions, charge=1, multiplicity=2)
    assert float(energies[0]) == pytest.approx(label.energy, abs=1e-8)
    np.testing.assert_allclose(forces.numpy(), label.forces, atol=1e-8)
