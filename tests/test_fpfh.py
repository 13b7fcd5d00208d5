import math
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from models.iseg3d.fpfh import fpfh
from utils.errors import UserError


def bumpy_sphere(count, seed=0):
    """Points of a dented sphere and normals that are not quite the surface's, so that no two angles are alike."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    points = directions * (1 + 0.2 * np.sin(3 * directions[:, :1]))
    normals = directions + 0.3 * rng.normal(size=(count, 3))
    return points, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def slow_pair(p, n_p, q, n_q):
    """theta, alpha, phi of one pair, after the definition in the paper."""
    line = (q - p) / math.dist(p, q)
    if math.acos(abs(n_p @ line)) > math.acos(abs(n_q @ line)):
        n_p, n_q, line = n_q, n_p, -line
    v = np.cross(line, n_p)
    v /= math.sqrt(v @ v)
    w = np.cross(n_p, v)
    return math.atan2(w @ n_q, n_p @ n_q), v @ n_q, n_p @ line


def slow_fpfh(points, normals, radius):
    count = len(points)
    neighbours = [
        [j for j in range(count) if j != i and math.dist(points[i], points[j]) <= radius] for i in range(count)
    ]
    spfh = [[0.0] * 33 for _ in range(count)]
    for i in range(count):
        for j in neighbours[i]:
            theta, alpha, phi = slow_pair(points[i], normals[i], points[j], normals[j])
            for block, share in enumerate([(theta + math.pi) / (2 * math.pi), (alpha + 1) / 2, (phi + 1) / 2]):
                spfh[i][11 * block + min(10, int(share * 11))] += 100 / len(neighbours[i])
    result = np.zeros((count, 33))
    for i in range(count):
        for j in neighbours[i]:
            result[i] += np.array(spfh[j]) / math.dist(points[i], points[j])
        for block in range(3):
            part = result[i, 11 * block : 11 * block + 11]
            part *= 100 / part.sum() if part.sum() else 0
    return result


def test_every_histogram_is_that_of_the_definition_in_plain_loops():
    points, normals = bumpy_sphere(90)
    result = fpfh(points, normals, 0.6)
    assert result.shape == (90, 33) and result.dtype == np.float64
    np.testing.assert_allclose(result, slow_fpfh(points, normals, 0.6), atol=1e-9)


def test_pairs_beyond_one_block_are_counted_too():
    points, normals = bumpy_sphere(120)
    np.testing.assert_array_equal(fpfh(points, normals, 0.8, block=37), fpfh(points, normals, 0.8))


def test_moving_turning_and_scaling_the_shape_changes_nothing():
    points, normals = bumpy_sphere(400)
    turn = Rotation.random(random_state=3).as_matrix()
    moved = fpfh(7.5 * points @ turn.T + [10, -20, 5], normals @ turn.T, 7.5 * 0.4)
    np.testing.assert_allclose(moved, fpfh(points, normals, 0.4), atol=1e-9)


@pytest.mark.parametrize("underside", [-1.0, 1.0])
def test_turning_a_plate_of_two_layers_changes_nothing(underside):
    """Where cosines are equal and normals opposite, rounding alone would choose the source and the sign of pi."""
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(6), [0.0, 0.3], indexing="ij"), axis=-1).reshape(-1, 3)
    lean = np.where(grid[:, 1:2] % 2, 0.5, -0.5)
    normals = np.where(grid[:, 2:] > 0, 1.0, underside) * [0, 0, 1] + lean * [1, 0, 0]
    turn = Rotation.random(random_state=5).as_matrix()
    np.testing.assert_allclose(fpfh(grid @ turn.T, normals @ turn.T, 2.6), fpfh(grid, normals, 2.6), atol=1e-9)


def test_the_order_of_the_points_and_the_length_of_the_normals_do_not_matter():
    points, normals = bumpy_sphere(150)
    order = np.random.default_rng(1).permutation(150)
    lengths = np.linspace(0.1, 30, 150)[:, None]
    np.testing.assert_allclose(
        fpfh(points[order], (normals * lengths)[order], 0.5), fpfh(points, normals, 0.5)[order], atol=1e-9
    )


def test_a_plane_fills_the_middle_bins_and_an_edge_does_not():
    grid = np.stack(np.meshgrid(np.arange(8), np.arange(8), [0], indexing="ij"), axis=-1).reshape(-1, 3).astype(float)
    flat = fpfh(grid, np.tile([0, 0, 2.0], (64, 1)), 2.0)
    assert np.flatnonzero(flat.sum(axis=0)).tolist() == [5, 16, 27]
    np.testing.assert_allclose(flat[:, [5, 16, 27]], 100)
    folded = np.concatenate([grid, grid[:, [2, 1, 0]] - [0, 0, 1]])  # a second plane at a right angle
    normals = np.repeat([[0, 0, 1.0], [1, 0, 0]], 64, axis=0)
    result = fpfh(folded, normals, 2.0)
    distance = np.abs(folded).max(axis=1, where=[True, False, True], initial=0)
    assert (result[distance == 0][:, [5, 16, 27]] < 99).any(axis=1).all()
    np.testing.assert_allclose(result[distance > 5][:, [5, 16, 27]], 100)


def test_each_of_the_three_histograms_sums_to_100():
    points, normals = bumpy_sphere(300)
    np.testing.assert_allclose(fpfh(points, normals, 0.5).reshape(-1, 3, 11).sum(axis=2), 100)


def test_isolated_and_coincident_points_give_numbers():
    points, normals = bumpy_sphere(60)
    alone = np.concatenate([points, [[50.0, 0, 0]]]), np.concatenate([normals, [[0, 0, 1.0]]])
    result = fpfh(*alone, 0.7)
    assert not result[60].any()
    np.testing.assert_allclose(result[:60], fpfh(points, normals, 0.7), atol=1e-9)

    twice = fpfh(np.concatenate([points, points]), np.concatenate([normals, normals]), 0.7)
    np.testing.assert_allclose(twice, np.tile(fpfh(points, normals, 0.7), (2, 1)), atol=1e-9)
    assert not fpfh(np.zeros((5, 3)), np.tile([0, 0, 1.0], (5, 1)), 1.0).any()
    assert not fpfh([[1.0, 2, 3]], [[0, 0, 1.0]], 1.0).any()


def test_pairs_without_a_frame_add_nothing():
    stacked = np.array([[0, 0, 0], [0, 0, 0.5]])
    assert not fpfh(stacked, [[0, 0, 1.0], [0, 0, 1]], 1.0).any()
    assert not fpfh([[0, 0, 0], [0.5, 0, 0.1]], [[0, 0, 1.0], [0, 0, 0]], 1.0).any()


@pytest.mark.parametrize(
    "points, normals, radius, message",
    [
        (np.zeros((4, 2)), np.zeros((4, 2)), 1, r"points must be an array \(N, 3\) with N > 0, not \(4, 2\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), 1, "N > 0"),
        (np.zeros((4, 3)), np.zeros((5, 3)), 1, r"4 points need normals of shape \(4, 3\), not \(5, 3\)"),
        (np.full((4, 3), np.nan), np.zeros((4, 3)), 1, "NaN or infinite"),
        (np.zeros((4, 3)), np.zeros((4, 3)), 0, "radius must be a positive number, not 0"),
        (np.zeros((4, 3)), np.zeros((4, 3)), np.inf, "radius must be a positive number, not inf"),
    ],
)
def test_wrong_input_is_named(points, normals, radius, message):
    with pytest.raises(UserError, match=message):
        fpfh(points, normals, radius)


def test_a_cloud_of_4096_points_takes_under_two_seconds_of_one_core():
    points, normals = bumpy_sphere(4096)
    started = time.process_time()
    result = fpfh(points, normals, 0.3)
    assert time.process_time() - started < 2
    assert np.isfinite(result).all()
