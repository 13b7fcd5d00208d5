"""PointNet++ against the textbook: samples, groups, interpolation in plain loops, layers as drawn in the paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from models.points.pointnet2 import (
    Grouping,
    Level,
    Plan,
    PointNet2,
    PointNet2Config,
    Propagation,
    farthest_points,
    group_maximum,
    interpolate,
)
from utils.files import load_torch, save_torch

SMALL = PointNet2Config(
    inputs=3,
    outputs=5,
    centers=(24, 8),
    radii=((0.5, 0.9), (0.8, 1.6)),
    neighbors=((4, 7), (3, 6)),
    widths=((6, 7), (8, 10)),
    propagated=(9, 11),
)


def cloud(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (count, 3))).float()


def channels_of(count: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)), dim=1)


def network(config: PointNet2Config = SMALL, seed: int = 0) -> PointNet2:
    """Random weights; the normalisations have seen some rows, so that they do something in evaluation."""
    torch.manual_seed(seed)
    made = PointNet2(config).train()
    with torch.no_grad():
        for repeat in range(3):
            points = cloud(70, seed + repeat)
            made(points, channels_of(70, repeat), Plan.of(points, config))
    return made.eval()


# --- what depends on the positions alone ----------------------------------------------------------


def slow_farthest(points: np.ndarray, count: int) -> list[int]:
    middle = points.mean(axis=0)
    chosen = [max(range(len(points)), key=lambda i: math.dist(points[i], middle))]
    while len(chosen) < count:
        chosen.append(max(range(len(points)), key=lambda i: min(math.dist(points[i], points[c]) for c in chosen)))
    return chosen


def test_samples_are_the_farthest_points_of_plain_loops():
    points = cloud(80)
    assert farthest_points(points, 20).tolist() == slow_farthest(points.double().numpy(), 20)


def test_the_samples_of_every_level_are_those_of_the_whole_cloud():
    """Farthest-point samples are nested, on which `Plan.of` relies: a level takes the first of those before it."""
    points = cloud(90)
    plan = Plan.of(points, SMALL)
    first = plan.levels[0].centers
    assert first.tolist() == slow_farthest(points.double().numpy(), 24)
    assert first[plan.levels[1].centers].tolist() == slow_farthest(points.double().numpy(), 8)


def test_groups_hold_the_nearest_within_the_radius_and_repeat_the_first():
    points = cloud(90)
    plan, here = Plan.of(points, SMALL), points.double().numpy()
    filled = full = 0
    for level, radii, sizes in zip(plan.levels, SMALL.radii, SMALL.neighbors):
        for radius, size, group in zip(radii, sizes, level.groups):
            assert group.shape == (len(level.centers), size)
            for center, members in zip(level.centers.tolist(), group.tolist()):
                away = {i: math.dist(here[center], here[i]) for i in range(len(here))}
                expected = sorted((i for i in away if away[i] <= radius), key=away.get)[:size]
                filled, full = filled + (len(expected) < size), full + (len(expected) == size)
                assert members == expected + [center] * (size - len(expected))
        here = here[level.centers.numpy()]
    assert filled > 5 and full > 5


def test_points_interpolate_from_their_three_nearest_centres_by_inverse_distance():
    points = cloud(90)
    plan, here = Plan.of(points, SMALL), points.double().numpy()
    for level in plan.levels:
        centers = here[level.centers.numpy()]
        for i, (nearest, weights) in enumerate(zip(level.nearest.tolist(), level.weights.tolist())):
            away = [math.dist(here[i], center) for center in centers]
            assert nearest == sorted(range(len(centers)), key=away.__getitem__)[:3]
            inverse = [1 / (away[c] + 1e-6) for c in nearest]
            # A centre's distance to itself is 0 up to the rounding of float32.
            assert weights == pytest.approx(
                [w / sum(inverse) for w in inverse], abs=0.02 if away[nearest[0]] < 1e-6 else 1e-3
            )
        here = centers
    values = torch.randn(24, 4, generator=torch.Generator().manual_seed(1))
    level = plan.levels[0]
    slow = torch.stack(
        [
            sum(w * values[c] for c, w in zip(near.tolist(), weight))
            for near, weight in zip(level.nearest, level.weights)
        ]
    )
    assert torch.allclose(interpolate(values, level.nearest, level.weights), slow, atol=1e-6)


def test_a_plan_is_the_same_after_a_rotation():
    points = cloud(200)
    turned = points.double() @ torch.from_numpy(Rotation.random(random_state=3).as_matrix()).T
    for level, other in zip(Plan.of(points, SMALL).levels, Plan.of(turned, SMALL).levels):
        assert torch.equal(level.centers, other.centers) and torch.equal(level.nearest, other.nearest)
        assert all(torch.equal(a, b) for a, b in zip(level.groups, other.groups))
        assert torch.allclose(level.weights, other.weights, atol=0.02)


# --- the layers -----------------------------------------------------------------------------------


def textbook_grouping(
    layer: Grouping, points: Tensor, features: Tensor, level: Level, group: Tensor, radius: float
) -> Tensor:
    """Qi et al. 2017: gather, subtract the centre, concatenate, and apply the layers to every member of every group."""
    weight = torch.cat([layer.feature.weight, layer.offset.weight], dim=1)
    rows = torch.stack(
        [
            torch.cat([features[j], (points[j] - points[center]) / radius])
            for center, members in zip(level.centers.tolist(), group.tolist())
            for j in members
        ]
    )
    rows = torch.relu(layer.norm(rows @ weight.T))
    for linear, norm in zip(layer.rest.layers, layer.rest.norms):
        rows = torch.relu(norm(linear(rows)))
    return torch.stack([part.max(dim=0).values for part in rows.split(group.shape[1])])


def textbook_propagation(layer: Propagation, above: Tensor, own: Tensor, level: Level) -> Tensor:
    """Interpolate, concatenate with what the point has itself, and apply the layers."""
    carried = torch.stack(
        [
            sum(w * above[c] for c, w in zip(near.tolist(), weight.to(above.dtype)))
            for near, weight in zip(level.nearest, level.weights)
        ]
    )
    rows = torch.cat([carried, own], dim=1) @ torch.cat([layer.above.weight, layer.own.weight], dim=1).T
    rows = torch.relu(layer.norm(rows))
    for linear, norm in zip(layer.rest.layers, layer.rest.norms):
        rows = torch.relu(norm(linear(rows)))
    return rows


def textbook(made: PointNet2, points: Tensor, channels: Tensor, plan: Plan) -> Tensor:
    positions, features = [points], [channels]
    for level, scales, radii in zip(plan.levels, made.abstraction, made.config.radii):
        features.append(
            torch.cat(
                [
                    textbook_grouping(scale, positions[-1], features[-1], level, group, radius)
                    for scale, group, radius in zip(scales, level.groups, radii)
                ],
                dim=1,
            )
        )
        positions.append(positions[-1][level.centers])
    rows = torch.cat([features[-1], positions[-1]], dim=1)
    for linear, norm in zip(made.overall.layers, made.overall.norms):
        rows = torch.relu(norm(linear(rows)))
    carried = torch.cat([features[-1], rows.max(dim=0).values.expand(len(rows), -1)], dim=1)
    features[0] = torch.cat([channels, points], dim=1)
    for level, own, layer in zip(reversed(plan.levels), reversed(features[:-1]), made.propagation):
        carried = textbook_propagation(layer, carried, own, level)
    return made.head(carried)


@pytest.mark.parametrize("training", [False, True])
def test_the_network_and_its_gradients_are_those_of_the_textbook(training):
    """`Grouping` and `Propagation` apply their first layer before they gather; the textbook concatenates first."""
    made, points, channels = network().double().train(training), cloud(60, 7).double(), channels_of(60, 7).double()
    plan = Plan.of(points, SMALL)
    weight = torch.randn(60, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    results = []
    for forward in (lambda: made(points, channels, plan), lambda: textbook(made, points, channels, plan)):
        made.zero_grad()
        output = forward()
        (output * weight).sum().backward()
        results.append((output.detach().double(), [parameter.grad.clone() for parameter in made.parameters()]))
    (output, gradients), (expected, expected_gradients) = results
    assert output.shape == (60, 5) and torch.allclose(output, expected, atol=1e-5)
    assert any(gradient.abs().max() > 1e-2 for gradient in gradients)
    for gradient, other in zip(gradients, expected_gradients):
        assert torch.allclose(gradient, other, atol=1e-6 * max(1.0, float(other.abs().max())))


def test_the_maximum_over_groups_and_its_gradient_are_those_of_amax():
    rows = torch.randn(6 * 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad((group_maximum(rows, 4) * weight).sum(), rows)
    (expected,) = torch.autograd.grad((rows.view(6, 4, 5).amax(dim=1) * weight).sum(), rows)
    assert torch.equal(group_maximum(rows, 4), rows.view(6, 4, 5).amax(dim=1)) and torch.equal(found, expected)


# --- the whole ------------------------------------------------------------------------------------


def test_the_order_of_the_points_does_not_matter():
    made, points, channels = network(), cloud(120), channels_of(120)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(4))
    straight = made(points, channels, Plan.of(points, SMALL))
    mixed = made(points[order], channels[order], Plan.of(points[order], SMALL))
    assert torch.allclose(mixed, straight[order], atol=1e-3) and straight.std() > 0.05


@pytest.mark.parametrize("squeeze", [lambda plan: plan, Plan.compact])
def test_clouds_laid_one_after_the_other_are_answered_as_each_alone(squeeze):
    made, clouds, channels = (
        network(),
        [cloud(70, seed) for seed in range(3)],
        [channels_of(70, seed) for seed in range(3)],
    )
    plans = [squeeze(Plan.of(points, SMALL)) for points in clouds]
    together = made(torch.cat(clouds), torch.cat(channels), Plan.joined(plans, [70] * 3), clouds=3)
    for answer, points, channel in zip(together.split(70), clouds, channels):
        alone = made(points, channel, Plan.of(points, SMALL))
        assert torch.allclose(answer, alone, atol=1e-5 if squeeze is not Plan.compact else 2e-2)  # weights in float16


@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_clouds_of_any_size_are_embedded(count):
    made, points = network(), cloud(count)
    output = made(points, channels_of(count), Plan.of(points, SMALL))
    assert output.shape == (count, 5) and bool(output.isfinite().all())


def test_points_in_the_same_place_are_survived():
    points = torch.zeros(40, 3)
    output = network()(points, channels_of(40), Plan.of(points, SMALL))
    assert bool(output.isfinite().all())


def test_a_configuration_survives_the_trip_through_a_file(tmp_path):
    made = network()
    save_torch(tmp_path / "n.pt", {"config": SMALL.to_dict(), "network": made.state_dict()})
    held = load_torch(tmp_path / "n.pt")
    config = PointNet2Config.from_dict(held["config"])
    again = PointNet2(config).eval()
    again.load_state_dict(held["network"])
    points, channels = cloud(50), channels_of(50)
    assert config == SMALL and hash(config) == hash(SMALL)
    assert torch.equal(again(points, channels, Plan.of(points, config)), made(points, channels, Plan.of(points, SMALL)))
