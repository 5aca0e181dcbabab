# %% [markdown]
# # 04 · Energy, forces, units: what does each label teach?
#
# **Question.** A labelled frame has one energy and many force numbers. What does a model learn from which?
#
# **Level** intermediate · **40 minutes** · *Run All* trains for some 20 seconds and downloads nothing.
#
# **You need** lesson 01: a force is minus the slope of the energy.
#
# **Way.** Predict, play, build, check, explain, doubt. What answers a prediction appears once you have
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
from piwsl_lab.lab import UNITS, LabelPlayer, Session, UnitPlayer, parts_of_error
from piwsl_lab.lab.lesson import check, explain, predict, progress, reveal
from piwsl_lab.study import Setup

ethanol = piwsl_lab.load("ethanol")
frame = ethanol[0]
print(f"one frame: 1 energy, {frame.forces.size} force numbers on {len(frame.numbers)} atoms")

# %% [markdown]
# ## How much is in a frame?
#
# Not all force numbers are free. A molecule that is alone cannot push or turn itself.

# %%
total = np.abs(frame.forces.sum(axis=0)).max()
torque = np.abs(np.cross(frame.positions, frame.forces).sum(axis=0)).max()
print(f"sum of all forces below 1e-6 eV/Å: {'yes' if total < 1e-6 else 'no'}")
print(f"sum of all torques below 2e-5 eV: {'yes' if torque < 2e-5 else 'no'}")
print(f"so {frame.forces.size} − 6 = {frame.forces.size - 6} force numbers are free, beside 1 energy")

# %% [markdown]
# ## Predict
#
# Three potentials learn from the same 50 frames: one from **forces only**, one from **energies only**, one from **both**.
# Forces are minus the slope of the model's energy in all three (*conservative*). Commit before you look.

# %%
predict("04.forces_only")

# %%
predict("04.energies_only")

# %% [markdown]
# ## Play
#
# The error of an energy has two parts. The **constant** is the mean error of all frames. The **rest** is what still
# differs from frame to frame.
#
# 1. *Run All* has trained them. Which potential has a huge constant, and a small rest?
# 2. Choose **energies only**. Do its arrows fill the pale ones?
# 3. Which weight of *both* may be a hundred times smaller, that of energies or that of forces? Set it, press **Train**.
#
# <details><summary>What we saw, with three seeds</summary>An energy weight of 0.1 in place of 10 did no harm. A force
# weight of 1 in place of 100 made forces clearly worse. The numbers stand in <code>benchmarks/README.md</code>.</details>

# %%
objectives = {"forces only": Objective(energy=0.0), "energies only": Objective(force=0.0), "both": Objective()}
setup = Setup(data="ethanol", energies=50, forces=50, channels=32, layers=2, steps=500, head="conservative")
session = Session(setup, objectives)
LabelPlayer(session)

# %%
trained = session.run()
print(f"trained {len(trained.twins)} potentials for {trained.step} steps each")

# %% tags=["reveal"]
labels = [frame.energy for frame in session.task.test]
parts, force_errors = {}, {}
for twin in session.twins:
    parts[twin.name] = parts_of_error(twin.potential.predict(session.task.test)[0], labels)
    force_errors[twin.name] = twin.final.force_rmse
mean_guess = np.std(labels)  # the rest that is left when the mean energy is guessed for every frame
offset, spread = parts["forces only"]
apart, small = abs(offset) > 3 * spread, spread < 0.5 * mean_guess
found = "wrong, without any pattern" if not small else "right up to one constant" if apart else "right"
words = f"forces only: the constant is {'more' if apart else 'less'} than 3 times the rest"
reveal("04.forces_only", found, [words, f"the rest is {'less' if small else 'more'} than half of {mean_guess:.2f} eV"])

# %% tags=["reveal"]
guess = np.sqrt(np.mean([frame.forces**2 for frame in session.task.test]))  # the error of predicting zero
share = force_errors["energies only"] / guess
wide = "more" if share > 0.33 else "less"
reveal("04.energies_only", share, f"its force error is {wide} than a third of guessing zero ({guess:.2f} eV/Å)")

# %% tags=["nbval-ignore-output"]
for name, (offset, spread) in parts.items():
    force = 1000 * force_errors[name]
    print(f"{name:13}: constant {1000 * offset:+6.0f} meV, rest {1000 * spread:4.0f} meV, forces {force:4.0f} meV/Å")
print(f"guessing the mean energy: rest {1000 * mean_guess:.0f} meV; guessing zero: forces {1000 * guess:.0f} meV/Å")

# %%
rest = {name: spread for name, (_, spread) in parts.items()}
print(
    f"rest of the energy error, forces only: {'less' if rest['forces only'] < 2 * rest['both'] else 'more'} than twice both"
)
print(f"energies only: {'more' if rest['energies only'] > 1.5 * rest['both'] else 'less'} than 1.5 times both")

# %% [markdown]
# Forces teach the *shape* of the energy, in 21 directions for each frame. The height is a number that no force reaches: it
# stays what it was by chance. One energy sets it. So a few energies and many forces are a good buy, where forces are cheap.

# %% [markdown]
# ## Which unit is it?
#
# A file says "forces". It does not say in which unit, or whether they are gradients, which have the other sign. A model
# trained on the wrong unit learns without any complaint. With forces as a separate output even its loss can be low. But
# the energies know: forces do work, and the energy falls by it.

# %% [markdown]
# ## Build
#
# For many small steps you have the change of energy $\Delta E$ in eV. And you have the work $W$ of the file's forces, in
# *its* unit times Å. It is made with the mean of the forces at both ends of a step. True is $\Delta E=-f\,W$ for one
# number $f$. Find it by least squares, with a line through zero.


# %% tags=["build:04.unit_factor"]
def unit_factor(energy_changes, work):
    """The number that the file's forces must be multiplied with to be eV/Å. Both arguments: arrays of one length."""
    ### BEGIN SOLUTION
    return -(energy_changes @ work) / (work @ work)
    ### END SOLUTION


# %% [markdown]
# **Look first.** Choose what the file really holds. Your line should go through the dots. Then choose **the first force**,
# that is the force where a step begins, and a larger **step**: why do the dots leave the line?

# %%
player = UnitPlayer(frame, unit_factor)
player

# %% tags=["check:04.unit_factor"]
judged = check("04.unit_factor", unit_factor)

# %%
for name in UNITS:
    found = judged.function(*player.pairs(name))
    wrong = abs(found / UNITS[name] - 1)
    print(f"{name:16}: {found:8.3g} (exact {UNITS[name]:8.3g}, wrong by less than {'1' if wrong < 0.01 else '100'} %)")

# %% [markdown]
# ## Explain

# %%
explain("04.why", "A potential was trained on forces only. Which questions can it answer, and which not?")

# %% [markdown]
# ## What could be wrong?
#
# The factor rests on the mean of both forces. With the first force alone, curvature (lesson 06) lifts every dot off the
# line. Twenty steps then give a factor that is off, either way. Five draws of the steps:

# %%
for size in (0.01, 0.05):
    for words, both in (("the first force", False), ("the mean of both", True)):
        draws = [judged.function(*player.pairs("eV/Å", size, both, seed)) for seed in range(4, 9)]
        print(f"steps of {size:4.2f} Å, {words:16}: factors {min(draws):5.2f} to {max(draws):4.2f}")

# %% [markdown]
# And one training each is a lead, not a claim: lesson 05 asks how sure we can be.
#
# * **constant** or *offset*: the mean error
# * **rest** or *spread*: the standard deviation of the error
# * **weight**: how much a part of the loss counts
#
# **Next:** lesson 05 (how many labels, how sure?).

# %%
progress()
