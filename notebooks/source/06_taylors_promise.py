# %% [markdown]
# # 06 · Taylor's promise: what is known for free
#
# **Question.** One frame was labelled. What do we know about the places around it, without paying again?
#
# **Level** intermediate · **45 minutes** · *Run All* takes seconds and downloads nothing.
#
# **You need** one idea of lesson 01: a force is minus the slope of the energy.
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
from piwsl_lab.lab import TaylorPlayer
from piwsl_lab.lab.lesson import check, explain, predict, progress, reveal
from piwsl_lab.toys import Morse

ethanol = piwsl_lab.load("ethanol")
frame = ethanol[0]
print(f"one frame of ethanol, {len(frame.numbers)} atoms at 500 K: one energy and {frame.forces.size} force numbers")

# %% [markdown]
# ## The promise
#
# Push every atom a little: atom $i$ by $\boldsymbol\delta_i$. Forces do work on the way, and work lowers the energy:
#
# $$E_1\;\approx\;E_0-\sum_i \mathbf F_i\cdot\boldsymbol\delta_i$$
#
# This is the beginning of a Taylor series. It is not exact. What is **left over** is
# $E_1-E_0+\sum_i\mathbf F_i\cdot\boldsymbol\delta_i$, in meV.
#
# ## Predict
#
# Commit before you look. A prediction that turns out wrong teaches more than none.

# %%
predict("06.double")

# %% [markdown]
# ## Play
#
# GFN2-xTB, a quantum method, labels every step live. Each step is random: its components lie between −ε and ε.
#
# 1. Move **ε** from 0.02 to 0.04 to 0.08 Å. Read how *left over* grows.
# 2. Choose **the mean of both forces**: half the force at the start, half at the end.
# 3. Try **the stiffest direction** and watch the arrows. Which two atoms move against each other?
# 4. Try **a shift of the whole molecule**. Why is nothing left over?
#
# <details><summary>Answers to 3 and 4</summary>The two carbon atoms, along their bond. A shift changes no distance, so no
# energy, and the forces add up to zero.</details>

# %%
player = TaylorPlayer(frame)
player

# %% tags=["reveal"]
left = {e: [1000 * player.remainder("random step 1", e, order) for order in (1, 2)] for e in (0.01, 0.02, 0.04, 0.08)}
lines = [
    f"ε = {e:.2f} Å: first force {first:7.2f} meV, mean of both {both:8.4f} meV" for e, (first, both) in left.items()
]
growth = [left[2 * e][0] / left[e][0] for e in (0.01, 0.02, 0.04)]
reveal(
    "06.double", growth[0], [*lines, "first force: " + ", ".join(f"×{g:.2f}" for g in growth) + " for three doublings"]
)

# %% [markdown]
# What the first force leaves is the **curvature** of the energy. It goes with ε². The mean of both forces cancels it, and
# leaves something that goes with ε³: eight times for a doubling.
#
# ## Its sign
#
# Take another frame, number 100, and a hundred random steps.

# %%
predict("06.sign")

# %% tags=["reveal"]
other = TaylorPlayer(ethanol[100], epsilon=0.05)
rng = np.random.default_rng(1)
for number in range(100):
    other.directions[f"draw {number}"] = rng.uniform(-1, 1, frame.positions.shape)
signs = [other.remainder(f"draw {number}", 0.05, order=1) > 0 for number in range(100)]
reveal("06.sign", float(sum(signs)), f"{sum(signs)} of 100 random steps leave something positive")

# %% [markdown]
# ## Hunt
#
# Random steps are no proof.

# %%
predict("06.hunt")

# %% [markdown]
# **Find a direction in which *left over* is negative.** A cross in the plot marks it. Then look at the arrows: which atoms
# move most? What happens from ε = 0.1 Å on?
#
# <details><summary>One answer</summary>The softest direction: the hydrogen of O–H turns about the oxygen. Just now this bond is
# pressed together, and a pressed rod buckles. For large steps other terms win.</details>

# %%
hunt = TaylorPlayer(ethanol[100], epsilon=0.05)
hunt

# %% tags=["reveal"]
soft = "the softest direction"
unit = 1 / np.linalg.norm(hunt.directions[soft])  # ε for a whole step of 1 Å
left = {length: 1000 * hunt.remainder(soft, length * unit, order=1) for length in (0.05, 0.10, 0.15)}
lines = [f"{length:.2f} Å along {soft}: {value:+6.1f} meV left over" for length, value in left.items()]
reveal("06.hunt", "yes, in some directions" if min(left.values()) < 0 else "no, never", lines)

# %% [markdown]
# ## Build
#
# Now write one of PIWSL's two losses, **PITC**: *physics-informed Taylor consistency* (Takamoto, Zaverkin, Niepert 2025).
# All four numbers in it, `e0, e1, f0, f1`, will come from the *model*: no label is needed. The paper takes the first
# force. We take **the mean of both**, the default here.
#
# Several structures come at once, all their atoms in one list. Atom $i$ belongs to structure `structure[i]`.
# `np.bincount(structure, weights=w)` adds up one number `w[i]` per atom for each structure.


# %% tags=["build:06.pitc"]
def pitc(e0, e1, f0, f1, delta, structure):
    """What is left over, in eV: one number for each structure.

    e0, e1: energies [S] before and after. f0, f1: forces [N, 3] there, eV/Å. delta: the steps [N, 3], Å.
    """
    ### BEGIN SOLUTION
    work = np.sum(0.5 * (f0 + f1) * delta, axis=1)
    return e1 - e0 + np.bincount(structure, weights=work, minlength=len(e0))
    ### END SOLUTION


# %% [markdown]
# **Look first.** Your function is the dashed curve with diamonds. Does it lie on the marks? Is it as steep?

# %%
TaylorPlayer(frame, pitc, rule="the mean of both forces")

# %% tags=["check:06.pitc"]
judged = check("06.pitc", pitc)

# %% [markdown]
# ## A surface that can be written down
#
# For a bond with a known formula (Morse, lesson 01) the law can be measured sharply. At 0.9 Å:

# %%
bond, r, one = Morse(), 0.9, np.zeros(1, dtype=int)
sizes = np.array([0.005, 0.01, 0.02, 0.04])
rows = {"first force": [], "mean of both": []}
for size in sizes:
    here, there = (np.array([[bond.force(place), 0.0, 0.0]]) for place in (r, r + size))
    energies = np.array([bond.energy(r)]), np.array([bond.energy(r + size)])
    for name, last in (("first force", here), ("mean of both", there)):
        rows[name].append(judged.function(*energies, here, last, np.array([[size, 0.0, 0.0]]), one)[0])
for name, found in rows.items():
    print(f"{name:12}: left over grows as ε^{np.polyfit(np.log(sizes), np.log(np.abs(found)), 1)[0]:.2f}")

# %%
print(f"left over / (ε²/2) = {rows['first force'][0] / (0.5 * sizes[0] ** 2):.1f} eV/Å² at ε = {sizes[0]} Å")
print(f"the curvature of the bond there is {bond.curvature(r):.1f} eV/Å²")

# %% [markdown]
# ## Explain
#
# Every step gives one such equation. It needs no label at its end, only computing. So a model can be trained on as many as
# one likes.

# %%
explain("06.why", "Why does the mean of both forces leave so much less than the first force?")

# %% [markdown]
# ## What could be wrong?
#
# The promise holds for *small* steps only. How small? Three random steps say:

# %%
for epsilon in (0.02, 0.05, 0.15):
    left_over = [1000 * abs(player.remainder(f"random step {k}", epsilon, order=2)) for k in (1, 2, 3)]
    print(f"ε = {epsilon:.2f} Å: the mean of both forces leaves up to {max(left_over):6.2f} meV for the exact forces")

# %% [markdown]
# At 0.15 Å the *exact* energy breaks the promise by hundreds of meV. A model that is made to keep it there is taught
# something wrong. How wrong, and when it matters, is lesson 07.
#
# * **residual**: what is left over
# * **order**: 1 for the first force, 2 for the mean of both
# * **PITC**: the mean square of the residual, as a loss
#
# **Next:** lesson 07 (when does free advice mislead?).

# %%
progress()
