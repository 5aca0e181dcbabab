# %% [markdown]
# # 07 · What the loss teaches: when free advice misleads
#
# **Question.** PITC asks a model to agree with itself. When does that make it *worse*?
#
# **Level** intermediate · **45 minutes** · *Run All* takes seconds and downloads nothing.
#
# **You need** lesson 06: the first force leaves a remainder that goes with ε², the mean of both one that goes with ε³.
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
from piwsl_lab.lab import AdvicePlayer, BiasPlayer, SpringPlayer
from piwsl_lab.lab.lesson import check, explain, predict, progress, reveal
from piwsl_lab.toys import TwoSprings

springs = TwoSprings()
print(f"a spring with k = 1 eV/Å², {springs.labels} labels between −{springs.reach} and {springs.reach} Å")

# %% [markdown]
# ## The smallest potential
#
# A spring has one number, its stiffness $k$, which gives its energy and its force. Its labels are exact, so labels alone give $k'=1$ eV/Å². Now add advice. At a
# labelled place, step by a random $\delta$ between $-\varepsilon$ and $\varepsilon$, and punish
#
# $$\big[E(x+\delta)-E(x)+F(x)\,\delta\big]^2 .$$
#
# Lesson 06 says that this is not zero even for the true spring: it is $\tfrac12 k\,\delta^2$ squared. How can a model make
# it smaller? By becoming **softer**.
#
# ## Predict
#
# Commit before you look.

# %%
predict("07.softer")

# %% [markdown]
# ## Play
#
# Nothing is trained here: every spring is the exact minimum of its loss, so it answers at once.
#
# 1. Set **weight** to 100 and move **ε** from 0.1 to 0.2 Å. Read $k'$.
# 2. Look at the pressed bond: does the learned force fill the pale arrow of the true one?
# 3. Move **weight** to the left: what is the spring like without advice?

# %%
player = SpringPlayer()
player

# %% tags=["reveal"]
lines = []
for weight in (10.0, 100.0):
    kept = [player.stiffness(weight, epsilon, order=1) for epsilon in (0.05, 0.1, 0.2)]
    lines.append(f"weight {weight:3.0f}: k′ = {', '.join(f'{k:.4f}' for k in kept)} eV/Å² for ε = 0.05, 0.10, 0.20 Å")
softening = [1 / player.stiffness(100.0, epsilon, order=1) - 1 for epsilon in (0.1, 0.2)]
reveal(
    "07.softer", softening[1] / softening[0], [*lines, f"k/k′ − 1: ×{softening[1] / softening[0]:.2f} for a doubling"]
)

# %% [markdown]
# ## A real molecule
#
# A molecule has many springs. Push *all* atoms by random steps: what does the first force leave over **on average**?
# Write $H$ for the matrix of all second derivatives. One step leaves $\tfrac12\,\boldsymbol\delta^{\mathsf T}H\boldsymbol\delta$.
#
# ## Build
#
# Every component of $\boldsymbol\delta$ is uniform in $[-\varepsilon, \varepsilon]$ and independent of the others. Write the
# mean. Two hints: what is the mean of $\delta_i\delta_j$ for $i\ne j$? And of $\delta_i^2$?


# %% tags=["build:07.bias"]
def bias(hessian, epsilon):
    """Mean of what the first force leaves over, eV. hessian: [n, n], eV/Å². epsilon: Å."""
    ### BEGIN SOLUTION
    return epsilon**2 * np.trace(hessian) / 6
    ### END SOLUTION


# %% [markdown]
# **Look first.** Dots are a hundred random steps of ethanol, labelled live by GFN2-xTB. Your mean is the dashed line with
# diamonds. In the picture an arrow says in which direction an atom is held most stiffly. For hydrogen: along its bond, or
# across?
#
# <details><summary>One answer</summary>Along its bond: stretching a bond costs much more than bending it.</details>

# %%
ethanol = piwsl_lab.load("ethanol")
steps = BiasPlayer(ethanol[0], bias)
steps

# %% tags=["check:07.bias"]
judged = check("07.bias", bias)

# %%
mean, formula = steps.left(0.05).mean(), judged.function(steps.hessian, 0.05)
print(f"ε = 0.05 Å: the first force leaves {mean:.2f} eV on average, the formula says {formula:.2f} eV")

# %% [markdown]
# So the molecule is told that its energy should be lower at pushed places, by that much on average. That is the advice.
#
# ## Build
#
# How soft does a spring become? Labels hold it with $\tfrac12 L\,(k'-1)^2$, where $L$ is a number. Advice pulls with
# $\tfrac12 w\,k'^2\,\varepsilon^4/20$, since $\langle(\tfrac12\delta^2)^2\rangle=\varepsilon^4/20$. Find the $k'$ that
# makes the sum smallest.


# %% tags=["build:07.softness"]
def softness(weight, epsilon, labels):
    """The share k′/k of the stiffness that is kept. labels: the number L, Å²."""
    ### BEGIN SOLUTION
    return 1 / (1 + weight * epsilon**4 / (20 * labels))
    ### END SOLUTION


# %% [markdown]
# **Look first.** Does your curve lie on the circles, for every weight?

# %%
SpringPlayer(softness)

# %% tags=["check:07.softness"]
judged = check("07.softness", softness)

# %%
kept = [judged.function(100.0, epsilon, springs.stiffness_of_labels) for epsilon in (0.05, 0.1, 0.2)]
print("k′/k at weight 100:", ", ".join(f"{k:.4f}" for k in kept), "for ε = 0.05, 0.10, 0.20 Å")

# %% [markdown]
# ## Which repair?

# %%
predict("07.weight")

# %% [markdown]
# Commit, then try it on either player: a larger **weight**, then **mean of both forces**.

# %% tags=["reveal"]
tried = {
    "a larger weight for the advice": player.stiffness(1000.0, 0.1, order=1),
    "the mean of both forces in place of the first": player.stiffness(100.0, 0.1, order=2),
    "more training steps": player.stiffness(100.0, 0.1, order=1),
}
best = min(tried, key=lambda name: abs(tried[name] - 1))
reveal("07.weight", best, [f"{name}: k′ = {k:.4f} eV/Å²" for name, k in tried.items()])

# %% [markdown]
# ## Real twins
#
# Real twins have *two* outputs: an energy, and forces of their own. Two springs show what that changes.

# %%
for order, words in ((1, "the first force"), (2, "the mean of both")):
    k_energy, k_force = springs.fit(100.0, 0.1, order)
    print(f"weight 100, ε = 0.1 Å, {words}: k = {k_energy:.4f} eV/Å² of the energy, {k_force:.4f} eV/Å² of the forces")

# %% [markdown]
# Both become soft, the energy more. Now the real ones.
#
# These are stored trainings: ethanol, 50 labels, weight 100, the same network with advice of both kinds. Below the
# dotted line advice helped. Look at energies, then at **forces**. Where does the first force begin to hurt? And the
# mean of both?

# %%
twins = AdvicePlayer()
twins

# %%
plain = np.mean([row["energy_mae"] for row in twins.rows if row["method"] == "supervised"])
print(
    f"labels alone: energy error {1000 * plain:.0f} meV; the wrong advice at 0.05 Å is {formula / plain:.0f} times that"
)
for words, order in (("first force", 1), ("mean of both forces", 2)):
    found = {epsilon: np.mean(values) for epsilon, values in twins.ratios(order, "energy_mae").items()}
    helps = [epsilon for epsilon, ratio in found.items() if ratio < 1]
    print(f"{words}: the energy error is lower than with labels alone from ε = {helps[0]:g} to {helps[-1]:g} Å")

# %% [markdown]
# ## Explain

# %%
explain("07.why", "Why can a larger weight not repair advice of first order, and what can?")

# %% [markdown]
# ## What could be wrong?
#
# Springs with the mean of both forces are perfect here, since a spring *is* quadratic. Real bonds are not. And two seeds
# for each ε are no interval (lesson 05): each number is a lead. Last, two springs that were never shown a force:

# %%
alone = TwoSprings(force_weight=0.0)
for order in (1, 2):
    k_energy, k_force = alone.fit(10.0, 0.05, order, forces=False)
    print(f"energies only, order {order}: k of the energy {k_energy:.4f}, k of forces never shown {k_force:.4f}")
forces = {epsilon: np.mean(values) for epsilon, values in twins.ratios(2, "force_rmse").items()}
print(f"force error with the mean of both: ×{forces[0.1]:.2f} at ε = 0.1 Å, but ×{forces[0.2]:.2f} at 0.2 Å")

# %% [markdown]
# The first two lines are a gift: tied to the energy, a model learns forces that it was **never shown**, and with order 2
# without any softening. The last line is a limit: at ε = 0.2 Å even the better advice seems to make forces worse.
#
# **Next:** notebook 08 (does it help, and how would one doubt it?).

# %%
progress()
