"""Large meshes by fewer vertices: what joins, what is carried back, and decoders that answer as on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh

from models.iseg import segmenter as segmenters
from models.iseg.checkpoint import DecoderCheckpoint
from models.iseg.click_geometry import ClickGeometry
from models.iseg.correcting import Voters
from models.iseg.decoders import build_network
from models.iseg.segmenter import DecoderSegmenter, ground_of
from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.coarse import CoarseMesh
from utils.geometry.geodesics import SurfaceDistances
from utils.geometry.mesh import Mesh

MOST = 700


@pytest.fixture(scope="module")
def ball() -> Mesh:
    """10,242 vertices, and one that no face uses."""
    shape = trimesh.creation.icosphere(subdivisions=5)
    return Mesh(np.concatenate([shape.vertices, [[5.0, 0, 0]]]), np.asarray(shape.faces))


@pytest.fixture(scope="module")
def coarse(ball) -> CoarseMesh:
    return CoarseMesh.of(ball, MOST)


def test_each_stands_for_a_connected_cell_that_it_lies_in(ball, coarse):
    assert len(coarse.of_vertex) == ball.num_vertices and 300 < coarse.num_vertices <= 2 * MOST
    assert np.array_equal(coarse.of_vertex[coarse.own], np.arange(coarse.num_vertices))
    apart = np.linalg.norm(ball.normalized - coarse.normalized[coarse.of_vertex], axis=1)
    assert apart[:-1].max() < 0.3
    inside = [ball.edges[(coarse.of_vertex[ball.edges] == place).all(axis=1)] for place in range(0, 300, 40)]
    for place, pairs in zip(range(0, 300, 40), inside):
        members, reached = set(np.flatnonzero(coarse.of_vertex == place)), {int(coarse.own[place])}
        for _ in members:
            reached |= {int(v) for pair in pairs if set(pair) & reached for v in pair}
        assert reached == members


def test_the_frame_the_areas_and_the_normals_are_the_whole_mesh_s(ball, coarse):
    assert np.array_equal(coarse.normalized, ball.normalized[coarse.own])
    assert coarse.vertex_areas.sum() == pytest.approx(ball.vertex_areas.sum())
    used = coarse.referenced
    assert used.sum() == coarse.num_vertices - 1  # the stray vertex stands for itself
    assert (np.einsum("ij,ij->i", coarse.vertex_normals, coarse.normalized)[used] > 0.98).all()


def test_means_are_over_those_it_stands_for(ball, coarse):
    values = torch.from_numpy(ball.normalized)
    found = coarse.means(values)
    for place in (0, 77, 300):
        torch.testing.assert_close(found[place], values[coarse.of_vertex == place].mean(dim=0))


def test_distances_are_those_of_the_whole_mesh_to_a_tenth(ball, coarse):
    exact, rough = SurfaceDistances(ball), SurfaceDistances(coarse)
    for place in (3, 200, 350):
        expected = exact.from_each([coarse.own[place]])[0][coarse.own]
        found = rough.from_each([place])[0]
        far = coarse.referenced & (expected[:, 0] > 0.4)
        assert np.abs(found[far, 0] / expected[far, 0] - 1).mean() < 0.1
    assert np.corrcoef(found[far, 1], expected[far, 1])[0, 1] > 0.99


def test_both_sides_of_a_thin_wall_stay_apart():
    wall = trimesh.creation.box((2.0, 2.0, 0.004))
    for _ in range(6):
        wall = wall.subdivide()
    mesh = Mesh(np.asarray(wall.vertices), np.asarray(wall.faces))
    coarse = CoarseMesh.of(mesh, 400)
    side = np.sign(mesh.vertices[:, 2])
    middle = (np.abs(mesh.vertices[:, :2]) < 0.7).all(axis=1)
    assert np.array_equal(side[coarse.own[coarse.of_vertex]][middle], side[middle])
    carried = coarse.carried(side[coarse.own])
    assert np.array_equal(np.sign(carried)[middle], side[middle])


def test_crumbs_join_those_in_their_cell():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(4000, 1, 3))
    places /= np.linalg.norm(places, axis=2, keepdims=True)
    crumbs = Mesh((places + 0.01 * rng.normal(size=(4000, 3, 3))).reshape(-1, 3), np.arange(12000).reshape(-1, 3))
    assert CoarseMesh.of(crumbs, MOST).num_vertices <= MOST


def test_what_is_carried_is_smooth_and_between_what_it_comes_from(ball, coarse):
    assert coarse.carried(np.ones(coarse.num_vertices)) == pytest.approx(1, abs=1e-5)
    stepped = coarse.normalized[coarse.of_vertex, 0]
    carried = coarse.carried(coarse.normalized[:, 0])
    assert np.abs(carried - ball.normalized[:, 0])[:-1].max() < 0.1
    step, jump = (np.abs(np.diff(values[ball.edges], axis=1)) for values in (carried, stepped))
    assert step.max() < 0.8 * jump.max() and step.std() < 0.6 * jump.std()


# --- decoders --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def network(ball):
    """A geometric decoder that selects what is within 1.1 of a positive click by the plain distance."""
    generator = torch.Generator().manual_seed(0)
    network = build_network("geometric", generator=generator)
    geometry, features = ClickGeometry(ball), torch.zeros(ball.num_vertices, 256)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    rows = torch.randperm(ball.num_vertices - 1, generator=generator)[:700]
    seen = [(vertex, geometry.of_clicks(Clicks.from_lists([vertex]))[rows]) for vertex in range(0, 10000, 1000)]
    for step in range(60):
        vertex, around = seen[step % len(seen)]
        click = torch.tensor([vertex])
        full = torch.cat([geometry.static[rows], around], dim=1)
        logits = network(features[rows], features[click], torch.tensor([True]), geometry=full)
        near = torch.from_numpy(geometry.distances.from_each([vertex])[0][rows.numpy(), 0] < 1.1).long()
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, near).backward()
        optimizer.step()
    return network, torch.zeros(ball.num_vertices, 256)


@pytest.fixture
def large(monkeypatch):
    """A mesh of 10,000 vertices counts as large."""
    monkeypatch.setattr(segmenters, "LARGE", 2 * MOST)


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_a_large_mesh_is_answered_as_on_all_its_vertices(ball, network, large):
    rough, exact = DecoderSegmenter(ball, *network), DecoderSegmenter(ball, *network, ground=ball)
    assert isinstance(rough.ground, CoarseMesh) and exact.ground is ball
    for clicks in ([4321], [17, 5000], [9000]):
        found, expected = (each.probability(Clicks.from_lists(clicks)) for each in (rough, exact))
        assert found.shape == expected.shape == (ball.num_vertices,)
        assert 0.02 < (expected > 0.5).mean() < 0.7 and _iou(found > 0.5, expected > 0.5) > 0.9
    assert ground_of(ball, build_network("published")) is ball  # as published, on every vertex


def test_the_field_on_the_ground_answers_as_the_whole_field(ball, network, large):
    decoder, generator = network[0], torch.Generator().manual_seed(3)
    field, clicks = torch.rand(ball.num_vertices, 256, generator=generator), Clicks.from_lists([40, 900], [7000])
    whole = DecoderSegmenter(ball, decoder, field)
    joined = segmenters.features_on(ground_of(ball, decoder), field)
    assert len(joined) < ball.num_vertices
    assert np.array_equal(DecoderSegmenter(ball, decoder, joined).probability(clicks), whole.probability(clicks))


def test_clicks_are_obeyed_also_two_in_one_place(ball, network, large):
    segmenter = DecoderSegmenter(ball, *network)
    place = int(np.bincount(segmenter.ground.of_vertex).argmax())
    first, second = np.flatnonzero(segmenter.ground.of_vertex == place)[:2].tolist()
    alone = segmenter.probability(Clicks.from_lists([first]))
    both = segmenter.probability(Clicks.from_lists([first], [second]))
    assert both[first] > 0.5 > both[second]
    assert np.array_equal(np.delete(both, [first, second]), np.delete(alone, [first, second]))


def test_votes_of_all_vertices_are_read_as_those_of_the_coarse_ones(ball, coarse):
    rng = np.random.default_rng(0)
    vertices, logits = rng.permutation(ball.num_vertices)[:5], rng.integers(-127, 128, (5, ball.num_vertices))
    logits = logits.astype(np.int8)
    held = DecoderCheckpoint({}, {}, voters=torch.from_numpy(vertices), votes=torch.from_numpy(logits))
    asked = held.asked(coarse, "decoder.pth")
    assert asked is not None and np.array_equal(asked.vertices, coarse.of_vertex[vertices])
    assert np.array_equal(asked.logits, logits[:, coarse.own])
    other = Voters(np.array([0]), np.zeros((1, 12), dtype=np.int8))
    torn = DecoderCheckpoint({}, {}, voters=torch.from_numpy(other.vertices), votes=torch.from_numpy(other.logits))
    with pytest.raises(UserError, match="votes of another mesh"):
        torn.asked(coarse, "decoder.pth")
