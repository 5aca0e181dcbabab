"""How docstrings read: short sentences everywhere, and one for every public name that computes or stores something.

Tables, formulas, code and lists of parameters are no sentences and are left out.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "piwsl_lab"
LONGEST = 30  # words of a sentence; the plan says 20, and few may have more
MEAN = 14.0
OVER_TWENTY = 0.08  # share of the sentences
DOCUMENTED = ("piwsl", "models", "md", "training", "study", "analysis", "atoms", "data")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for room in DOCUMENTED
    for path in sorted((PACKAGE / room).rglob("*.py"))
    if path.stem != "__init__"
]
LISTS = {"Parameters", "Attributes", "Returns", "Yields", "Raises", "Examples", "See Also", "References"}
ROW = re.compile(r"\s*(\||={3,}[ =]*$)")


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """A module, its public classes and functions, and the public methods of those classes."""
    yield "", tree

    def below(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, ast.AST]]:
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
                yield prefix + child.name, child
                if isinstance(child, ast.ClassDef):
                    yield from below(child, f"{prefix}{child.name}.")

    yield from below(tree, "")


def prose(docstring: str) -> list[str]:
    """The paragraphs of a docstring without lists of parameters, tables, formulas and code."""
    lines = docstring.splitlines()
    kept: list[str] = []
    in_list = in_table = False
    for line, following in zip(lines, [*lines, ""][1:], strict=True):
        if line.strip() and re.fullmatch(r"\s*-{3,}\s*", following):
            in_list = line.strip() in LISTS
        if ROW.match(line):
            in_table = line.startswith("=") and bool(following.strip())  # the last rule has nothing below it
            kept.append("")
        elif not in_list and not in_table and not line.startswith("    "):
            kept.append(line)
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n|\n(?=[*-] )", "\n".join(kept))]


def sentences(docstring: str) -> list[tuple[int, str]]:
    """Each sentence of the prose with its number of words; a piece of code is one word, a sign of a formula none."""
    found = []
    for paragraph in prose(docstring):
        text = re.sub(r"``.*?``|`[^`]*`", "Code", paragraph)
        for sentence in re.split(r"(?<=[.!?])[\"')]*\s+(?=[^\W\d_a-z]|\d|[\"(δε])", text):
            words = sum(bool(re.search(r"[^\W\d_]", word)) for word in sentence.split())
            if words:
                found.append((words, sentence))
    return found


def all_sentences() -> list[tuple[int, str, str]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for name, node in public(ast.parse(path.read_text("utf-8"))):
            where = f"{path.relative_to(PACKAGE)} {name}".strip()
            found += [(words, where, text) for words, text in sentences(ast.get_docstring(node) or "")]
    return found


def test_no_sentence_is_long():
    assert [found for found in all_sentences() if found[0] > LONGEST] == []


def test_most_sentences_are_short():
    lengths = [words for words, _, _ in all_sentences()]
    assert sum(lengths) / len(lengths) <= MEAN
    assert sum(words > 20 for words in lengths) / len(lengths) <= OVER_TWENTY


def has_docstring(owner: type, name: str) -> bool:
    """Whether a method, or the one of a base class of ours that it overrides, says what it does."""
    ours = (cls for cls in owner.__mro__ if cls.__module__.startswith("piwsl_lab"))
    return any(getattr(vars(cls)[name], "__doc__", None) for cls in ours if name in vars(cls))


def undocumented(module: object, name: str) -> list[str]:
    """Public classes, functions and methods of a module without a docstring."""
    found = []
    for what, thing in vars(module).items():
        if what[0] == "_" or getattr(thing, "__module__", None) != name:
            continue
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not vars(thing).get("__doc__", thing.__doc__):
            found.append(what)
        if inspect.isclass(thing):
            methods = [own for own, value in vars(thing).items() if own[0] != "_" and _is_method(value)]
            found += [f"{what}.{own}" for own in methods if not has_docstring(thing, own)]
    return found


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_says_what_it_is(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:  # a bridge to a library that is not installed
        pytest.skip(str(error))
    assert undocumented(module, name) == []


# What the answers of a model look like is said where it answers, also in a class that overrides a documented method.
TENSORS = """
models.painn PaiNN.features PaiNN.atom_energies PaiNN.atom_forces Message.forward Update.forward
models.vector_heads ForceHead.forward GatedBlock.forward Denoising.denoised
models.schnet SchNet.features SchNet.atom_energies SchNet.atom_forces Interaction.forward EdgeForce.forward
models.tensornet TensorNet.features TensorNet.atom_energies TensorNet.atom_forces Embedding.forward Interaction.forward
models.tensornet Mix.forward product normalised
models.radial BesselBasis.forward GaussianBasis.forward ExponentialBasis.forward envelope
md.noise Noise.next Noise.mark
md.snapshot wild
md.forces LearnedForces.too_close OracleForces.too_close
training.reach Batches.state Batches.restore
training.answer Answer.mean_after Answer.take Answer.state Answer.load
training.trainer Trainer.state Trainer.load
"""


@pytest.mark.parametrize("line", TENSORS.strip().splitlines())
def test_tensors_have_their_shapes(line):
    room, *names = line.split()
    tree = ast.parse((PACKAGE / f"{room.replace('.', '/')}.py").read_text("utf-8"))
    docstrings = {name: ast.get_docstring(node) or "" for name, node in public(tree)}
    assert [name for name in names if not re.search(r"\[\w+(, [^]]+)?\]", docstrings[name])] == []


RAISES = """
training.checkpoint save
training.drive fit
training.errors evaluate
md.simulation fly
study.task build_trainer
piwsl.schedules Schedule.read
piwsl.displacements covariance
piwsl.places centre_of
"""


@pytest.mark.parametrize("line", RAISES.strip().splitlines())
def test_errors_are_named(line):
    room, *names = line.split()
    tree = ast.parse((PACKAGE / f"{room.replace('.', '/')}.py").read_text("utf-8"))
    docstrings = {name: ast.get_docstring(node) or "" for name, node in public(tree)}
    assert [name for name in names if "Raises\n------" not in docstrings[name]] == []


def test_what_counts_as_a_sentence():
    text = """One two three: `a long piece of code` is one. A second, E = mc² + 1.

    | a table | of many | words |

        an indented formula of words

    ====  ====
    more  words
    ====  ====

    Last one.

    Parameters
    ----------
    many : words
        That do not count.
    """
    assert [words for words, _ in sentences(inspect.cleandoc(text))] == [6, 4, 2]


def test_a_method_without_a_docstring_is_found():
    source = "class A:\n    '''Is.'''\n    def f(self): ...\nclass B(A):\n    def f(self): ...\ndef g(): ..."
    module = type(ast)("piwsl_lab.a")
    exec(source, module.__dict__ | {"__name__": "piwsl_lab.a"}, module.__dict__)
    assert undocumented(module, "piwsl_lab.a") == ["A.f", "B", "B.f", "g"]
