"""Faster ways to number places, pairs and entries of matrices, against what numpy and scipy say slowly."""

from __future__ import annotations

import numpy as np
import pytest

from utils.geometry.face_graph import _sorted_with
from utils.geometry.graphs import distinct_pairs, numbered_pairs, symmetric
from utils.geometry.welding import weld


@pytest.mark.parametrize("count", (1, 2, 50, 3000))
def test_places_are_numbered_in_lexicographic_order(count):
    points = np.random.default_rng(count).integers(-3, 3, (count, 3)).astype(np.float64)
    points[::7] *= -0.0 if count == 50 else 1.0
    assert np.array_equal(weld(points), np.unique(points, axis=0, return_inverse=True)[1].reshape(-1))
    assert np.array_equal(weld(np.ones((count, 3))), np.zeros(count))


def test_pairs_are_told_apart_as_numpy_does():
    pairs = np.random.default_rng(0).integers(0, 40, (900, 2))
    assert np.array_equal(distinct_pairs(pairs, 40), np.unique(np.sort(pairs, axis=1), axis=0))
    each, number = numbered_pairs(pairs, 40)
    assert np.array_equal(each, distinct_pairs(pairs, 40)) and np.array_equal(each[number], np.sort(pairs, axis=1))
    assert distinct_pairs(pairs[:0], 40).shape == numbered_pairs(pairs[:0], 40)[0].shape == (0, 2)
    far = np.array([[70_000, 1], [1, 70_000], [2, 69_999]], dtype=np.int32)  # as one number too large for 32 bits
    assert distinct_pairs(far, 70_001).tolist() == [[1, 70_000], [2, 69_999]]


@pytest.mark.parametrize("repeated", (False, True))
def test_of_several_values_of_a_pair_the_first_counts(repeated):
    generator = np.random.default_rng(1)
    pairs = distinct_pairs(generator.integers(0, 30, (200, 2)), 30)
    pairs = np.concatenate([pairs[pairs[:, 0] != pairs[:, 1]], pairs[:20] if repeated else pairs[:0]])
    values, expected = generator.random(len(pairs)), np.zeros((30, 30))
    for (first, second), value in list(zip(pairs.tolist(), values.tolist()))[::-1]:
        expected[first, second] = expected[second, first] = value
    found = symmetric(pairs, values, 30)
    assert np.array_equal(found.toarray(), expected) and found.has_canonical_format


@pytest.mark.parametrize("owners", (500, 2**40))
def test_codes_are_sorted_with_their_owners(owners):
    generator = np.random.default_rng(2)
    code, owner = generator.integers(0, 1 << 30, 400) // (1 << 24), np.arange(400)
    order = np.argsort(code, kind="stable")
    found = _sorted_with(code * (1 << 20), owner, owners)
    assert np.array_equal(found[0], code[order] * (1 << 20)) and np.array_equal(found[1], owner[order])
