"""Flat pieces of surface are answered whole, unless that goes against what is sure or clicked."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from models.prior.fine_faces import FineFaces, fine_faces
from models.prior.flat import BENT, FLAT, FlatPieces
from utils.geometry.mesh import Mesh

NONE = np.array([], dtype=np.int64)


@pytest.fixture(scope="module")
def boxes(two_boxes) -> FineFaces:
    return fine_faces(two_boxes, 200)


@pytest.fixture(scope="module")
def flat(boxes) -> FlatPieces:
    return FlatPieces.of(boxes)


def test_the_flat_pieces_of_boxes_are_their_sides(boxes, flat):
    side = np.abs(boxes.normal).argmax(axis=1) * 4 + (boxes.normal.sum(axis=1) > 0) * 2 + (boxes.parent >= 192)
    assert flat.count == len(np.unique(side)) == 12 and np.array_equal(flat.face, np.arange(len(boxes)))
    assert len(np.unique(np.stack([flat.piece, side]), axis=1).T) == 12, "one side each"
    assert np.array_equal(flat.area, boxes.area)


def test_nothing_round_is_flat_and_nothing_that_turns_little_by_little():
    ball = trimesh.creation.icosphere(subdivisions=3)
    assert FlatPieces.of(fine_faces(Mesh(ball.vertices, ball.faces), 100)).count == 0
    turns = np.linspace(0, np.pi / 4, 200)  # a strip that turns by a quarter of a degree from quad to quad
    rim = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    vertices = np.concatenate([np.column_stack([rim, np.full(200, z)]) for z in (0.0, 0.02)])
    first = np.arange(199)
    faces = np.concatenate(
        [np.stack([first, first + 1, first + 201], 1), np.stack([first, first + 201, first + 200], 1)]
    )
    strip = fine_faces(Mesh(vertices, faces), 100)
    assert (np.abs(strip.turn) < FLAT).all() and turns[-1] > 2 * BENT, "else the test says nothing"
    assert FlatPieces.of(strip).count == 0


def slow(flat: FlatPieces, values: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    result = values.copy()
    for piece in range(flat.count):
        faces, area = flat.face[flat.piece == piece], flat.area[flat.piece == piece]
        mean = float(np.average(values[faces], weights=area))
        yes, no = np.isin(faces, included).any(), np.isin(faces, excluded).any()
        surely = [area[sure].sum() / area.sum() for sure in (values[faces] > 0.8, values[faces] < 0.2)]
        if yes and len(included) == 1 and not len(excluded):
            mean = max(mean, 0.51)
        if min(surely) <= 0.1 and not (yes and mean < 0.5) and not (no and mean > 0.5):
            result[faces] = mean
    return result


def test_a_piece_is_whole_unless_it_is_surely_divided_or_a_click_says_otherwise(boxes, flat):
    rng = np.random.default_rng(0)
    low, high = rng.uniform(0, 1, (2, flat.count))
    values = np.where(rng.random(len(boxes)) < 0.5, low[flat.piece], high[flat.piece])
    clicks = rng.permutation(len(boxes))
    left = 0
    for included, excluded in ((NONE, NONE), (clicks[:1], NONE), (clicks[:3], clicks[3:5]), (clicks[:1], clicks[1:9])):
        found = flat.whole(values, included, excluded)
        assert np.allclose(found, slow(flat, values, included, excluded))
        left += int((np.array([np.ptp(found[flat.piece == piece]) for piece in range(flat.count)]) > 0).sum())
    assert 4 < left < 4 * flat.count - 4, "some were divided and some were not"


def test_a_single_click_takes_its_piece_and_a_later_one_does_not(flat):
    values, clicked = np.full(len(flat.face), 0.3), flat.face[:1]
    own = flat.piece == flat.piece[0]
    assert np.array_equal(flat.whole(values, clicked, NONE) > 0.5, own)
    assert np.allclose(flat.whole(values, clicked, flat.face[~own][:1]), values)
