"""iSeg3D: the paper's equations and algorithms in plain loops, and what the segmenter promises on any mesh."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from models.iseg3d.annotation import AnnotationSettings, Annotator
from models.iseg3d.losses import EmbeddingLoss, fine_tuning_energy
from models.iseg3d.online import FineTuning
from models.iseg3d.query import along_surface
from models.iseg3d.segmenter import EmbeddingSegmenter, Iseg3dSegmenter
from models.iseg3d.simulation import greedy_by_asking, greedy_clicks, score_negative, score_positive
from models.points.carry import Carrier
from models.points.clouds import LEAST_POINTS, face_components, sample_cloud
from models.points.embedding import Embedder
from models.points.pointnet2 import PointNet2, PointNet2Config
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import save_torch
from utils.geometry.mesh import Mesh
from utils.selection import iou
from utils.shapes.samples import load_sample

MESHES = Path(__file__).resolve().parents[1] / "meshes"
POINTS = 400
CONFIG = PointNet2Config(
    outputs=8,
    centers=(64, 16),
    radii=((0.3, 0.6), (0.6, 1.2)),
    neighbors=((8, 8), (8, 8)),
    widths=((16, 16), (16, 24)),
    propagated=(16, 24),
)


def save_weights(path, kind: str = "embedding", config: PointNet2Config = CONFIG, seed: int = 0):
    """An untrained network in the format of `iseg3d.py --mode train`; its distances are of the printed radius' size."""
    torch.manual_seed(seed)
    network = PointNet2(config)
    torch.nn.init.normal_(network.head[-1].weight, std=1.0)
    save_torch(
        path,
        {
            "network": {
                name: value.half() if value.is_floating_point() else value
                for name, value in network.state_dict().items()
            },
            "config": config.to_dict(),
            "settings": {"kind": kind},
        },
    )
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("iseg3d") / "iseg3d.pt")


@pytest.fixture
def segmenter(two_boxes, weights) -> Iseg3dSegmenter:
    return Iseg3dSegmenter(two_boxes, weights, points=POINTS)


def scattered(count: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points in a cube, and an embedding that varies with the place: selections are pieces of different sizes."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    embedding = np.stack([np.sin(2 * points @ rng.normal(size=3)) for _ in range(4)], axis=1) + rng.normal(
        0, 0.1, (count, 4)
    )
    return points, (0.5 * embedding).astype(np.float32)


# --- losses ---------------------------------------------------------------------------------------


def slow_loss(z: np.ndarray, labels: list[int]) -> tuple[float, float, float]:
    """Eq. 1-4 as printed."""
    count, sizes = max(labels) + 1, [labels.count(i) for i in range(max(labels) + 1)]
    center = [sum(z[j] for j in range(len(z)) if labels[j] == i) / sizes[i] for i in range(count)]
    intra = (
        sum(
            sum(max(math.dist(z[j], center[i]) - 0.25, 0) for j in range(len(z)) if labels[j] == i) / sizes[i]
            for i in range(count)
        )
        / count
    )
    inter = 0.0
    for i in range(count):
        for j in range(count):
            if i != j:
                inter += max(0.75 - math.dist(center[i], center[j]), 0) / (count * (count - 1))
    return intra, inter, sum(math.hypot(*row) for row in z) / len(z)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_loss_is_that_of_the_printed_equations(count):
    rng = np.random.default_rng(count)
    labels = np.concatenate([np.arange(count), rng.integers(count, size=40)])
    z = rng.normal(0, 0.3, (len(labels), 4)) + 0.2 * labels[:, None]
    total, terms = EmbeddingLoss()(torch.from_numpy(z), torch.from_numpy(labels))
    intra, inter, norm = slow_loss(z, labels.tolist())
    assert [terms["intra"], terms["inter"], terms["norm"]] == pytest.approx([intra, inter, norm], abs=1e-5)
    assert (
        float(total) == pytest.approx(intra + inter + 1e-4 * norm, abs=1e-5) and (count == 1 or inter > 0) and intra > 0
    )


def test_the_gradient_of_the_loss_is_that_of_small_steps():
    rng = np.random.default_rng(2)
    labels = torch.from_numpy(np.concatenate([np.arange(3), rng.integers(3, size=12)]))
    z = torch.from_numpy(rng.normal(0, 0.4, (15, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: EmbeddingLoss()(z, labels)[0], z)
    clicks = torch.from_numpy(rng.normal(0, 0.2, (5, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: fine_tuning_energy(z[:2], z[2:]), clicks)


def test_the_loss_has_a_gradient_where_points_lie_on_their_centre():
    z = torch.zeros(6, 3, requires_grad=True)
    EmbeddingLoss()(z, torch.tensor([0, 0, 0, 1, 1, 1]))[0].backward()
    assert bool(z.grad.isfinite().all())


def test_the_energy_of_fine_tuning_is_that_of_the_printed_equations():
    rng = np.random.default_rng(5)
    positives, negatives = rng.normal(0, 0.4, (4, 3)), rng.normal(0, 0.4, (6, 3))
    slow = sum(max(0.75 - min(math.dist(n, p) for p in positives), 0) for n in negatives) / len(negatives)  # Eq. 9-10
    assert (
        float(fine_tuning_energy(torch.from_numpy(positives), torch.from_numpy(negatives)))
        == pytest.approx(slow, abs=1e-6)
        and slow > 0
    )
    assert float(fine_tuning_energy(torch.zeros(1, 3), torch.ones(2, 3))) == 0


# --- annotation -----------------------------------------------------------------------------------


def slow_within(z: np.ndarray, positives: list[int], negatives: list[int], radius: float) -> list[bool]:
    """Eq. 6-8 as printed."""

    def radius_of(t: int) -> float:
        return min([radius, *(math.dist(z[t], z[i]) for i in negatives)])

    return [any(math.dist(z[i], z[t]) < radius_of(t) for t in positives) for i in range(len(z))]


@pytest.mark.parametrize("positives", [[3], [3, 40, 77]])
@pytest.mark.parametrize("ranks", [[], [60], [9, 2], [4, 100]])
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.6])
def test_a_point_is_selected_by_the_printed_equations(positives, ranks, factor):
    """Negative clicks are the so many nearest of a positive one: some shorten its radius, some are beyond."""
    points, z = scattered()
    negatives = np.argsort(np.linalg.norm(z - z[3], axis=1))[ranks].tolist()
    found = Annotator(points, z).within(np.array(positives), np.array(negatives, dtype=np.int64), factor)
    assert found.tolist() == slow_within(z.astype(float), positives, negatives, factor * 0.35)
    assert 0 < found.sum() < len(z)


def neighbours(points: np.ndarray, index: int, count: int) -> list[int]:
    others = sorted((i for i in range(len(points)) if i != index), key=lambda i: math.dist(points[i], points[index]))
    return others[:count]


def slow_outlier_removal(points: np.ndarray, selected: list[bool], positives: list[int], degree: int) -> list[bool]:
    """Algorithm 1 as printed; paths by breadth-first search."""
    edges: dict[int, set[int]] = {i: set() for i in range(len(points))}
    for i in range(len(points)):
        for j in neighbours(points, i, degree):
            if selected[i] and selected[j]:
                edges[i].add(j)
                edges[j].add(i)
    reached, waiting = set(), [p for p in positives if selected[p]]
    while waiting:
        here = waiting.pop(0)
        if here not in reached:
            reached.add(here)
            waiting += edges[here]
    return [i in reached for i in range(len(points))]


def slow_smoothing(points: np.ndarray, selected: list[bool], size: int, share: float, rounds: int) -> list[bool]:
    """Algorithm 2 as printed, applied `rounds` times."""
    for _ in range(rounds):
        grown = list(selected)
        for i in range(len(points)):
            around = neighbours(points, i, size)
            if not selected[i] and sum(selected[j] for j in around) / len(around) > share:
                grown[i] = True
        selected = grown
    return selected


@pytest.mark.parametrize("seed", range(3))
def test_the_post_processing_is_that_of_the_printed_algorithms(seed):
    points, z = scattered(seed=seed)
    settings = AnnotationSettings(smooth_neighbors=12, smooth_share=0.55, smooth_rounds=3)
    annotator = Annotator(points, z, settings)
    positives = np.array([3, 40, 77])
    within = annotator.within(positives, np.array([9]))
    without = annotator.without_outliers(within, positives)
    assert (
        without.tolist() == slow_outlier_removal(points, within.tolist(), positives.tolist(), 3)
        and without.sum() < within.sum()
    )
    dense = within | (np.random.default_rng(seed).random(len(points)) < 0.4)
    smooth = annotator.smoothed(dense)
    assert smooth.tolist() == slow_smoothing(points, dense.tolist(), 12, 0.55, 3) and smooth.sum() > dense.sum()
    assert (annotator.annotate(positives, np.array([9])) == annotator.smoothed(without)).all()


def test_the_post_processing_can_be_left_out():
    points, z = scattered()
    positives, negatives = np.array([3, 40]), np.array([9])
    plain = Annotator(points, z, AnnotationSettings(degree=0, smooth_rounds=0))
    assert (plain.annotate(positives, negatives) == plain.within(positives, negatives)).all()


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_clouds_with_fewer_points_than_neighbours_are_annotated(count):
    points, z = scattered(count)
    selected = Annotator(points, z).annotate(np.array([0]), np.zeros(0, dtype=np.int64))
    assert selected.shape == (count,) and selected[0]


def test_the_order_of_clicks_does_not_matter():
    points, z = scattered()
    annotator, rng = Annotator(points, z), np.random.default_rng(1)
    positives, negatives = np.array([3, 40, 77, 12]), np.array([9, 120, 50])
    expected = annotator.annotate(positives, negatives)
    for _ in range(4):
        assert (annotator.annotate(rng.permutation(positives), rng.permutation(negatives)) == expected).all()


def test_a_larger_radius_selects_more_also_after_the_post_processing():
    points, z = scattered()
    annotator = Annotator(points, z)
    rows = [annotator.annotate(np.array([3, 40]), np.array([9]), factor) for factor in (0.3, 0.6, 0.8, 1.0, 1.3, 1.6)]
    assert (
        all(not (small & ~large).any() for small, large in itertools.pairwise(rows)) and rows[0].sum() < rows[-1].sum()
    )


# --- the greedy annotator -------------------------------------------------------------------------


@pytest.fixture
def greedy() -> tuple[Annotator, np.ndarray]:
    points, z = scattered()
    return Annotator(points, z, AnnotationSettings(radius=0.8, degree=0, smooth_rounds=0)), points[:, 0] > 0.2


def test_an_empty_target_is_refused(greedy):
    annotator, target = greedy
    with pytest.raises(ValueError, match="nothing is wanted"):
        greedy_clicks(annotator, np.zeros_like(target), 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="nothing is wanted"):
        greedy_by_asking(lambda p, n: target, np.zeros_like(target), 3, np.random.default_rng(0))


def test_candidates_score_what_annotating_with_each_gives(greedy):
    annotator, target = greedy
    positives = np.array([3, 40, 77])
    for negatives in (np.zeros(0, dtype=np.int64), np.array([9]), np.array([9, 120])):
        others = np.setdiff1d(np.arange(len(target)), [*positives, *negatives])
        slow_positive = [iou(annotator.annotate(np.append(positives, p), negatives), target) for p in others]
        slow_negative = [iou(annotator.annotate(positives, np.append(negatives, p)), target) for p in others]
        # A distance may round to the other side of a radius: one point of 160.
        assert score_positive(annotator, target, positives, negatives, others) == pytest.approx(slow_positive, abs=0.02)
        assert score_negative(annotator, target, positives, negatives, others) == pytest.approx(slow_negative, abs=0.02)
        assert np.ptp(slow_positive) > 0.1 and np.ptp(slow_negative) > 0.1


def test_the_greedy_annotator_takes_the_best_click_of_all(greedy):
    annotator, target = greedy
    run = greedy_clicks(annotator, target, 6, np.random.default_rng(0), candidates=10_000)
    nothing = np.zeros(0, dtype=np.int64)
    for k in range(6):
        included, excluded = (
            [c for c, sign in zip(run.clicks[:k], run.positive) if sign == wanted] for wanted in (True, False)
        )
        included, excluded = np.array(included, dtype=np.int64), np.array(excluded, dtype=np.int64)
        selected = annotator.annotate(included, excluded) if k else np.zeros(len(target), dtype=bool)
        scores = [
            iou(annotator.annotate(np.append(included, p), excluded), target)
            for p in np.flatnonzero(target & ~selected)
        ]
        scores += [
            iou(annotator.annotate(included, np.append(excluded, p)), target)
            for p in np.flatnonzero(selected & ~target)
        ]
        assert run.iou[k] == pytest.approx(max(scores), abs=0.02)
        assert run.positive[k] == bool(target[run.clicks[k]])
    assert run.iou[-1] > run.iou[0] and len(set(run.clicks)) == 6
    assert run.iou[0] == iou(annotator.annotate(np.array(run.clicks[:1]), nothing), target)


def test_a_method_that_can_only_be_asked_gets_the_best_click_too(greedy):
    annotator, target = greedy
    asked = greedy_by_asking(annotator.annotate, target, 4, np.random.default_rng(0), candidates=10_000)
    scored = greedy_clicks(annotator, target, 4, np.random.default_rng(0), candidates=10_000)
    assert asked.iou == pytest.approx(scored.iou, abs=0.02)
    assert asked.iou[-1] == iou(annotator.annotate(asked.of(True), asked.of(False)), target) and len(asked.iou) == 4


def test_the_greedy_annotator_stops_when_all_is_right_and_repeats_itself():
    points = np.concatenate([np.zeros((20, 3)), np.full((20, 3), 5.0)]) + np.random.default_rng(0).normal(
        0, 0.1, (40, 3)
    )
    target = np.arange(40) < 20
    annotator = Annotator(points, points.astype(np.float32) * 0.2)
    runs = [greedy_clicks(annotator, target, 5, np.random.default_rng(3)) for _ in range(2)]
    assert runs[0].iou == [1.0] * 5 and len(runs[0].clicks) == 1 and runs[0] == runs[1]


def test_what_happens_after_a_click_is_heard_by_the_next(greedy):
    annotator, target = greedy
    seen = []

    def learn(run) -> None:
        seen.append(len(run.clicks))
        annotator.embedding = (annotator.embedding * np.float32(0.9)).astype(np.float32)

    run = greedy_clicks(annotator, target, 3, np.random.default_rng(0), after_click=learn)
    assert seen == [1, 2, 3] and len(run.iou) == 3
    assert run.iou[-1] == iou(annotator.annotate(run.of(True), run.of(False)), target)


# --- points of a mesh -----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_cloud_and_another_one_another(two_boxes):
    first, again, other = (sample_cloud(two_boxes, 300, seed) for seed in (4, 4, 5))
    for name in ("points", "normals", "faces", "positions"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.points.tobytes() != other.points.tobytes()
    assert first.points.dtype == first.normals.dtype == np.float32 and first.points.shape == (300, 3)


def test_points_lie_on_their_faces_evenly_by_area_with_outward_normals(icosphere):
    for mesh in (icosphere, Mesh(icosphere.vertices, icosphere.faces[:, ::-1])):
        cloud = sample_cloud(mesh, 2000)
        corners = mesh.normalized.astype(np.float64)[mesh.faces[cloud.faces]]
        offset = cloud.positions - corners[:, 0]
        weights = np.stack(
            [
                np.linalg.lstsq(np.stack([c[1] - c[0], c[2] - c[0]], axis=1), o, rcond=None)[0]
                for c, o in zip(corners, offset)
            ]
        )
        back = corners[:, 0] + (weights[:, :, None] * (corners[:, 1:] - corners[:, :1])).sum(axis=1)
        assert (
            np.allclose(back, cloud.positions, atol=1e-6)
            and (weights > -1e-6).all()
            and (weights.sum(axis=1) < 1 + 1e-6).all()
        )
        expected = 2000 * mesh.face_areas / mesh.face_areas.sum()
        assert (np.abs(np.bincount(cloud.faces, minlength=mesh.num_faces) - expected) < 3).all()
        assert ((cloud.positions * cloud.normals).sum(axis=1) > 0).all()
        assert np.isclose(np.linalg.norm(cloud.points, axis=1).max(), 1) and np.allclose(
            np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-5
        )
        box = cloud.points.min(axis=0) + cloud.points.max(axis=0)
        assert np.allclose(box, 0, atol=1e-5)


def grains(size: float, count: int) -> Mesh:
    """A ball and small ones around it."""
    pieces = [trimesh.creation.icosphere(subdivisions=2)]
    for k in range(count):
        piece = trimesh.creation.icosahedron()
        piece.apply_scale(size)
        piece.apply_translation([2 * math.cos(k), 2 * math.sin(k), 0.1 * k])
        pieces.append(piece)
    joined = trimesh.util.concatenate(pieces)
    return Mesh(np.asarray(joined.vertices), np.asarray(joined.faces))


def test_small_components_get_points_of_their_own():
    mesh = grains(1e-3, 5)
    component = face_components(mesh)
    assert sorted(np.bincount(component)) == [20, 20, 20, 20, 20, 320] and (component[:320] == component[0]).all()
    counts = np.bincount(component[sample_cloud(mesh, 1000).faces], minlength=6)
    assert (counts >= LEAST_POINTS).all() and counts.sum() == 1000 and counts[component[0]] == 1000 - 5 * LEAST_POINTS


def test_a_hundred_grains_leave_most_points_to_the_rest():
    mesh = grains(1e-3, 100)
    component = face_components(mesh)
    counts = np.bincount(component[sample_cloud(mesh, 1000).faces], minlength=101)
    assert counts.sum() == 1000 and counts[component[0]] >= 750


def test_a_soup_of_triangles_is_as_connected_as_it_looks(two_boxes):
    soup = Mesh(two_boxes.vertices[two_boxes.faces].reshape(-1, 3), np.arange(3 * two_boxes.num_faces).reshape(-1, 3))
    assert (face_components(soup) == face_components(two_boxes)).all() and face_components(soup).max() == 1


def test_a_surface_without_area_is_refused_in_one_line():
    line = Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]]))
    with pytest.raises(UserError, match="area") as error:
        sample_cloud(line)
    assert "\n" not in str(error.value)


# --- between mesh and points ----------------------------------------------------------------------


def test_values_of_points_come_to_vertices_and_faces_as_averages(two_boxes):
    cloud = sample_cloud(two_boxes, POINTS)
    carrier = Carrier(two_boxes, cloud)
    assert np.allclose(carrier.on_vertices(np.ones(POINTS)), 1) and np.allclose(carrier.on_faces(np.ones(POINTS)), 1)
    values = np.random.default_rng(0).random(POINTS)
    vertices = carrier.on_vertices(values)
    assert (
        vertices.dtype == np.float32
        and vertices.shape == (196,)
        and carrier.on_faces(values).shape == (two_boxes.num_faces,)
    )
    for v in (0, 50, 150):
        slow = sum(w * values[p] for p, w in zip(carrier.vertex_near[v], carrier.vertex_weight[v]))
        assert vertices[v] == pytest.approx(slow, abs=1e-6)


def test_what_one_component_selects_stays_in_it(two_boxes, two_boxes_head):
    """Handle and head run into each other: their nearest points are often of the other one."""
    cloud = sample_cloud(two_boxes, POINTS)
    carrier, on_head = Carrier(two_boxes, cloud), two_boxes_head[two_boxes.faces[:, 0]]
    assert np.allclose(carrier.on_vertices(on_head[cloud.faces]), two_boxes_head) and np.allclose(
        carrier.on_faces(on_head[cloud.faces]), on_head
    )
    assert (on_head[cloud.faces][carrier.point_of_vertex(np.arange(196))] == two_boxes_head).all()


@pytest.mark.parametrize("flipped", [False, True])
def test_a_click_on_a_side_of_a_thin_plate_stays_on_its_side(flipped):
    box = trimesh.creation.box((2.0, 2.0, 0.004)).subdivide().subdivide().subdivide()
    faces = np.asarray(box.faces)
    plate = Mesh(np.asarray(box.vertices), faces[:, ::-1] if flipped else faces)
    cloud = sample_cloud(plate, 2000)
    carrier = Carrier(plate, cloud)
    inside = (np.abs(plate.vertices[:, :2]) < 0.9).all(axis=1)
    upper = cloud.normals[:, 2] > 0.5
    for side in (True, False):
        vertices = np.flatnonzero(inside & ((plate.vertices[:, 2] > 0) == side))
        assert len(vertices) > 20 and (upper[carrier.point_of_vertex(vertices)] == side).all()
        assert np.allclose(carrier.on_vertices(upper)[vertices], side)
        flat = np.abs(plate.face_normals[:, 2]) > 0.9
        on_side = np.flatnonzero(flat & ((plate.vertices[plate.faces].mean(axis=1)[:, 2] > 0) == side))
        assert (upper[carrier.point_of_face(on_side)] == side).all() and np.allclose(
            carrier.on_faces(upper)[on_side], side
        )


# --- the segmenter --------------------------------------------------------------------------------


def odd_meshes() -> dict[str, Mesh]:
    ball = trimesh.creation.icosphere(subdivisions=1)
    vertices, faces = np.asarray(ball.vertices), np.asarray(ball.faces)
    return {
        "few vertices": Mesh(vertices, faces),
        "a single triangle": Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]])),
        "tiny components": grains(1e-4, 40),
        "a soup of triangles": Mesh(vertices[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)),
        "unreferenced vertices": Mesh(np.concatenate([vertices, np.full((3, 3), 50.0)]), faces),
        "inverted winding": Mesh(vertices, faces[:, ::-1]),
        "a face without area": Mesh(vertices, np.concatenate([faces, [[5, 5, 5], [0, 1, 1]]])),
        "far from the origin": Mesh(vertices * 1e-3 + 1e4, faces),
    }


@pytest.mark.parametrize("kind", odd_meshes())
def test_meshes_of_any_kind_are_answered(kind, weights):
    mesh = odd_meshes()[kind]
    segmenter = Iseg3dSegmenter(mesh, weights, points=POINTS)
    used = np.flatnonzero(mesh.referenced)
    clicks = Clicks.from_lists([used[0]], [used[-1]])
    for answer in (segmenter.probability(clicks), *segmenter.candidates(clicks).probability):
        assert answer.shape == (mesh.num_vertices,) and answer.dtype == np.float32 and np.isfinite(answer).all()
        assert answer[used[0]] > 0.5 > answer[used[-1]] and answer.min() >= 0 and answer.max() <= 1
    faces = segmenter.face_probability(np.array([0]), np.array([True]))
    assert faces.shape == (mesh.num_faces,) and np.isfinite(faces).all()


def test_winding_does_not_matter(two_boxes, weights):
    clicks = Clicks.from_lists([150], [10])
    turned = Mesh(two_boxes.vertices, two_boxes.faces[:, [0, 2, 1]])
    straight = Iseg3dSegmenter(two_boxes, weights, points=POINTS)
    inverted = Iseg3dSegmenter(turned, weights, points=POINTS)
    outward = (straight.cloud.positions - two_boxes.normalized.mean(axis=0)) * straight.cloud.normals
    assert (
        outward.sum() > 0
        and ((inverted.cloud.positions - two_boxes.normalized.mean(axis=0)) * inverted.cloud.normals).sum() > 0
    )
    assert inverted.probability(clicks)[150] > 0.5


def test_the_same_clicks_get_the_same_answer_bit_for_bit_in_any_order(two_boxes, weights, segmenter):
    clicks, mixed = (
        Clicks.from_signed(["150", "120", "-10", "-60"]),
        Clicks.from_signed(["-60", "120", "-10", "150", "120"]),
    )
    again = Iseg3dSegmenter(two_boxes, weights, points=POINTS)
    expected = segmenter.probability(clicks)
    assert (
        segmenter.probability(mixed).tobytes() == again.probability(clicks).tobytes() == expected.tobytes()
        and 0 < (expected > 0.5).sum() < 196
    )


def test_candidates_are_nested_and_clicked_vertices_obeyed(segmenter):
    sizes = []
    for seed in range(6):
        chosen = np.random.default_rng(seed).choice(196, 2 + seed, replace=False)
        clicks = Clicks.from_lists(chosen[:2], chosen[2:])
        found = segmenter.candidates(clicks)
        assert found.quality is None and (np.diff(found.probability, axis=0) >= 0).all()
        assert (found.probability[:, chosen[:2]] > 0.5).all() and (found.probability[:, chosen[2:]] < 0.5).all()
        assert found.probability[1].tobytes() == segmenter.probability(clicks).tobytes()
        sizes.append((found.probability > 0.5).sum(axis=1))
    assert (np.array(sizes)[:, 2] > np.array(sizes)[:, 0]).any()


def test_a_point_with_both_signs_is_positive(tetrahedron, weights):
    """Two vertices of a coarse cloud may mean the same point."""
    segmenter = Iseg3dSegmenter(tetrahedron, weights, points=2)
    positives, negatives = segmenter.points_of(Clicks.from_lists([0], [1, 2, 3]))
    assert len(positives) == 1 and not np.isin(negatives, positives).any()
    answer = segmenter.probability(Clicks.from_lists([0], [1, 2, 3]))
    assert answer[0] > 0.5 and (answer[1:] < 0.5).all()


def test_clicks_on_faces_mean_the_points_on_them(two_boxes, segmenter):
    head = np.flatnonzero((two_boxes.faces >= 98).all(axis=1))
    answer = segmenter.face_probability(head[[3, 40]], np.array([True, True]))
    points = np.unique(segmenter.carrier.point_of_face(head[[3, 40]]))
    expected = segmenter.carrier.on_faces(segmenter.annotator.annotate(points, np.zeros(0, dtype=np.int64)))
    assert answer.tobytes() == expected.tobytes() and answer.shape == (two_boxes.num_faces,)


@pytest.mark.parametrize(
    "clicks, reason",
    [
        (Clicks.from_lists([], [3]), "no positive click"),
        (Clicks.from_lists([196]), "not on this mesh"),
        (Clicks.from_lists([3], [3]), "both"),
        (Clicks.from_lists([-1]), "not on this mesh"),
    ],
)
def test_clicks_that_cannot_be_asked_are_refused_in_one_line(segmenter, clicks, reason):
    for ask in (segmenter.probability, segmenter.candidates, segmenter.fine_tune):
        with pytest.raises(UserError, match=reason) as error:
            ask(clicks)
        assert "\n" not in str(error.value)


def test_a_click_on_a_vertex_without_a_face_is_refused(weights):
    segmenter = Iseg3dSegmenter(odd_meshes()["unreferenced vertices"], weights, points=POINTS)
    with pytest.raises(UserError, match="no face"):
        segmenter.probability(Clicks.from_lists([0, 43]))


def test_any_embedding_can_take_the_networks_place(two_boxes, two_boxes_head):
    """The annotation alone: with an embedding that knows the parts, one click is the part."""
    cloud = sample_cloud(two_boxes, POINTS)
    on_head = two_boxes_head[two_boxes.faces[:, 0]][cloud.faces]
    annotator = Annotator(
        cloud.points, on_head[:, None].astype(np.float32), AnnotationSettings(degree=0, smooth_rounds=0)
    )
    segmenter = EmbeddingSegmenter(two_boxes, cloud, annotator)
    assert ((segmenter.probability(Clicks.from_lists([150])) > 0.5) == two_boxes_head).all()
    assert ((segmenter.probability(Clicks.from_lists([20])) > 0.5) == ~two_boxes_head).all()


# --- weights --------------------------------------------------------------------------------------


def test_the_shipped_weights_select_the_parts_of_objects_that_no_training_saw():
    """Five clicks of the greedy annotator each; an untrained network of the same architecture does much worse."""
    found = {"shipped": [], "untrained": []}
    for name in ("chair", "hammer"):
        sample = load_sample(MESHES / f"{name}.obj")
        shipped = Iseg3dSegmenter(Mesh(sample.vertices, sample.faces))
        cloud, labels = shipped.cloud, sample.group[shipped.cloud.faces]
        torch.manual_seed(0)
        untrained = Embedder(PointNet2(shipped.network.config), cloud)()
        untrained *= np.median(np.linalg.norm(shipped.annotator.embedding, axis=1)) / np.median(
            np.linalg.norm(untrained, axis=1)
        )
        for kind, annotator in (("shipped", shipped.annotator), ("untrained", Annotator(cloud.points, untrained))):
            found[kind] += [
                greedy_clicks(annotator, labels == part, 5, np.random.default_rng(0), candidates=64).iou[-1]
                for part in range(labels.max() + 1)
            ]
    assert np.mean(found["shipped"]) > 0.85 and np.mean(found["shipped"]) > np.mean(found["untrained"]) + 0.2, found


def test_weights_that_cannot_be_used_are_refused_in_one_line(two_boxes, weights, tmp_path):
    held = torch.load(weights, weights_only=True)
    (tmp_path / "cut.pt").write_bytes(weights.read_bytes()[:3000])
    (tmp_path / "text.pt").write_text("no weights")
    save_torch(tmp_path / "list.pt", [1, 2])
    save_torch(tmp_path / "tensor.pt", torch.zeros(3))
    save_torch(tmp_path / "prior.pt", {"config": {"width": 16}, "weights": {}, "teacher": "x"})
    save_torch(tmp_path / "fewer.pt", {**held, "network": dict(list(held["network"].items())[:-1])})
    save_torch(tmp_path / "other.pt", {**held, "config": {**held["config"], "outputs": 9}})
    save_torch(tmp_path / "unknown.pt", {**held, "config": {**held["config"], "depth": 9}})
    save_torch(tmp_path / "numbers.pt", {**held, "network": dict.fromkeys(held["network"], 3)})
    save_torch(tmp_path / "names.pt", {**held, "network": ["a"], "config": [1]})
    save_torch(tmp_path / "kind.pt", {**held, "settings": None})
    save_weights(tmp_path / "heatmap.pt", "heatmap")
    cases = sorted(tmp_path.glob("*.pt"))
    assert len(cases) == 12
    for path in [*cases, tmp_path / "missing.pt", tmp_path]:
        with pytest.raises(UserError, match=path.name) as error:
            Iseg3dSegmenter(two_boxes, path, points=POINTS)
        assert "\n" not in str(error.value)


# --- fine-tuning ----------------------------------------------------------------------------------


def state_of(segmenter: Iseg3dSegmenter) -> list[bytes]:
    return [
        segmenter.annotator.embedding.tobytes(),
        *(value.numpy().tobytes() for value in segmenter.network.state_dict().values()),
    ]


def apart(segmenter: Iseg3dSegmenter, clicks: Clicks) -> float:
    positives, negatives = segmenter.points_of(clicks)
    z = segmenter.annotator.embedding
    return float(fine_tuning_energy(torch.from_numpy(z[positives]), torch.from_numpy(z[negatives])))


@pytest.fixture
def close(segmenter) -> Clicks:
    """A positive click and a negative one that lies near it in the embedding."""
    positive = 150
    point = segmenter.carrier.point_of_vertex(np.array([positive]))[0]
    away = segmenter.annotator.distances(int(point))[segmenter.carrier.point_of_vertex(np.arange(196))]
    away[segmenter.carrier.point_of_vertex(np.arange(196)) == point] = np.inf
    return Clicks.from_lists([positive], [int(away.argmin())])


def test_fine_tuning_moves_negative_clicks_away_and_undo_restores_every_bit(segmenter, close):
    before, energy, answer = state_of(segmenter), apart(segmenter, close), segmenter.probability(close)
    assert segmenter.fine_tune(close) and apart(segmenter, close) < energy
    once, later = state_of(segmenter), segmenter.probability(close)
    assert once != before and segmenter.fine_tune(close) and state_of(segmenter) != once
    assert (
        segmenter.undo_fine_tuning()
        and state_of(segmenter) == once
        and segmenter.probability(close).tobytes() == later.tobytes()
    )
    assert (
        segmenter.undo_fine_tuning()
        and state_of(segmenter) == before
        and segmenter.probability(close).tobytes() == answer.tobytes()
    )
    assert not segmenter.undo_fine_tuning() and state_of(segmenter) == before


def test_fine_tuning_repeats_itself_bit_for_bit(two_boxes, weights, segmenter, close):
    other = Iseg3dSegmenter(two_boxes, weights, points=POINTS)
    assert segmenter.fine_tune(close) and other.fine_tune(close) and state_of(segmenter) == state_of(other)


@pytest.mark.parametrize("settings", [FineTuning(steps=1), FineTuning(), FineTuning(steps=12, keep_weight=0.0)])
@pytest.mark.parametrize("count", [1, 3])
def test_fine_tuning_keeps_other_parts(segmenter, close, settings, count):
    others = [
        Clicks.from_lists([60]),
        Clicks.from_lists([20, 5], [97]),
        Clicks.from_lists([int(close.negatives[0])], [150]),
    ][:count]
    asked = [segmenter.points_of(other) for other in others]
    answers, before = [segmenter.annotator.annotate(*points) for points in asked], state_of(segmenter)
    changed = segmenter.fine_tune(close, others, settings)
    assert changed == (state_of(segmenter) != before)
    for points, answer in zip(asked, answers):
        assert iou(segmenter.annotator.annotate(*points), answer) >= 0.98
    if changed:
        segmenter.undo_fine_tuning()
    assert state_of(segmenter) == before


def test_there_is_nothing_to_learn_without_a_negative_click_or_from_far_ones(segmenter, two_boxes):
    before = state_of(segmenter)
    assert not segmenter.fine_tune(Clicks.from_lists([150]))
    segmenter.annotator.embedding = segmenter.annotator.embedding.copy()
    energies = {v: apart(segmenter, Clicks.from_lists([150], [v])) for v in range(98)}
    far = min(energies, key=energies.get)
    if energies[far] == 0:
        assert not segmenter.fine_tune(Clicks.from_lists([150], [far]))
    assert not segmenter.undo_fine_tuning() and state_of(segmenter) == before


# --- scribbles ------------------------------------------------------------------------------------


def slow_path(mesh: Mesh, start: int, end: int) -> tuple[float, list[int]]:
    """Dijkstra in plain Python on the edges."""
    edges: dict[int, dict[int, float]] = {v: {} for v in range(mesh.num_vertices)}
    for i, j in mesh.edges.tolist():
        edges[i][j] = edges[j][i] = math.dist(mesh.normalized[i].tolist(), mesh.normalized[j].tolist())
    length, before, left = {start: 0.0}, {}, set(edges)
    while end in left:
        here = min((v for v in left if v in length), key=length.get)
        left.discard(here)
        for other, step in edges[here].items():
            if length[here] + step < length.get(other, math.inf):
                length[other], before[other] = length[here] + step, here
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return length[end], path[::-1]


def test_a_scribble_follows_the_shortest_paths_on_the_surface(icosphere):
    line = along_surface(icosphere, [3, 80, 120])
    edges = {tuple(edge) for edge in icosphere.edges.tolist()}
    assert all((min(a, b), max(a, b)) in edges for a, b in itertools.pairwise(line)) and len(set(line)) == len(line)
    length = sum(
        math.dist(icosphere.normalized[a].tolist(), icosphere.normalized[b].tolist())
        for a, b in itertools.pairwise(line)
    )
    assert length == pytest.approx(slow_path(icosphere, 3, 80)[0] + slow_path(icosphere, 80, 120)[0], rel=1e-6)
    assert line[0] == 3 and line[-1] == 120 and 80 in line


def test_a_scribble_of_one_vertex_is_a_click_and_one_that_returns_counts_once(icosphere):
    assert along_surface(icosphere, [7]) == [7] and along_surface(icosphere, [7, 7]) == [7]
    there, back = along_surface(icosphere, [3, 80]), along_surface(icosphere, [3, 80, 3])
    assert set(there) <= set(back) and len(set(back)) == len(back)


@pytest.mark.parametrize(
    "vertices, reason", [([3, 150], "one piece"), ([196], "does not exist"), ([3, -1], "does not exist")]
)
def test_a_scribble_that_cannot_be_drawn_is_refused_in_one_line(two_boxes, vertices, reason):
    with pytest.raises(UserError, match=reason) as error:
        along_surface(two_boxes, vertices)
    assert "\n" not in str(error.value)
