"""Memory that a step frees stays with the process, where the C library can be asked for that."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from piwsl_lab.support.memory import keep_memory

GLIBC = platform.libc_ver()[0] == "glibc"
FAULTS = """
import resource, sys
import torch
from piwsl_lab.support.memory import keep_memory
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare

if sys.argv[1] == "kept":
    keep_memory()
torch.set_num_threads(1)
setup = Setup(data="aspirin", head="conservative", steps=100, device="cpu")
trainer = build_trainer(setup, prepare(setup), Objective())
for step in range(12):
    if step == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    trainer.step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def fetched(contender: str) -> int:
    """Pages that the system hands out during six training steps."""
    command = [sys.executable, "-c", FAULTS, contender]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="no glibc")
def test_a_step_uses_the_memory_of_the_one_before():
    assert fetched("kept") < 0.35 * fetched("given")


def test_it_can_be_asked_for_anywhere():
    assert keep_memory() == GLIBC


PROGRAMS = {
    "the library": "from piwsl_lab.lab import Session; Session(setup)",
    "a session": "from piwsl_lab.lab import Session; Session(setup).run(1)",
    "the shell": "from piwsl_lab.cli.main import main; main(['datasets'])",
}


@pytest.mark.parametrize(("program", "asked"), list(zip(PROGRAMS, (0, 1, 1), strict=True)), ids=list(PROGRAMS))
def test_programs_ask_for_it_and_the_library_does_not(program, asked):
    setup = "from piwsl_lab.study import Setup; setup = Setup(channels=8, layers=1, steps=2, test=4, device='cpu')"
    count = "from piwsl_lab.support.memory import keep_memory; print(keep_memory.cache_info().currsize)"
    command = [sys.executable, "-c", "\n".join((setup, PROGRAMS[program], count))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == str(asked)
