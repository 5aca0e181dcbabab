"""Trainings that are stopped at any moment by any signal, again and again, end with the numbers of undisturbed ones."""

from __future__ import annotations

import random
import time

import pytest
from commands import ANEW, CODES, SIGNALS, SMALL, finish, kept_in, numbers, same_weights, start, table_of, write_small

MOMENTS = 20
COMMANDS = {
    "train": f"train {SMALL} --forces 4 --teachers 1 --steps 60 --save a.safetensors --json a.json".split(),
    "compare": f"compare {SMALL} --seeds 2 --steps 20 --json a.json".split(),
}


@pytest.fixture(scope="module", params=COMMANDS)
def undisturbed(request, tmp_path_factory):
    """A command, its folder after it has run, its table and how long it took."""
    folder = tmp_path_factory.mktemp(request.param)
    write_small(folder)
    begun = time.monotonic()
    code, out, error = finish(start(folder, *COMMANDS[request.param]))
    assert code == 0, error
    return COMMANDS[request.param], folder, out, time.monotonic() - begun


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_any_moment(moment, undisturbed, tmp_path):
    words, whole, printed, seconds = undisturbed
    write_small(tmp_path)
    chance = random.Random(f"{words[0]} {moment}")
    for _ in range(10):
        name = chance.choice(sorted(SIGNALS))
        process = start(tmp_path, *words, *(["--resume"] if chance.random() < 0.9 else []))
        time.sleep(chance.uniform(0.0, 1.1 * seconds))
        process.send_signal(SIGNALS[name])
        code, out, error = finish(process)
        # Before Python has begun to listen, a signal ends it as the system does.
        assert code in (0, CODES[name], -SIGNALS[name]), error
        if code == 0 or chance.random() < 0.5:
            break
    if code:
        kept = kept_in(tmp_path)
        code, out, error = finish(start(tmp_path, *words, "--resume"))
        assert code == 0, error
        assert not kept or ANEW not in error
    assert table_of(out) == table_of(printed)
    if words[0] == "train":
        assert same_weights(tmp_path / "a.safetensors", whole / "a.safetensors")
    assert numbers(tmp_path, "a.json") == numbers(whole, "a.json")
