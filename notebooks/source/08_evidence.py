# %% [markdown]
# # 08 · The evidence: what was measured, and how to doubt it
#
# **Aim.** Read the studies that this laboratory keeps in its repository, filter them, and compute one of their cells
# anew on this machine. Every number below is read from the studies' tables when the cell runs.
#
# **Time.** 30 minutes to read; *Run → Run All Cells* takes about a minute and downloads nothing. Most of it is the live
# recomputation at the end.
#
# **You need.** The words of notebook 00: labels, heads, PITC, ε.

# %%
import sys

if "google.colab" in sys.modules:  # on Colab only: install the package and let it show its own widgets
    from subprocess import run as call

    from google.colab import output

    # Without the extra "lab": Colab brings its own ipywidgets and plotly, and breaks when they are upgraded.
    call([sys.executable, "-m", "pip", "install", "--quiet", "piwsl-lab"], check=True)
    output.enable_custom_widget_manager()

# %%
import ipywidgets as W
import plotly.io as pio
from IPython.display import Markdown

from piwsl_lab.lab import StudyFilter
from piwsl_lab.lab import page as lab
from piwsl_lab.study import CLAIM_SEEDS, interval, ratio, read, verdict

pio.renderers.default = "colab" if "google.colab" in sys.modules else "plotly_mimetype"

# %% [markdown]
# ## What was run
#
# A *study* is a grid of trainings, described by one file: data sets × numbers of labels × methods × seeds. Each training is
# a *run*, stored whole, with everything that decided it. A study can be stopped at any time, so look at how much of it is
# there before you look at what it says.

# %%
NAMES = ("sparse-labels", "dual-head", "no-forces", "epsilon-weight", "rivals")
folder = lab.find_studies()
tables = {}  # rows of summary.csv by the name of the study
coverage = ["| study | asks | runs here | core hours |", "|---|---|---|---|"]
for name in NAMES if folder else ():
    study = read(folder / f"{name}.toml")
    runs = hours = 0
    if (folder / name / "summary.csv").is_file():
        tables[name] = lab.read_summary(folder / name)
        seconds = [row["core_seconds"] for row in lab.read_table(folder / name / "seconds.csv")]
        runs, hours = len(seconds), sum(seconds) / 3600
    coverage.append(f"| `{name}` | {study.title} | {runs} of {len(study.cells)} | {hours:.1f} |")


def not_here(name):
    """What to say, and to do, where a study has no results."""
    if folder is None:
        return Markdown(
            "**The studies are not beside this notebook.** Install the package (`pip install 'piwsl-lab[lab]'`), which "
            "carries their tables, or open the notebook in a checkout of the repository, where `studies/` lies beside "
            "`notebooks/`. The figures below stay empty until then."
        )
    return Markdown(
        f"**`{name}` has no results here yet.** `piwsl-lab study studies/{name}.toml` runs it (hours; it may be stopped and "
        f"goes on where it was), and `piwsl-lab study report studies/{name}.toml` makes its tables from what is there."
    )


def show(name, draw):
    """The figure that `draw` makes of a study's rows, or a sentence."""
    if name not in tables:
        return not_here(name)
    figure = draw(tables[name])
    return figure if figure.data else Markdown(f"*`{name}` has too few runs for this figure so far.*")


def say(name, lines):
    """Lines of text computed from a study, [(what, text or comparisons)], or a sentence."""
    if name not in tables:
        return not_here(name)
    words = ((what, found if isinstance(found, str) else lab.tally(found)) for what, found in lines())
    return Markdown("\n".join(f"* **{what}:** {text}." for what, text in words))


Markdown("\n".join(coverage)) if folder else not_here("")

# %% [markdown]
# ## How to read it, in five lines
#
# 1. **Seeds.** A run's seed draws the labelled frames, the first weights and the batches. One run is one draw.
# 2. **Interval.** Mean ± $t\,s/\sqrt n$, with *Student's t*: 2.78 for 5 seeds, 4.30 for 3, 12.7 for 2. It holds the truth
#    95 times of 100, however few the seeds. The bootstrap of notebook 05 does so 84 times with 5 of them.
# 3. **Shown.** Both methods see the same seeds, and what makes one hard for one makes it hard for the other. So the ratio is
#    taken seed by seed; its geometric mean has an interval too. A method is called *lower* or *higher* only where
#    that interval leaves out 1, with enough seeds (how many: see below). Otherwise no difference is shown, which is not the
#    same as equal.
# 4. **Cost.** Core seconds of training: what the run's own process spent, whatever else the machine did. A step with a
#    consistency term costs more than a step without.
# 5. **Same-time twins.** So a rival is also trained for more steps, at least as long as the method it is held against. A
#    gain that survives this was not bought with time.
#
# Rules 1 to 3 on one comparison, with the numbers of the runs themselves:


# %%
def by_seed(name, method, data, labels, quantity="energy_mae", output="direct"):
    """Error of every seed at one place, in meV or meV/Å."""
    rows = lab.own_test(lab.read_table(folder / name / "results.csv"))
    place = {"method": method, "data": data, "energies": labels, "forces": labels, "output": output}
    return {int(r["seed"]): 1000 * r[quantity] for r in rows if all(r[k] == v for k, v in place.items())}


print(f"a claim needs {CLAIM_SEEDS} seeds of each method")
pair = []
if "sparse-labels" in tables:
    pair = [by_seed("sparse-labels", method, "ethanol", 50) for method in ("supervised", "pitc")]
if pair and all(pair):
    for words, errors in zip(("labels only", "with PITC  "), pair, strict=True):
        mean, low, high = interval(list(errors.values()))
        print(f"{words}: " + " ".join(f"{e:5.1f}" for e in errors.values()), end="")
        print(f"   mean {mean:.1f}, interval {low:.1f} to {high:.1f} meV")
    quotient, paired, seeds = ratio(pair[1], pair[0])
    print(f"ratio {quotient.mean:.2f}, interval {quotient.low:.2f} to {quotient.high:.2f}", end=", ")
    print("seed by seed" if paired else "of seeds that are not the same")
    print("verdict on PITC:", verdict(quotient, seeds))
else:
    print("ethanol with 50 labels has not been run yet")

# %% [markdown]
# ## Sparse labels
#
# Energies and forces as two outputs of one network (a *direct* head), with and without PITC; and forces as the gradient of
# the energy (a *conservative* head), which obeys the law by construction and so has less to gain. All are tested on frames of
# the same kind as they were trained on, never on those frames.

# %%
show("sparse-labels", lambda rows: lab.error_against_labels(lab.own_test(rows), "energy_mae"))

# %%
show("sparse-labels", lambda rows: lab.error_against_labels(lab.own_test(rows), "force_rmse"))

# %% [markdown]
# The direct head's energies again, as ratios of PITC to labels only. A dot left of the line is better; it is *filled* only
# where the rule above calls the difference shown. (`methods` picks the lines: add `"conservative-pitc"`.)

# %%
methods = ["pitc"]
show(
    "sparse-labels",
    lambda rows: lab.ratio_bars([r for r in lab.own_test(rows) if r["method"] in methods], "energy_mae"),
)


# %%
def sparse_lines():
    here = folder / "sparse-labels"
    rivals = {
        "supervised": "labels only",
        "supervised-same-time": "labels only for the same time",
        "supervised-energy": "labels only with ten times the weight on energies",
        "conservative": "a conservative head, labels only",
    }
    for quantity, words in (("energy_mae", "energy"), ("force_rmse", "forces")):
        for rival, title in rivals.items():
            yield f"{words}, PITC on a direct head against {title}", lab.duels(here, "pitc", rival, quantity, "direct")
        other = lab.duels(here, "conservative-pitc", "conservative", quantity, "conservative")
        yield f"{words}, PITC on a conservative head against none", other
        far = lab.duels(here, "pitc", "supervised", quantity, "direct", elsewhere=True)
        yield f"{words}, PITC against labels only on other temperatures, paths and scans", far


say("sparse-labels", sparse_lines)

# %% [markdown]
# **Why it should work.** With a direct head the energy of a frame is one number of supervision, while the forces are $3N$. The
# two outputs share a trunk, but nothing says that one is the slope of the other. PITC does: what the forces learned then
# shapes the energy around every frame, and that is where most of the gain is to be expected: in the energy. As labels grow
# dense, they say the same thing themselves, and the ratio should creep towards one. Does it, above? Two simpler explanations
# have a twin of their own: more time of computing, and more weight on the energies.
#
# ## Two heads that teach each other
#
# A *dual* potential has both: a direct head, and minus the gradient of its energy. Both learn the labels. At displaced
# places $\mathbf r+\boldsymbol\delta$ that nobody labelled they must agree:
#
# $$L=\Big\langle\big\lVert \mathbf F_\text{direct}(\mathbf r+\boldsymbol\delta)+\nabla E(\mathbf r+\boldsymbol\delta)\big\rVert^2\Big\rangle$$
#
# This is PITC over all directions at once: $3N$ conditions a frame instead of one.

# %%
MAIN = ("conservative", "conservative-same-time", "dual")


def gradient_forces(rows):
    """−∇E of the main methods on their own test frames."""
    return [r for r in lab.own_test(rows) if r["output"] == "conservative" and r["method"] in MAIN]


show("dual-head", lambda rows: lab.error_against_labels(gradient_forces(rows), "force_rmse"))

# %%
show("dual-head", lambda rows: lab.error_against_labels(gradient_forces(rows), "energy_mae"))

# %%
show(
    "dual-head", lambda rows: lab.ratio_bars([r for r in gradient_forces(rows) if r["method"] == "dual"], "force_rmse")
)


# %%
def dual_lines():
    here = folder / "dual-head"
    for quantity, words in (("force_rmse", "forces −∇E"), ("energy_mae", "energy")):
        rivals = {
            "conservative": "conservative",
            "conservative-same-time": "conservative for the same time",
            "conservative-energy": "conservative with the energy weight of dual",
            "dual-untied": "the same two heads, not tied",
        }
        for rival, title in rivals.items():
            yield f"{words}, dual against {title}", lab.duels(here, "dual", rival, quantity, "conservative")
        pool = lab.duels(here, "dual-pool", "conservative", quantity, "conservative")
        yield f"{words}, dual, but tied at other frames without labels, against conservative", pool
        far = lab.duels(here, "dual", "conservative", quantity, "conservative", elsewhere=True)
        yield f"{words}, dual against conservative on other temperatures, paths and scans", far


say("dual-head", dual_lines)

# %% [markdown]
# **Why it should work.** Two heads that have seen the same labels agree there, and disagree where there are none: each has
# its own error. Tying them at displaced places makes both move to the middle, and the middle of two separate errors is smaller
# than either, as in an ensemble, here an ensemble of two that share a trunk. And the condition is on the *gradient* of the
# energy, which is what a conservative potential is used for. The twin that has two heads but no tie tells the two
# explanations from a third, that a second output alone makes a better trunk.
#
# ## Energies without forces
#
# The most accurate methods often give energies only. Five hundred energies, and forces on no frame (the bars) or on few. A
# direct head without a single force label is never told anything about forces, unless a consistency term ties it to the
# energy.

# %%
show("no-forces", lambda rows: lab.ratio_bars([r for r in lab.own_test(rows) if not r["forces"]], "force_rmse"))

# %%
show("no-forces", lambda rows: lab.error_against_labels(lab.own_test(rows), "force_rmse"))


# %%
def no_forces_lines():
    here = folder / "no-forces"
    pairs = (
        ("pitc", "supervised", "direct", "direct head, PITC against labels only"),
        ("pitc", "conservative", "direct", "direct head with PITC against a conservative head, labels only"),
        ("conservative-pitc", "conservative", "conservative", "conservative head, PITC against labels only"),
        (
            "conservative-ensemble",
            "conservative",
            "conservative",
            "conservative head, taught by an ensemble against labels only",
        ),
        ("dual-ensemble", "conservative", "conservative", "dual head, taught by an ensemble against conservative"),
        (
            "dual-ensemble",
            "conservative-same-time",
            "conservative",
            "dual head, taught by an ensemble against conservative for the same time",
        ),
        (
            "dual-ensemble",
            "conservative-ensemble",
            "conservative",
            "dual head, taught by an ensemble against conservative, taught by an ensemble",
        ),
    )
    for method, rival, output, words in pairs:
        found = lab.duels(here, method, rival, "force_rmse", output)
        yield f"no force label, {words}", [row for row in found if not row["forces"]]
        yield f"a few force labels, {words}", [row for row in found if row["forces"]]


say("no-forces", no_forces_lines)

# %% [markdown]
# **Where do forces come from, if nobody labelled one?** The slope of a fitted energy is its least certain part: between two
# labelled energies the curve may wiggle. Several potentials trained on the same energies wiggle differently, and the mean of
# their forces is closer to the truth than most of them. A student that is told this mean at the labelled frames learns a
# force, and once it has something to hold on to, a dual student can tie its two heads around it. Without such forces to hold on
# to, two heads that have only each other to agree with agree on something wrong (the command line warns of it).
#
# Read the axis, not only the ratio: forces many times better than random may still be many times worse than those of a
# potential that saw a few force labels. Which line is lowest at the far left, and how many force labels buy the same?
#
# ## Where PITC helps and where it hurts
#
# One data set, 50 labels, and a map: how far the atoms are displaced (ε) against how much the term weighs, for both orders.
# Blue is better than labels alone, red is worse. A star says that the difference is shown; where the study has too few seeds
# for a claim there is none, and the map is a hint: look for what neighbours in it agree on.

# %%
show("epsilon-weight", lambda rows: lab.ratio_map(rows, "energy_mae"))

# %%
show("epsilon-weight", lambda rows: lab.ratio_map(rows, "force_rmse"))


# %%
def map_lines():
    for quantity, words in (("energy_mae", "energy"), ("force_rmse", "forces")):
        for order, title in ((1, "first order"), (2, "second order")):
            rows = [
                r
                for r in tables["epsilon-weight"]
                if (r["quantity"], r["order"]) == (quantity, order) and r["ratio"] > 0
            ]
            parts = []
            for what, chosen in (
                ("helps", [r for r in rows if r["ratio_high"] < 1]),
                ("hurts", [r for r in rows if r["ratio_low"] > 1]),
            ):
                reach = [r["epsilon"] for r in chosen]
                where = f", ε from {min(reach):g} to {max(reach):g} Å" if chosen else ""
                parts.append(f"{what} in {len(chosen)} of {len(rows)} cells{where}")
            for what, pick in (("best", min), ("worst", max)) if rows else ():
                end = pick(rows, key=lambda row: row["ratio"])
                parts.append(f"{what} ×{end['ratio']:.2f} at ε = {end['epsilon']:g} Å and weight {end['pitc']:g}")
            yield f"{words}, {title}", "; ".join(parts)
    few = min((r["seeds"] for r in tables["epsilon-weight"]), default=0)
    yield (
        "helps, hurts",
        f"all of the ratio's interval is under, over 1; {few:g} seeds or more, a claim needs {CLAIM_SEEDS}",
    )


say("epsilon-weight", map_lines)

# %% [markdown]
# **Why the first order hurts.** Put the *exact* energy and forces into the first-order residual:
#
# $$E(\mathbf r+\boldsymbol\delta)-\Big[E(\mathbf r)-\sum_i\boldsymbol\delta_i\cdot\mathbf F_i(\mathbf r)\Big]=\tfrac12\,\boldsymbol\delta^{\mathsf T}\mathbf H\,\boldsymbol\delta+O(\delta^3)$$
#
# It is not zero. For almost every random $\boldsymbol\delta$ it is positive, with mean $\varepsilon^2\,\mathrm{tr}\,\mathbf H/6$
# (notebook 07; notebook 06 finds steps where it is negative). The loss punishes the right answer for its curvature. It
# becomes smaller if the model's surface is softer than the true one. The punishment grows as ε⁴ (the residual as ε², and it is
# squared) and with the weight, so small displacements are safe and large ones are not. The trapezoid of the second order takes
# the force at both ends; the curvature drops out, and what is left grows as ε⁶. It allows larger ε, not any ε. Notebook 06
# measures both remainders on the quantum method itself.
#
# ## Rivals
#
# The same network, the same 50 labels, and other ways to use them: displaced copies that keep their labels (half of
# NoisyNodes), labels extrapolated to displaced places (weak labels), denoising (DeNS), a direct penalty on the curl of the
# forces, gradient consistency, and the paper's own first order. All train for the same number of steps; the table of the
# filter below says what each cost.

# %%
show("rivals", lambda rows: lab.side_by_side(rows, ["energy_mae", "force_rmse"]))

# %% [markdown]
# **How conservative are the forces?** A direct head may have no energy behind it at all. Three measurements, all zero for
# exact forces: the *work around closed triangles* of 0.1 Å; the *antisymmetric share* of the Jacobian
# $\partial\mathbf F/\partial\mathbf r$; and the *drift* of the total energy when the molecule flies for 1 ps at constant energy.
# Note that a curl penalty is aimed at the second number itself.

# %%
show("rivals", lambda rows: lab.side_by_side(rows, ["loop_work", "antisymmetry", "drift"]))


# %%
def rival_lines():
    here = folder / "rivals"
    names = {r["method"]: r["title"] for r in tables["rivals"] if r["method"] != "supervised"}
    quantities = {"energy_mae": "energy", "force_rmse": "forces", "loop_work": "loop work", "drift": "drift"}
    known = {r["quantity"] for r in tables["rivals"]}
    for method, title in names.items():
        parts = []
        for quantity in [q for q in quantities if q in known]:
            for row in lab.duels(here, method, "supervised", quantity, "direct"):
                parts.append(f"{quantities[quantity]} ×{lab.effect_words(row)}, {row['shown']}")
        yield f"{title} against labels only", "; ".join(parts)


say("rivals", rival_lines)

# %% [markdown]
# ## Look for yourself
#
# Choose a study, what was trained and tested where, how many labels (*500/25* is 500 energies and 25 forces), and a
# quantity. The dots are means with their intervals; the table beneath has the numbers, the ratio to the rival and what it cost.
# "→" leads from the training data to the test frames: other temperatures, reaction paths and torsion scans are there too, where
# no method was meant to be good.

# %%
StudyFilter(tables)

# %% [markdown]
# ## Compute one cell anew
#
# Evidence that cannot be repeated is an anecdote. This takes the first run of the map above, labels only, from its file,
# and trains it in full on this machine, with the same code that made the study. It takes about 20 core seconds.

# %%
from dataclasses import replace

import torch

from piwsl_lab.study import run

bar = W.IntProgress(min=0, max=1, layout=W.Layout(width="100%"))
bar

# %%
ONLY = ["method=supervised", "seed=0"]  # a task below changes this line


def again(only):
    """Train one cell of the map, with a bar; its row, and the stored one where there is one."""
    cell = read(folder / "epsilon-weight.toml").select(only)[0]
    setup = replace(cell.setup, device="cpu")

    def on_step(record):
        if record.step % 50 == 0 or record.step == setup.steps:
            bar.max, bar.value = setup.steps, record.step

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the study did: another order of additions rounds otherwise
    try:
        fresh = run(setup, cell.objective, on_step)
    finally:
        torch.set_num_threads(threads)
    stored = [
        row
        for row in (lab.read_table(folder / "epsilon-weight" / "results.csv") if "epsilon-weight" in tables else [])
        if all(row[k] == v for k, v in {**cell.where, "method": cell.method, "seed": cell.seed}.items())
    ]
    return fresh, stored[0] if stored else None


if folder is not None:
    fresh, stored = again(ONLY)
    here = fresh["rows"][0]
    print(f"{fresh['steps']} steps on {fresh['counts']['train_frames']} frames, ", end="")
    print(f"tested on {fresh['counts']['test_frames']} others")
    for quantity, words in (("energy_mae", "energy error"), ("force_rmse", "force error")):
        if stored:
            map_rows = lab.read_table(folder / "epsilon-weight" / "results.csv")
            allowed = lab.seed_factor(map_rows, quantity)
            apart = max(here[quantity] / stored[quantity], stored[quantity] / here[quantity])
            print(f"{words}: two seeds of one setting lie within a factor of {allowed:.2f} of each other;", end=" ")
            print("this machine and the study", "do too" if apart < allowed else "DO NOT")
        else:
            print(f"{words}: the study's own row is not here yet")
else:
    print("the file of the study is not here")

# %% [markdown]
# The digits of your machine, beside those of the study. The same processor and the same library give the same digits, all
# of them. Another processor adds in another order, so that the last digit of a sum differs. Training makes that
# difference grow until the two runs are as far apart as two seeds may be. So the yardstick above is the study's own:
# how far apart its seeds lie, in 999 of 1000 pairs, over all places of the map. Most often it is only the width of the
# processor's registers that differs: with `ATEN_CPU_CAPABILITY=avx2` in the environment before Python starts, a
# processor with AVX-512 repeated the digits of this study.

# %%
digits = W.HTML()
digits

# %%
if folder is not None:
    lines = ["<tr><th>error</th><th>here</th><th>in the study</th><th>apart by a factor of</th></tr>"]
    for quantity, words in (("energy_mae", "energy, MAE, meV"), ("force_rmse", "forces, RMSE, meV/Å")):
        kept = f"{1000 * stored[quantity]:.6f}" if stored else "not yet"
        apart = f"{here[quantity] / stored[quantity]:.4f}" if stored else "–"
        cells = (words, f"{1000 * here[quantity]:.6f}", kept, apart)
        lines.append(f"<tr>{''.join(f'<td>{cell}&emsp;</td>' for cell in cells)}</tr>")
    digits.value = f"<table>{''.join(lines)}</table>{fresh['core_seconds']:.2g} core seconds of training"
print("see the table above" if folder is not None else "nothing was computed")

# %% [markdown]
# ## What is not shown
#
# * **Small molecules, one network.** A few molecules in vacuum and one small PaiNN. Crystals, charged or larger systems,
#   and large networks may answer otherwise.
# * **Few seeds.** Where the table at the top says that runs are missing, intervals are wide, or nothing is claimed. Of
#   twenty comparisons of equal methods one is called *shown* by luck alone: the intervals are not corrected for that.
# * **One setting a method.** PITC has the same ε and weight everywhere, and the rivals have one setting each. A rival that is
#   tuned as carefully may do better. The map is tuned on ethanol and shows ethanol.
# * **Errors are not simulations.** A low error on test frames does not promise a stable or a correct trajectory. Only
#   `rivals` flies at all, and for 1 ps.
# * **Not the published benchmark.** Other networks and other data than the paper's: this tests the idea, not their tables.
#
# ## Tasks
#
# 1. **A careless reader.** How many wins of PITC would you announce from bare means, without seeds and intervals? The cell
#    below counts them. Change `win` so that it obeys the rule of this notebook, and count again.
# 2. **Leave home.** In the filter choose `sparse-labels` and a test part that is not the training data's own (another
#    temperature, a scan). Does a method keep its lead there? Look at the size of the errors too.
# 3. **Repeat the harm.** Set `ONLY = ["method=pitc", "seed=0", "order=1", "epsilon=0.2", "pitc=100"]`, run that cell and those
#    after it again (it takes about twice as long), and compare the energy error with that of labels alone.


# %%
def win(duel):
    """Whether PITC wins: for you to change. A duel has "ratio", "ratio_low", "ratio_high" and "shown"."""
    return duel["ratio"] < 1


found = (
    lab.duels(folder / "sparse-labels", "pitc", "supervised", "force_rmse", "direct")
    if "sparse-labels" in tables
    else []
)
print(f"force error: {sum(map(win, found))} wins at {len(found)} places")

# %% [markdown]
# <details><summary><b>Solutions</b></summary>
#
# 1. `return duel["shown"] == "lower"`. It asks that the interval of the ratio leaves out 1, and for enough seeds. Asking that the
#    intervals of the two *means* are apart is stricter: what makes a seed hard for one makes it hard for the other, and that widens
#    both, but not the ratio. Whatever you choose, choose it before you look.
# 2. Compare ratio and size. At another temperature of the same molecule the errors mean something, and you can judge the
#    order of the methods. On paths where bonds break or form they are many times larger: a ratio near one there means that
#    no method knows anything of such geometries, and consistency cannot know what no label said.
# 3. The exact surface itself would be punished: ½ δᵀHδ at ε = 0.2 Å is far larger than the errors of a good model, so the energy
#    gets worse than from labels alone. Put `order=2` in its place and compare.
# </details>
#
# ## Quiz
#
# **1.** The interval of a ratio holds 1. Does that show that the two methods are equally good?
#
# <details><summary>Answer</summary>No. It shows that these seeds cannot tell them apart. More seeds shrink the interval, and may.</details>
#
# **2.** A step with PITC costs more than a step without, and the twin with PITC has the lower error after equally many steps.
# What else might explain it, and which run rules that out?
#
# <details><summary>Answer</summary>More computing: the network is evaluated at twice as many places. The same-time twin has at least as many core
# seconds and none of the physics; if the gain is still there, computing alone did not make it.</details>
#
# **3.** A conservative potential obeys $\mathbf F=-\nabla E$ everywhere by construction. Why can a direct head beside it
# still lower its force error?
#
# <details><summary>Answer</summary>Obeying the law does not make the energy right. The direct head is a second opinion about the forces, with errors of its
# own, at places without labels; agreeing with it averages the two.</details>
#
# ## Legend
#
# | word | meaning |
# |---|---|
# | study, cell, run | a grid of trainings; one place in it with one seed; that training, done |
# | own test part | frames of the same kind as the training data, never trained on |
# | ratio | error of a method divided by that of its rival, the geometric mean over the seeds; under 1 is better |
# | shown | the interval of the ratio leaves out 1, with enough seeds |
# | MAE, RMSE | mean absolute error; root of the mean square error, which large errors rule |
# | −∇E | forces as minus the gradient of the predicted energy |
#
# Paper: M. Takamoto, V. Zaverkin, M. Niepert, *Physics-Informed Weakly Supervised Learning for Interatomic Potentials*,
# ICML 2025, PMLR 267:58282, arXiv 2408.05215. Intervals: Student, *The Probable Error of a Mean*, Biometrika 6, 1 (1908).
