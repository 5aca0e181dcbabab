# %% [markdown]
# # 00 · Quickstart: fifty labels, and a little physics
#
# **Aim.** See two machine-learned potentials learn the same fifty frames of ethanol side by side: one from its labels
# alone, one that must also agree with itself. Move a few sliders, press *Train*, and judge.
#
# **Time.** 15 minutes to read and play; *Run → Run All Cells* takes seconds and downloads nothing. The laboratory
# stands right after the idea: a stored run plays there at once, and *Train* begins your own.
#
# **You need.** Nothing. If you have never met a potential: it is a function from the positions of atoms to an energy,
# and the force on an atom is how steeply that energy falls when the atom moves, $\mathbf F = -\partial E/\partial\mathbf r$.

# %%
import sys

if "google.colab" in sys.modules:  # on Colab only: install the package and let it show its own widgets
    from subprocess import run

    from google.colab import output

    # Without the extra "lab": Colab brings its own ipywidgets and plotly, and breaks when they are upgraded.
    for what in (["piwsl-lab"], ["--no-deps", "nglview"]):
        run([sys.executable, "-m", "pip", "install", "--quiet", *what], check=True)
    output.enable_custom_widget_manager()

# %%
import numpy as np
import plotly.io as pio

import piwsl_lab
from piwsl_lab.lab.panel import Dashboard
from piwsl_lab.lab.replay import Replay
from piwsl_lab.lab.session import Session
from piwsl_lab.lab.viewer import MoleculeView
from piwsl_lab.objective import Objective
from piwsl_lab.study import Setup

pio.renderers.default = "plotly_mimetype"

ethanol = piwsl_lab.load("ethanol")
ethanol

# %% [markdown]
# ## The molecule and its labels
#
# Every *frame* is one snapshot of ethanol at 500 K with two labels from a quantum method (GFN2-xTB): one energy, and a
# force on each of the nine atoms. Such labels are what costs money: milliseconds here, hours or days for better methods. The
# pale arrows are the labels of the first frame.

# %%
energies = np.array([frame.energy for frame in ethanol])
forces = np.array([frame.forces for frame in ethanol])
print(f"{len(ethanol)} frames of {len(ethanol[0].numbers)} atoms, labelled with {ethanol.metadata.method}")
print(f"energies spread by {energies.std():.2f} eV, a force component by {forces.std():.2f} eV/Å")

# %%
frame = ethanol[0]
molecule = MoleculeView(frame.numbers, frame.positions)
molecule.show(frame.positions, reference_forces=frame.forces)
molecule

# %% [markdown]
# ## The idea in five lines
#
# Push every atom a little, by $\boldsymbol\delta$. The energy must change by minus the work of the forces:
#
# $$E(\mathbf r+\boldsymbol\delta)\;\approx\;E(\mathbf r)-\sum_i \boldsymbol\delta_i\cdot\mathbf F_i(\mathbf r)\qquad\text{(first order)}$$
# $$E(\mathbf r+\boldsymbol\delta)\;\approx\;E(\mathbf r)-\tfrac12\sum_i \boldsymbol\delta_i\cdot\big[\mathbf F_i(\mathbf r)+\mathbf F_i(\mathbf r+\boldsymbol\delta)\big]\qquad\text{(second order)}$$
#
# Nature obeys this. A model that predicts energies and forces as two separate outputs does not, unless it is told to:
# the loss **PITC** (Takamoto, Zaverkin, Niepert 2025) punishes what is left over. It needs *no label* at
# $\mathbf r+\boldsymbol\delta$, so it is free supervision around every expensive frame.
#
# How small must $\boldsymbol\delta$ be? Ask the quantum method itself, live:

# %%
from ase.calculators.emt import EMT

from piwsl_lab.data import DataError, Oracle

try:
    oracle = Oracle("gfn2-xtb")
except DataError:  # no tblite for this machine (Windows with pip): a crude force field obeys the same law
    oracle = Oracle(EMT())
direction = np.random.default_rng(0).uniform(-1, 1, frame.positions.shape)
here = oracle.label(frame.numbers, frame.positions)

left, table = {}, ["    ε, Å   left over, meV: first order   second order"]
for epsilon in (0.01, 0.02, 0.04, 0.08):
    delta = epsilon * direction
    there = oracle.label(frame.numbers, frame.positions + delta)
    change = there.energy - here.energy
    first = change + np.sum(delta * here.forces)
    second = change + np.sum(delta * (here.forces + there.forces)) / 2
    left[epsilon] = first, second
    table.append(f"{epsilon:8.2f} {1000 * first:29.2f} {1000 * second:14.3f}")
print("\n".join(table))

# %% [markdown]
# Twice the step leaves about four times as much at first order and about eight times as much at second order. And at
# first order what is left is *positive* here: in this direction the surface curves upwards, so a large ε teaches the
# model a softer molecule than the real one. Second order does not have that flaw, and is the default of this laboratory.

# %%
growth = np.array([np.array(left[2 * e]) / left[e] for e in (0.01, 0.02, 0.04)]).T
for order, factors in zip(("first", "second"), growth, strict=True):
    print(f"doubling ε multiplies what the {order} order leaves by", ", ".join(f"{f:.1f}" for f in factors))
print("the second order leaves less, by a factor of", ", ".join(f"{f / abs(s):.0f}" for f, s in left.values()))

# %% [markdown]
# ## The laboratory
#
# Two twins with the same starting weights see the same batches of the same fifty frames, one from the labels alone and one
# with PITC too. Both are scored on frames that neither has seen. The *session* below is the training. The dashboard only
# shows it: you can make that cell anew at any time, and nothing is lost.

# %%
setup = Setup(data="ethanol", energies=50, forces=50, channels=32, steps=600)
objectives = {"supervised": Objective(), "PIWSL": Objective(pitc=100.0, epsilon=0.05)}
session = Session(setup, objectives)

# %%
Dashboard(session)

# %% [markdown]
# What moves at first is a **stored run** with these settings. Press **Train** to begin your own: the verdict above the
# curves comes within half a minute. Then press *Reset* and try the sliders that matter:
#
# * **labels**: how many expensive frames there are,
# * **PITC weight**: how strongly the physics counts (far left is off),
# * **perturbation ε**: how far the molecule is pushed.
#
# Physics sliders act at once, while it trains. Data and model settings wait for *Reset*. After F5 the dashboard comes back
# by itself, and training goes on meanwhile. *Save session* keeps everything in a folder; `Session.load(folder)` opens it
# tomorrow, or on another machine.
#
# ## What the stored run found
#
# Its numbers, on all test frames, are read from its file:

# %%
stored = Replay.of(setup, objectives).advance(10)  # seconds on the screen: the whole run
for twin in stored.twins:
    print(
        f"{twin.name:10}  energy error {1000 * twin.final.energy_mae:4.0f} meV per molecule (MAE),",
        f"force error {1000 * twin.final.force_rmse:3.0f} meV/Å (RMSE)",
    )
first, last = (twin.final for twin in stored.twins)
print(f"with PIWSL the energy error is {first.energy_mae / last.energy_mae:.1f} times lower,", end=" ")
print(f"and the force error {first.force_rmse / last.force_rmse:.1f} times")

# %% [markdown]
# One seed and a short training prove nothing yet. `piwsl-lab compare --data ethanol` runs three seeds of the full
# length, and notebook 08 shows studies with more.
#
# ## Where forces come from
#
# Forces can be the gradient of the model's energy (a *conservative* head: slow, and consistent by construction) or a
# second output (a *direct* head: fast, and tied to the energy by nothing but training). Both twins here are direct; under
# *More* the dashboard offers the others.
#
# ## Tasks
#
# 1. **More labels.** Pin the run with 50 labels. Then set *labels* to 200, press *Reset*, *Train*, and pin again. By what
#    factor does PIWSL lower the energy error with 50 labels, by what factor with 200?
# 2. **Too much of a good thing.** Under *Expert* choose order *1: Taylor*, and set ε to 0.1 Å. What happens to the errors,
#    and why?
# 3. **No forces at all.** Put order 2 back, set ε to 0.03 Å and the PITC weight to 10. Under *More* set force labels to 0
#    and energy labels to 500, press *Reset*, then *Train*. Look at the force error of both twins.
#
# <details><summary><b>What you should find</b></summary>
#
# 1. The factor shrinks with more labels: PIWSL replaces information that labels would bring.
# 2. The first-order remainder ½ δᵀHδ is not zero even for the exact surface. With a large ε the twin is asked to be
#    wrong, and both errors rise: the table above shows the remainder for ε = 0.08 Å.
# 3. Without force labels the supervised twin's direct forces are never trained: they stay random. PITC ties them to the
#    energies, and the twin learns forces it was never shown.
# </details>
#
# ## Legend
#
# | word | meaning |
# |---|---|
# | frame | one configuration of the atoms, with its labels |
# | label | energy or forces from the reference method |
# | budget | how many labels the training may see |
# | head | where forces come from: the gradient of the energy (*conservative*) or an output of their own (*direct*) |
# | PITC, PISC | the two consistency losses of PIWSL: along one step, and around a triangle |
# | ε | size of the random displacement δ |
#
# Paper: M. Takamoto, V. Zaverkin, M. Niepert, *Physics-Informed Weakly Supervised Learning for Interatomic Potentials*,
# ICML 2025, PMLR 267:58282, arXiv 2408.05215.
