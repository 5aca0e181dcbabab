"""The flags that ``train`` and ``compare`` share, and the run that they ask for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piwsl_lab import names
from piwsl_lab.names import Default
from piwsl_lab.support.outputs import check_outputs

if TYPE_CHECKING:
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.study.setup import Setup


# Fields of Setup that have a flag of their name.
SETUP_FLAGS = (
    "data", "energies", "forces", "model", "head", "channels", "layers", "radial", "basis", "cutoff", "teachers",
    "steps", "batch_size", "learning_rate", "average", "patience", "device",
)  # fmt: skip


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a training to the parser of a command."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("--data", default="ethanol", metavar="NAME|FILE", help="see `piwsl-lab datasets`")
    parser.add_argument("--energies", type=int, default=Default.LABELS, help="energy labels to train on")
    parser.add_argument("--forces", type=int, default=Default.LABELS, help="frames with force labels to train on")
    _add_model_flags(parser)
    _add_objective_flags(parser)
    parser.add_argument(
        "--teachers", type=int, default=0, metavar="N",
        help="potentials trained on the labels first, whose mean forces stand in for missing force labels",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=Default.STEPS, help="training steps, at most")
    parser.add_argument("--batch-size", type=int, default=Default.BATCH_SIZE, help="frames in a step")
    parser.add_argument(
        "--learning-rate", type=float, default=argparse.SUPPRESS,
        help="of AdamW, at the first step; then a cosine (default: that of the model for its head)",
    )  # fmt: skip
    parser.add_argument(
        "--average", type=float, default=Default.AVERAGE, metavar="A",
        help="the potential is a running mean of the weights that keeps this share of itself at each step; 0: the last",
    )  # fmt: skip
    parser.add_argument(
        "--patience", type=int, default=Default.PATIENCE, metavar="N",
        help="end after so many validations without a better one; 0: never",
    )  # fmt: skip
    parser.add_argument("--device", type=_device, default="auto", help="auto, cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result here, in eV and eV/Å")
    parser.add_argument(
        "--resume", action="store_true", help="go on with this command where it was interrupted or killed"
    )


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=_model, default=Default.MODEL, metavar="NAME", help=f"architecture: {', '.join(names.MODELS)}"
    )
    parser.add_argument(
        "--head", choices=tuple(names.HEADS), default=Default.HEAD,
        help="where forces come from: a head of their own, the gradient of the energy, or both tied together",
    )  # fmt: skip
    sizes = parser.add_argument_group("size of the model", "Where one is not given, it is the standard of the model.")
    sizes.add_argument("--channels", type=int, help="features of an atom", default=argparse.SUPPRESS)
    sizes.add_argument("--layers", type=int, help="interaction layers", default=argparse.SUPPRESS)
    sizes.add_argument("--radial", type=int, help="radial functions", default=argparse.SUPPRESS)
    sizes.add_argument(
        "--basis", choices=tuple(names.BASES), default=argparse.SUPPRESS,
        help=f"kind of the radial functions: {meanings(names.BASES)}",
    )  # fmt: skip
    sizes.add_argument("--cutoff", type=float, metavar="Å", help="how far an atom sees, Å", default=argparse.SUPPRESS)


def _add_objective_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pitc", type=float, metavar="W", help=f"weight of the Taylor consistency ({_by_head('pitc')})"
    )
    parser.add_argument("--pisc", type=float, default=0.0, metavar="W", help="weight of the spatial consistency")
    parser.add_argument(
        "--pisc-form", choices=tuple(names.PISC_FORMS), default="same_point",
        help=f"which paths PISC compares: {meanings(names.PISC_FORMS)}",
    )  # fmt: skip
    parser.add_argument(
        "--gradient-consistency", type=float, metavar="W", dest="gradient",
        help=f"weight of direct forces = −gradient at displaced places ({_by_head('gradient')})",
    )  # fmt: skip
    parser.add_argument("--epsilon", type=float, default=Default.EPSILON, help="size of the displacements, Å")
    parser.add_argument(
        "--order",
        type=_order,
        default=Default.ORDER,
        metavar="|".join(map(str, names.ORDERS)),
        help="order of the Taylor step",
    )
    parser.add_argument(
        "--direction", choices=tuple(names.DIRECTIONS), default="uniform",
        help=f"how displacements are drawn: {meanings(names.DIRECTIONS)}",
    )  # fmt: skip
    parser.add_argument(
        "--relative", action="store_true", help="epsilon is a fraction of every atom's shortest bond instead of Å"
    )
    parser.add_argument(
        "--centres", choices=tuple(names.CENTRES), default="labelled",
        help="ask the model about itself at the labelled frames, or at those that got no label",
    )  # fmt: skip


def _by_head(name: str) -> str:
    """The default of a weight, for `--help`."""
    values = ", ".join(f"{weights[name]:g} with --head {head}" for head, weights in names.SUITED.items())
    return f"default: {values}"


def _model(text: str) -> str:
    """A name of `piwsl_lab.models.MODELS`, which is asked last: it is slow to import."""
    if text in names.MODELS:
        return text
    from piwsl_lab.models import MODELS

    if text not in MODELS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(MODELS)}")
    return text


def _order(text: str) -> int | str:
    orders: dict[str, int | str] = {str(order): order for order in names.ORDERS}
    if text not in orders:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(orders)}")
    return orders[text]


def meanings(choices: Mapping[str, str]) -> str:
    """What each choice is, in one line for `--help`."""
    return "; ".join(f"{name} = {meaning}" for name, meaning in choices.items())


def _device(text: str) -> str:
    """Checked here, because torch's own message lists devices that nothing in this package was tried on."""
    if text not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, cuda, cuda:1")
    return text


def choices(arguments: argparse.Namespace, seed: int) -> tuple[Setup, Objective]:
    """The flags as the two objects that the library takes."""
    from piwsl_lab.piwsl.objective import Objective, suited
    from piwsl_lab.study.setup import Setup

    flags = vars(arguments)
    setup_names = [name for name in flags if name in SETUP_FLAGS]  # a size is only there where it was given
    objective_names = ("pisc", "pisc_form", "epsilon", "order", "direction", "relative", "centres")
    given = {name: flags[name] for name in ("pitc", "gradient") if flags[name] is not None}
    return (
        Setup(seed=seed, **{name: flags[name] for name in setup_names}),
        Objective(**suited(flags["head"]) | given, **{name: flags[name] for name in objective_names}),
    )


def config_of(setup: Setup, objective: Objective) -> dict[str, Any]:
    """All that decides a run, as JSON has it."""
    from piwsl_lab.piwsl.objective import fields_in_use

    return asdict(setup.filled()) | {"objective": fields_in_use(objective)}


def check_files(arguments: argparse.Namespace) -> None:
    """Fail before the training, not after it, and never write over what is read or kept."""
    from piwsl_lab.data.catalog import own_files
    from piwsl_lab.training.kept_run import FOLDER

    outputs = {f"--{name}": getattr(arguments, name, None) for name in ("save", "json")}
    check_outputs(outputs, {"--data": own_files(arguments.data)})
    for flag, path in outputs.items():
        if path is not None and path.resolve().parent.name == FOLDER:
            raise ValueError(f"{flag} {path}: interrupted runs are kept in that folder; choose another")
