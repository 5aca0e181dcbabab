"""Weights of MACE and the like: 0 means that a frame has no such label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from piwsl_lab.data.frames.isolated import says_isolated
from piwsl_lab.data.frames.keys import label_kind, plain_key

WEIGHT = re.compile(r"^(?:config|configuration|sample|frame|loss)?(energy|energies|e|forces?|f|)weights?$")
KINDS = {"e": ("energy",), "f": ("forces",), "": ("energy", "forces")}
OTHER = re.compile(r"weights?$")
NO_LOSS = re.compile(r"molecul|atomic|mass|formula")


def without_weight(atoms: Atoms, labels: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Labels of a frame without those whose weight is 0, and remarks on weights.

    Isolated atoms keep their energy: programs take it as a reference whatever its weight is.
    """
    left = dict(labels)
    said = []
    for key, value in atoms.info.items():
        name = plain_key(key) if isinstance(key, str) else ""
        if not OTHER.search(name) or NO_LOSS.search(name) or not _is_number(value):
            continue
        weight, match = float(np.reshape(value, ())), WEIGHT.match(name)
        if weight == 0.0 and match is not None:
            kinds = KINDS[match[1][:1]]
            if len(atoms) == 1 and says_isolated(atoms.info):
                kinds = ("forces",)
            dropped = [label for label in left if label_kind(label) in kinds]
            for label in dropped:
                del left[label]
            if dropped:
                said.append(f"'{key}' is 0, so that {', '.join(sorted(dropped))} was not taken")
        elif weight != 1.0:
            said.append(f"weight '{key}' is not 1 and was passed over: all frames weigh the same")
    return left, said


def _is_number(value: Any) -> bool:
    return np.size(value) == 1 and np.asarray(value).dtype.kind in "biuf"
