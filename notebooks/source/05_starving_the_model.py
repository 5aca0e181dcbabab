# %% [markdown]
# # 05 · Starving the model: how many labels, how sure?
#
# **Question.** Labels cost money. How fast does the error fall with them, and how sure are we?
#
# **Level** intermediate · **40 minutes** · *Run All* trains one potential, some 10 seconds, and downloads nothing.
#
# **You need** lesson 04, and logarithms.
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

from piwsl_lab import Objective
from piwsl_lab.lab import CoveragePlayer, StarvingPlayer, WorstFramePlayer
from piwsl_lab.lab.lesson import check, explain, predict, progress, reveal
from piwsl_lab.study import Setup, prepare, train

study = StarvingPlayer()
print(f"a stored study: {len(study.rows)} trainings on ethanol, from 25 to 1000 labels, with and without PITC")

# %% [markdown]
# ## Predict
#
# All trainings have the same network and the same test frames. Commit before you look.

# %%
predict("05.fourfold")

# %% [markdown]
# ## Play
#
# 1. Move **seeds shown** from 1 to 5. A *seed* decides which frames are labelled, and where the weights begin. By how much
#    do two seeds differ?
# 2. Both axes are logarithmic. Is it a straight line?
# 3. Choose **with PITC** (PIWSL's loss, lesson 06), then **force error**. Which error becomes lower, which hardly changes?

# %%
study

# %% tags=["reveal"]
labels, errors = study.means("labels alone", "energy error")
reveal("05.fourfold", errors[3], f"{errors[1]:.0f} meV with 50 labels, {errors[3]:.0f} meV with 200 (mean of 5 seeds)")

# %%
for method in ("labels alone", "with PITC"):
    five = study.errors(method, "energy error")[50.0]
    print(f"{method:12}, 50 labels: {', '.join(f'{e:.1f}' for e in five)} meV for seeds 0 to 4")

# %% [markdown]
# A straight line in this plot is a **power law**: error $\propto$ labels$^{\,b}$. Four times the labels, $4^{\,b}$ times the
# error.
#
# ## Build


# %% tags=["build:05.exponent"]
def exponent(labels, errors):
    """The exponent b of a power law, fitted by least squares to all points. Both arguments: arrays."""
    ### BEGIN SOLUTION
    return np.polyfit(np.log(labels), np.log(errors), 1)[0]
    ### END SOLUTION


# %% [markdown]
# **Look first.** Your power law is dashed and pink, through the middle of the points from 25 to 200 labels. The exact one
# is black.

# %%
StarvingPlayer(exponent)

# %% tags=["check:05.exponent"]
judged = check("05.exponent", exponent)

# %%
for method in ("labels alone", "with PITC"):
    for quantity in ("energy error", "force error"):
        found = judged.function(*study.means(method, quantity))
        print(
            f"{quantity:12} {method:12}: exponent {found:+.2f}, four times the labels give {4**found:.2f} times the error"
        )

# %% [markdown]
# Look at the energy error: with PITC it begins lower and falls more slowly. The fewer labels there are, the more it gives.

# %%
piwsl, plain = (study.errors(m, "energy error") for m in ("with PITC", "labels alone"))
print(
    f"with PITC 100 labels give {piwsl[100.0].mean():.1f} meV; without it 1000 labels give {plain[1000.0].mean():.1f} meV"
)

# %% [markdown]
# ## How sure?
#
# Five seeds gave five numbers. Their mean has an error of its own. The **bootstrap** measures it: draw five of the five
# *with replacement*, take the mean, repeat a thousand times. The middle 95 % of these means are the interval.

# %%
predict("05.coverage")

# %% [markdown]
# ## Build
#
# One row of `draws` says which seeds are taken once, such as `[0, 2, 2, 4, 1]`. Return the two ends.


# %% tags=["build:05.bootstrap"]
def bootstrap(errors, draws):
    """Lower and upper end of the 95 % interval of the mean. errors: [n]. draws: indices [m, n]."""
    ### BEGIN SOLUTION
    means = errors[draws].mean(axis=1)
    return np.percentile(means, [2.5, 97.5])
    ### END SOLUTION


# %% [markdown]
# **Look first.** Two thousand experiments are made up: normal errors of 70 ± 15 meV. Each gives an interval; forty are
# shown. In the right plot your intervals are counted. **Change the number of seeds.** How close to 95 % does it come?

# %%
coverage = CoveragePlayer(bootstrap)
coverage

# %% tags=["check:05.bootstrap"]
judged_interval = check("05.bootstrap", bootstrap)

# %% tags=["reveal"]
share = coverage.coverage(5, judged_interval.function)
reveal("05.coverage", share, f"with five seeds {share:.0f} of 100 intervals hold the truth")

# %%
every = np.stack(np.meshgrid(*[range(5)] * 5), axis=-1).reshape(-1, 5)  # all 3125 ways to draw five of five
low, high = judged_interval.function(study.errors("labels alone", "energy error")[50.0], every)
print(f"labels alone, 50 labels: mean in {low:.0f} to {high:.0f} meV by bootstrap: too narrow, as you have seen")
low, high = judged_interval.function(study.errors("with PITC", "energy error")[50.0], every)
print(f"with PITC,    50 labels: mean in {low:.0f} to {high:.0f} meV")

# %% [markdown]
# The two intervals are far apart, so the gain in energy is no luck of the seeds. The studies here use
# *Student's t*, which is right for few seeds. Whether another, simpler change would give the gain as well is another
# question (notebook 08).
#
# ## The mean is not the worst
#
# One error for 500 frames hides the bad ones. Here is one training with 50 labels. **Move the rank.** Which element is dark
# in the worst frames? (O has one bond to C and one to H.)

# %% tags=["nbval-ignore-output"]
task = prepare(Setup(data="ethanol", energies=50, forces=50, channels=32, layers=2, steps=600))
trainer, seconds = train(Setup(data="ethanol", channels=32, layers=2, steps=600), task, Objective())
print(f"trained in {seconds:.0f} s")

# %%
worst = WorstFramePlayer(trainer.potential, task.test)
worst

# %%
ratio = worst.errors.max() / np.median(worst.errors)
print(f"the worst frame has {'more' if ratio > 1.5 else 'less'} than 1.5 times the force error of the median frame")

# %% [markdown]
# ## Explain

# %%
explain("05.why", "Someone reports one training and says “22 % better”. What would you ask?")

# %% [markdown]
# ## What could be wrong?
#
# A power law is a summary, no law of nature. Beyond the points that it was fitted to it may fail. And all these trainings
# had the same number of steps: with 1000 labels each was seen less often.

# %%
for method in ("labels alone", "with PITC"):
    power = judged.function(*study.means(method, "energy error"))
    errors = study.errors(method, "energy error")
    guess = errors[200.0].mean() * 5**power
    print(f"{method:12}: 1000 labels should give {guess:4.1f} meV, and gave {errors[1000.0].mean():4.1f} meV (5 seeds)")

# %% [markdown]
# * **budget**: the number of labels; **seed**: what decides draws
# * **MAE** and **RMSE**: mean, and root mean square, of errors
# * **interval**: where the mean may lie
#
# **Next:** lesson 06 (what is known for free?).

# %%
progress()
