# %% [markdown]
# # 00 · Quickstart: what do fifty labels buy?
#
# **Question.** Two machine-learned potentials see the same fifty frames of ethanol. One learns only from labels. The other
# is also punished when its energy and its forces disagree. Which is better, and by how much?
#
# **Level** beginner, no formula · **15 minutes** · *Run All* takes seconds and downloads nothing.
#
# **Way.** Predict, play, explain, doubt. What answers a prediction appears once you have
# committed it.
#
# **First** press *Run → Run All Cells*. Until then, pictures stand where knobs will be.

# %% tags=["plumbing"]
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

import piwsl_lab
from piwsl_lab import Objective
from piwsl_lab.lab import AdvicePlayer, Dashboard, MoleculeView, Replay, Session, StarvingPlayer
from piwsl_lab.lab.lesson import explain, predict, progress, reveal
from piwsl_lab.study import Setup

ethanol = piwsl_lab.load("ethanol")
ethanol

# %% [markdown]
# ## A molecule and its labels
#
# A **potential** tells the energy of a molecule, and the force on each atom, from the places of its atoms. Nature does it
# with quantum mechanics. The approximate method used here needs milliseconds for one frame. Better ones need minutes to
# days.
#
# A **frame** is one snapshot of the molecule. Its **labels** are one energy and a force on each of the nine atoms. The pale
# arrows are forces. *Which kind of atom feels the strongest ones?* Turn the molecule with the mouse.

# %%
frame = ethanol[0]
molecule = MoleculeView(frame.numbers, frame.positions, height="300px")
molecule.show(frame.positions, reference_forces=frame.forces)
molecule

# %%
energies = np.array([frame.energy for frame in ethanol])
forces = np.array([frame.forces for frame in ethanol])
print(f"{len(ethanol)} frames of {len(ethanol[0].numbers)} atoms, labelled with {ethanol.metadata.method}")
print(f"energies spread by {energies.std():.2f} eV, a force component by {forces.std():.2f} eV/Å")
for number, element in ((1, "hydrogen"), (6, "carbon"), (8, "oxygen")):
    felt = np.linalg.norm(forces[:, ethanol[0].numbers == number], axis=2)
    print(f"{element:8}: a force of {np.sqrt(np.mean(felt**2)):.1f} eV/Å (root mean square)")

# %% [markdown]
# ## The idea
#
# Push a molecule a little. Its forces do work, and its energy must fall by that work. The exact energy and forces obey
# this up to a small remainder. A model with two separate outputs need not.
#
# **PIWSL** (*physics-informed weakly supervised learning*) asks the model for it at pushed frames, new ones in every step.
# It is punished when its energy and its forces disagree. That costs no label, only computing.
#
# ## Predict
#
# Commit before you look. A prediction that turns out wrong teaches more than none.

# %%
predict("00.winner")

# %% [markdown]
# ## Play
#
# What moves at first is a **stored run**. Press **Train** for your own.
#
# 1. Orange learns from labels only, blue with PIWSL. Lower is better. Read the verdict above the curves.
# 2. Look at the molecule. Do the arrows of the predicted forces fill the pale ones?
# 3. While it trains, move **PITC weight** to the far left: no advice. Move **ε**, the size of a push.

# %%
setup = Setup(data="ethanol", energies=50, forces=50, channels=32, steps=600)
objectives = {"supervised": Objective(), "PIWSL": Objective(pitc=100.0, epsilon=0.05)}
session = Session(setup, objectives)

# %%
Dashboard(session)

# %% [markdown]
# The session is the training, the dashboard shows it. *Reset* begins anew with the settings of the knobs. After F5 the
# dashboard comes back by itself, and training goes on meanwhile. The curves show a few test frames, the last numbers all.
#
# ## What the stored run found
#
# Its errors on all test frames, after training:

# %% tags=["reveal"]
stored = Replay.of(setup, objectives).advance(10)  # seconds on the screen: the whole run
first, last = (twin.final for twin in stored.twins)
lines = [
    f"{t.name:10}: energy error {1000 * t.final.energy_mae:3.0f} meV, force error {1000 * t.final.force_rmse:3.0f} meV/Å"
    for t in stored.twins
]
gain, forces_gain = first.energy_mae / last.energy_mae, first.force_rmse / last.force_rmse
lines.append(f"with PIWSL {gain:.1f} times lower in energy, {forces_gain:.1f} times in forces")
reveal("00.winner", gain, lines)

# %% [markdown]
# ## With more labels
#
# One run is no proof. A stored study trained each of them five times, with other frames and other starting weights. Commit,
# then try it yourself: press **Pin this run**, set **labels** to 200, press **Reset** and **Train**.

# %%
predict("00.more")

# %% tags=["reveal"]
study, gains, lines = StarvingPlayer(), [], []
for labels in (50.0, 200.0):
    plain, piwsl = (study.errors(method, "energy error")[labels].mean() for method in ("labels alone", "with PITC"))
    gains.append(plain / piwsl)
    lines.append(f"{labels:3.0f} labels: {plain:4.1f} meV from labels alone, {piwsl:4.1f} meV with PIWSL")
change = gains[1] / gains[0]
found = "it grows" if change > 1.1 else "it shrinks" if change < 0.9 else "it stays"
reveal("00.more", found, [*lines, f"{gains[0]:.1f} times with 50 labels, {gains[1]:.1f} times with 200"])

# %% [markdown]
# ## Explain

# %%
explain("00.why", "In your own words: what does the second potential know that the first does not?")

# %% [markdown]
# ## What could be wrong?
#
# Advice can be bad. The paper's own advice looks at one force only, where the push begins. Here are stored trainings with
# it, with a weight and pushes of our choice. Above 1, PIWSL is **worse** than labels alone.

# %%
advice = AdvicePlayer()
for epsilon in (0.01, 0.1):
    ratios = advice.ratios(1, "energy_mae")[epsilon]
    print(
        f"one force, pushes of {epsilon:g} Å: energy error × {', × '.join(f'{r:.2f}' for r in ratios)} (one per seed)"
    )

# %% [markdown]
# So *physics-informed* does not mean *better*: it depends on what is asked, and how. Why, is what lessons 06 and 07 are
# about. And might a simpler change help as much? Notebook 08 asks that of studies with several seeds.
#
# **Next:** lesson 01 (what is a force?), or with 90 minutes straight to 06 and 07.
#
# Your name goes into the progress file that a teacher collects.

# %%
progress()
