"""Borders on large meshes: drawn on grains and then on the faces along them, as on all faces at once."""

from __future__ import annotations

import numpy as np
import pytest

from models.prior.borders import Borders
from models.prior.grains import Grains
from models.prior.nodes import Patches, cut
from models.scale import of_size
from tests.test_golden import MESHES
from utils.geometry.mesh import Mesh


@pytest.fixture(scope="module")
def patches() -> Patches:
    return cut(Mesh(*of_size(MESHES / "hammer.obj", 60_000)), nodes=300)


@pytest.fixture(scope="module")
def both(patches) -> tuple[Borders, Borders]:
    return Borders(patches, most=10**9), Borders(patches, most=0)


def test_grains_are_a_partition_of_the_faces_that_stops_at_creases(patches):
    grains, fine = Grains.of(patches, 3000), patches.fine
    assert np.array_equal(np.unique(grains.of_face), np.arange(len(grains.elements.area)))
    assert np.isclose(grains.elements.area.sum(), fine.area.sum()) and (np.bincount(grains.of_face) < 200).all()
    crossing = grains.of_face[fine.pairs[:, 0]] != grains.of_face[fine.pairs[:, 1]]
    assert crossing[fine.turn > 0.6].mean() > 0.85 > 2 * crossing[np.abs(fine.turn) < 0.05].mean()


def test_borders_on_grains_are_those_on_faces(patches, both):
    exact, fast = both
    assert exact.grains is None and fast.grains is not None
    area = patches.fine.area
    for axis, level in ((0, 0.1), (1, -0.2), (2, 0.0)):
        logits = 12 * (patches.graph.position[None, :, axis] - level)
        chosen = np.array([int(patches.fine.centroid[:, axis].argmax())])
        nothing = np.array([], dtype=np.int64)
        first, second = (borders.drawn(logits, chosen, nothing)[0] > 0.5 for borders in both)
        assert area[first & second].sum() > 0.99 * area[first | second].sum()
        values = (logits[0] > 0).astype(np.float64)
        first, second = (borders.spread(values, 0.5) > 0.5 for borders in both)
        assert area[first & second].sum() > 0.99 * area[first | second].sum()


def test_clicks_are_obeyed_on_grains_too(patches, both):
    logits = 12 * patches.graph.position[None, :, 0]
    included = np.array([int(patches.fine.centroid[:, 0].argmin())])
    excluded = np.array([int(patches.fine.centroid[:, 0].argmax())])
    row = both[1].drawn(logits, included, excluded)[0]
    assert row[included] > 0.5 > row[excluded]
    everywhere = both[1].drawn(np.full_like(logits, 4.0), included, np.array([], dtype=np.int64))[0]
    assert (everywhere > 0.5).all()
