"""Time of one training step: this package against SchNetPack, and each PIWSL term against plain supervision.

    python benchmarks/step.py [--threads 1] [--rounds 40] [--device cpu] [--json OUT]

All contenders take turns inside one process, so a busy machine slows them alike: read the ratios, not the milliseconds.
SchNetPack is timed where it can be imported (benchmarks/README.md says how); nothing else needs it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import typing
from collections.abc import Callable

import torch

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.data import load
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.trainer import Trainer

PAINN = {"channels": 64, "layers": 3, "radial": 20, "cutoff": 5.0}
PITC = {"pitc": 100.0, "epsilon": 0.05}


def ours(head: str, batch_size: int, device: str, **weights: float) -> Callable[[], object]:
    """A step of this package's trainer on ethanol."""
    torch.manual_seed(0)
    train = load("ethanol")[:200]
    potential = build("painn", elements=train.elements, head=head, **PAINN)
    return Trainer(potential, train, Objective(**weights), steps=10**6, batch_size=batch_size, device=device).step


def schnetpack(batch_size: int, device: str) -> Callable[[], object]:
    """The same step with SchNetPack's PaiNN: energy and force loss, double backward, clipping, AdamW.

    Its batches are assembled beforehand, so that only model, loss and optimiser are timed: in its favour.
    """
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):  # schnetpack 2.1.1 imports a name that current torch removed
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)
    import schnetpack as spk

    torch.manual_seed(0)
    cutoff = PAINN["cutoff"]
    representation = spk.representation.PaiNN(
        n_atom_basis=PAINN["channels"],
        n_interactions=PAINN["layers"],
        radial_basis=spk.nn.BesselRBF(n_rbf=PAINN["radial"], cutoff=cutoff),
        cutoff_fn=spk.nn.CosineCutoff(cutoff),
    )
    model = spk.model.NeuralNetworkPotential(
        representation=representation,
        input_modules=[spk.atomistic.PairwiseDistances()],
        output_modules=[
            spk.atomistic.Atomwise(n_in=PAINN["channels"], output_key="energy"),
            spk.atomistic.Forces(energy_key="energy", force_key="forces"),
        ],
    ).to(device)
    graphs = Trainer(build("painn", **PAINN), load("ethanol")[:200], Objective(), device=device).graphs
    batches = [graphs.batch(range(k, k + batch_size)) for k in range(0, 192, batch_size)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    turn = iter(range(10**9))

    def step() -> float:
        graph = batches[next(turn) % len(batches)]
        out = model(_schnetpack_inputs(graph))
        loss = (out["energy"] - graph.energy).square().mean() + 100 * (out["forces"] - graph.forces).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        return float(loss.detach())

    return step


def _schnetpack_inputs(graph: AtomGraph) -> dict[str, torch.Tensor]:
    return {
        "_atomic_numbers": graph.numbers,
        "_positions": graph.positions.clone(),
        "_idx_i": graph.edge_index[0],
        "_idx_j": graph.edge_index[1],
        "_offsets": graph.edge_shift,
        "_idx_m": graph.structure,
        "_n_atoms": graph.atoms_per_structure().long(),
        "_cell": graph.cell,
    }


def take_turns(contenders: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Median milliseconds of each contender's step, one step each in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 5):
        for name, step in contenders.items():
            start = time.perf_counter()
            step()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if round_number >= 5:  # the first ones warm up
                seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    size, device = options.batch_size, options.device
    contenders = {
        f"{head}, {name}": ours(head, size, device, **weights)
        for head in ("conservative", "direct")
        for name, weights in {
            "supervised": {},
            "PITC order 1": {**PITC, "order": 1},
            "PITC order 2": PITC,
            "PITC + PISC order 2": {**PITC, "pisc": 1.0},
        }.items()
    }
    gradient = {"gradient": 50.0, "epsilon": 0.05}
    contenders["dual, gradient consistency"] = ours("dual", size, device, **gradient)
    contenders["direct, gradient consistency"] = ours("direct", size, device, **gradient)
    contenders["direct, curl penalty"] = ours("direct", size, device, curl=0.1)
    try:
        contenders["SchNetPack, conservative"] = schnetpack(size, device)
    except ImportError as error:
        print(f"SchNetPack is not timed: {error}. benchmarks/README.md says how to install it.")
    times = take_turns(contenders, options.rounds, device)
    for name, milliseconds in times.items():
        head = "direct" if name.startswith("direct") else "conservative"
        base = times[f"{head}, supervised"]  # a dual potential answers with a gradient: its rival is conservative
        print(f"{name:34s} {milliseconds:8.1f} ms   {milliseconds / base:5.2f} x supervised {head}")
    if options.json:
        with open(options.json, "w") as out:
            json.dump({"milliseconds": times, "torch": torch.__version__, **vars(options)}, out, indent=1)


if __name__ == "__main__":
    main()
