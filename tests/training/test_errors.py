"""Errors against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from frames import dataset, frame, labelled

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import Prediction, build
from piwsl_lab.training.errors import evaluate


def test_errors_by_hand():
    frames = [
        frame([8, 1], [[0, 0, 0], [1, 0, 0]], energy=1.0, forces=np.array([[1.0, 0, 0], [-1.0, 0, 0]])),
        frame([8], [[0, 0, 0]], energy=-2.0, forces=np.array([[0.0, 0, 3.0]])),
        frame([8], [[0, 0, 0]], energy=5.0),
    ]
    graphs = GraphSet.build(dataset(*frames), 3.0, dtype=torch.float64)

    def wrong(graph, forces=True):
        f = torch.tensor([[-1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [9.0, 9, 9]], dtype=torch.float64)
        return Prediction(torch.tensor([2.0, -2.0, 2.0], dtype=torch.float64), f)

    m = evaluate(wrong, graphs)
    assert m.energy_mae == pytest.approx((1 + 0 + 3) / 3)
    assert m.energy_rmse == pytest.approx(math.sqrt(10 / 3))
    assert m.energy_mae_per_atom == pytest.approx((0.5 + 0 + 3) / 3)
    assert m.force_mae == pytest.approx((2 + 1 + 1 + 2) / 9)
    assert m.force_rmse == pytest.approx(math.sqrt((4 + 1 + 1 + 4) / 9))
    assert m.force_cosine == pytest.approx((-1 + 0 + 1) / 3)  # against the force, across it, along it


def test_no_label_is_not_a_number_and_not_zero():
    data = labelled("H2O", 3).budget(3, 0)
    m = evaluate(build("painn", channels=8, layers=1).calibrate(data), data)
    assert math.isnan(m.force_mae)
    assert math.isnan(m.force_cosine)
    assert m.energy_mae > 0


@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_batch_size_does_not_matter(head):
    data = labelled("CH3CH2OH", 7)
    potential = build("painn", channels=8, layers=1, head=head).calibrate(data).double()
    one, all_ = evaluate(potential, data, batch_size=1), evaluate(potential, data, batch_size=64)
    assert one.energy_rmse == pytest.approx(all_.energy_rmse)
    assert one.force_rmse == pytest.approx(all_.force_rmse)
