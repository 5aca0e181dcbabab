# %% [markdown]
# # 01 · Landscapes and forces: what is a force?
#
# **Question.** A potential gives the energy of any arrangement of atoms. Where do the forces come from?
#
# **Level** beginner · **35 minutes** · *Run All* takes seconds and downloads nothing.
#
# **You need** to know what the slope of a curve is.
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

from piwsl_lab.lab import BondPlayer, SlopePlayer
from piwsl_lab.lab.lesson import check, explain, predict, progress, reveal
from piwsl_lab.toys import Morse

bond = Morse()
print(f"hydrogen molecule: {bond.depth} eV lead from rest, at {bond.rest} Å, to two atoms far apart")

# %% [markdown]
# ## The landscape
#
# The smallest molecule has one length, $r$, between two hydrogen atoms. Its energy is a valley with a steep wall on one
# side and a plain on the other. An energy is measured in **eV**, a length in **Å** (0.1 nm).
#
# ## Predict
#
# Commit before you look. A prediction that turns out wrong teaches more than none.

# %%
predict("01.pull")

# %% [markdown]
# ## Play
#
# 1. Move **length r** from left to right. The orange line has the slope of the energy.
# 2. Watch the arrow at the atom. When is it longest? When does it turn round?
# 3. Put r far out, at 2.5 Å. The energy is high there. What is the force?
# 4. Make the valley narrower with **steepness a**. What happens to the strongest pull?

# %%
player = BondPlayer()
player

# %% tags=["reveal"]
lengths = np.linspace(0.7, 3.0, 2301)
where = lengths[np.argmin(bond.force(lengths))]
reveal("01.pull", where, f"the strongest pull, {bond.force(where):.2f} eV/Å, is at {where:.2f} Å")

# %%
for r in (0.60, 0.741, 1.10, 2.50):
    print(f"r = {r:.2f} Å: energy {bond.energy(r):5.2f} eV, force {bond.force(r) + 0.0:+6.2f} eV/Å")

# %% [markdown]
# High is not steep. The force is **minus the slope** of the energy: downhill, and the harder the steeper. The strongest
# pull is $aD/2$: twice as steep, twice as strong.
#
# $$F(r)=-\frac{\mathrm dE}{\mathrm dr}$$
#
# ## Build
#
# The valley has a formula, by P. Morse (1929), with $x=e^{-a(r-r_e)}$:
#
# $$E(r)=D\,(1-x)^2$$
#
# Differentiate it with pencil and paper. The chain rule is needed twice. Write the force.

# %% tags=["build:01.force"]
D, a, r_e = bond.depth, bond.width, bond.rest  # eV, 1/Å, Å


def force(r):
    """Force along the bond, eV/Å, of a length r in Å: a number or an array (use np.exp). Negative pulls together."""
    ### BEGIN SOLUTION
    x = np.exp(-a * (r - r_e))
    return -2 * a * D * x * (1 - x)
    ### END SOLUTION


# %% [markdown]
# **Look first.** The dashed curve is minus the slope of the energy. Does yours lie on it? At rest, on the left, far out?

# %%
BondPlayer(force)

# %% tags=["check:01.force"]
judged = check("01.force", force)

# %%
stiffness = -(judged.function(bond.rest + 1e-4) - judged.function(bond.rest - 1e-4)) / 2e-4
mass = 1.00782503 / 2  # u: two hydrogen atoms against each other
wavenumber = 1302.79 * np.sqrt(stiffness / 10 * 1.602176634 / mass)  # 1302.79/cm for 100 N/m and 1 u
print(f"near rest the bond is a spring with k = {stiffness:.2f} eV/Å²")
print(f"two hydrogen atoms on it swing at {wavenumber:.0f} /cm; spectra give 4401 /cm, and a was chosen for that")

# %% [markdown]
# ## Without a formula
#
# Quantum methods give no formula. Some give only energies, one at a time. A slope then needs two of them, at places that
# are close together: here one on each side of $r$, at distance $h$.

# %%
predict("01.halve")

# %% [markdown]
# ## Build


# %% tags=["build:01.slope"]
def slope(energy, r, h):
    """Slope dE/dr at r, from the energies at r − h and r + h. `energy` is a function of a length."""
    ### BEGIN SOLUTION
    return (energy(r + h) - energy(r - h)) / (2 * h)
    ### END SOLUTION


# %% [markdown]
# **Look first.** The right plot has the error of your slope for every step $h$. Where is it smallest? Move **log₁₀ of h**
# there. Why does the error grow again when $h$ becomes tiny?

# %%
SlopePlayer(slope)

# %% tags=["check:01.slope"]
judged_slope = check("01.slope", slope)

# %% tags=["reveal"]
errors = {h: abs(judged_slope.function(bond.energy, 1.0, h) + bond.force(1.0)) for h in (0.05, 0.025)}
lines = [f"h = {h:.3f} Å: error {error:.5f} eV/Å" for h, error in errors.items()]
ratio = errors[0.05] / errors[0.025]
reveal("01.halve", ratio, [*lines, f"half the step, {ratio:.2f} times less error"])

# %% [markdown]
# ## Explain

# %%
explain("01.why", "Why is the force zero where the energy is lowest, and also where the bond is broken?")

# %% [markdown]
# ## What could be wrong?
#
# Two numbers that are almost equal lose digits when they are subtracted. A step that is too small measures rounding.

# %%
for h in (1e-2, 1e-6, 1e-11):
    error = abs(judged_slope.function(bond.energy, 1.0, h) + bond.force(1.0))
    print(f"h = {h:.0e} Å: error about 1e{np.floor(np.log10(error) + 0.5):.0f} eV/Å")

# %% [markdown]
# And energies cost money: a molecule of 9 atoms has 27 slopes, so 54 energies for all its forces. A quantum method that
# gives forces directly is worth a lot. What each kind of label teaches is lesson 04.
#
# * **potential**: a function from places of atoms to an energy
# * **force**: minus its slope
# * **curvature**: how fast the slope changes
#
# **Next:** lesson 04 (what does each label teach?).

# %%
progress()
