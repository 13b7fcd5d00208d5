"""The prior decoder: nodes, diffusion, what clicks and views say, clean borders, and answers on meshes never seen."""

from __future__ import annotations

import itertools
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
import torch
import trimesh
from scipy.linalg import expm

import decoder
from models.methods import MethodSettings, iseg_prior
from models.points.clouds import sample_cloud
from models.points.embedding import WEIGHTS as POINT_WEIGHTS
from models.points.embedding import Embedder, load_network
from models.prior import alike, joins
from models.prior.annotator import (
    GROUP,
    ClickSet,
    Habits,
    TrainingShape,
    correct,
    draw_set,
    first_click,
    nest,
    without_a_part,
)
from models.prior.answers import NodeAnswer, NodeAnswers, ask_around, correct_locally
from models.prior.borders import Borders
from models.prior.checkpoint import REFINED, WEIGHTS, load_prior
from models.prior.components import Components
from models.prior.data import Shapes, levels_over, most_of, without_details
from models.prior.fine_faces import subdivided
from models.prior.inputs import (
    COLUMNS,
    EMBEDDING,
    INPUTS,
    KIND_CHANNELS,
    RADIUS,
    Asked,
    NodeTensors,
    click_batch,
    held_distances,
)
from models.prior.joins import Pieces
from models.prior.judge import WEIGHTS as JUDGE
from models.prior.judge import Judge, load_judge
from models.prior.losses import hard_iou, segmentation_loss
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.nodes import Patches, cut, diffusion_modes, spread_out
from models.prior.points import embed_nodes
from models.prior.proposal_training import pairs_of_parts, pairs_of_pieces
from models.prior.rounds import learned_and_held_out
from models.prior.scores import load_scores
from models.prior.segmenter import PriorSegmenter
from models.prior.training import PriorTraining, TrainSettings, train, train_rounds
from models.prior.tree import NodeTree
from models.prior.views import SIGHT, NodeViews, fill_unseen, render_views
from models.prior.votes import Parts, Votes
from SAM_repo.teacher import load_teacher
from scripts import train_prior
from tests.fakes import FakeTeacher
from utils.clicks import Clicks
from utils.device import has_bfloat16_kernels
from utils.errors import UserError
from utils.files import Recent, load_json, load_npz, load_torch, save_npz, save_torch
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.output.export import save_colored_mesh
from utils.selection import pairwise_iou


@pytest.fixture(scope="module")
def patches(two_boxes) -> Patches:
    return cut(two_boxes, nodes=200)


@pytest.fixture(scope="module")
def views(patches) -> NodeViews:
    return render_views(patches, FakeTeacher(), views=8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained prior for the teacher without weights."""
    torch.manual_seed(3)
    network = PriorNetwork(PriorConfig(width=16, click_layers=2))
    torch.nn.init.normal_(network.head.weight, std=2.0)  # so that answers differ from place to place
    path = tmp_path_factory.mktemp("prior") / "prior.pt"
    save_torch(
        path,
        {
            "config": asdict(network.config),
            "weights": network.state_dict(),
            "teacher": FakeTeacher.name,
            "format": 3,
            "field_mean": torch.zeros(256),
            "field_components": torch.eye(256)[:, :64],
        },
    )
    return path


@pytest.fixture(scope="module")
def segmenter(two_boxes, weights) -> PriorSegmenter:
    return PriorSegmenter.prepare(two_boxes, FakeTeacher(), weights=weights, views=8, voters=24)


@pytest.fixture(scope="module")
def shipped(two_boxes) -> PriorSegmenter:
    """With the shipped weights and teacher."""
    return PriorSegmenter.prepare(two_boxes, load_teacher("vit_t"), views=4, voters=48)


# --- nodes --------------------------------------------------------------------------------------


def test_subdivided_faces_cover_the_faces_they_come_from(tetrahedron):
    fine, parent = subdivided(tetrahedron, 0.3)
    assert np.allclose(
        np.bincount(parent, fine.face_areas) / fine.face_areas.sum(),
        tetrahedron.face_areas / tetrahedron.face_areas.sum(),
    )
    assert np.allclose(fine.face_normals, tetrahedron.face_normals[parent], atol=1e-5)
    sides = np.sort(fine.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(sides, axis=0, return_counts=True)[1] == 2).all(), (
        "a side without its neighbour: the halving does not conform"
    )
    assert np.linalg.norm(np.diff(fine.vertices[sides], axis=1), axis=2).max() <= 0.3
    assert np.allclose(fine.vertices[:4], tetrahedron.normalized)


def test_fine_meshes_are_left_as_they_are(icosphere):
    assert subdivided(icosphere, 1.0)[0] is icosphere


def test_nodes_hold_the_whole_surface_and_do_not_straddle_the_crease(patches, two_boxes, two_boxes_head):
    assert np.isclose(patches.graph.area.sum(), 1, atol=1e-5)
    assert np.array_equal(np.unique(patches.node), np.arange(len(patches.graph)))
    on_head = two_boxes_head[two_boxes.faces[:, 0]][patches.fine.parent]
    share = np.bincount(patches.node, on_head) / np.bincount(patches.node)
    assert np.isin(share, (0, 1)).mean() > 0.95


def test_walls_join_the_two_sides_of_a_thin_plate_and_nothing_of_a_solid(two_boxes):
    plate = trimesh.creation.box((1, 1, 0.04)).subdivide().subdivide().subdivide()
    graph = cut(Mesh(np.asarray(plate.vertices), np.asarray(plate.faces)), 300).graph
    first, second = graph.walls.T
    assert len(np.unique(graph.walls)) > 0.85 * (np.abs(graph.normal[:, 2]) > 0.9).sum()
    assert (graph.position[first, 2] * graph.position[second, 2] < 0).all()
    across = np.abs(graph.position[first, :2] - graph.position[second, :2]).max()
    assert across < 2 * np.median(graph.length[:, 0])
    through = graph.distances_from(first[:5])[np.arange(5), second[:5]]
    assert (through[:, 2] < 0.2).all() and (through[:, 1] > through[:, 2]).all()
    solid = trimesh.creation.icosphere(subdivisions=3)
    assert len(cut(Mesh(np.asarray(solid.vertices), np.asarray(solid.faces)), 300).graph.walls) == 0


def test_components_are_told_apart_although_bridges_join_them():
    boxes = [trimesh.creation.box((1, 1, 1)).apply_translation((1.02 * k, 0, 0)) for k in range(3)]
    mesh = trimesh.util.concatenate(boxes)
    graph = cut(Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces)), 300).graph
    assert len(np.unique(graph.component)) == 3
    assert np.array_equal(
        np.unique(graph.component[np.argsort(graph.position[:, 0])][:20]),
        graph.component[[graph.position[:, 0].argmin()]],
    )
    assert (graph.distances_from(np.array([0])) < 8).all()


def test_interpolation_reproduces_constants(patches):
    assert np.allclose(patches.interpolation @ np.ones(len(patches.graph)), 1, atol=1e-9)


def test_diffusion_modes_give_the_heat_kernel():
    generator = np.random.default_rng(0)
    pairs = np.array([(i, j) for i in range(12) for j in range(i + 1, 12) if generator.random() < 0.4 or j == i + 1])
    conductance, share = generator.uniform(0.1, 2, len(pairs)), generator.dirichlet(np.full(12, 5.0))
    modes, rates = diffusion_modes(pairs, conductance, share, 16)
    laplacian = np.zeros((12, 12))
    for (i, j), c in zip(pairs, conductance):
        laplacian[[i, j], [i, j]] += c
        laplacian[[i, j], [j, i]] -= c
    slow = expm(-0.05 * laplacian / share[:, None])  # of dx/dt = -M^-1 L x
    fast = modes @ np.diag(np.exp(-0.05 * rates)) @ modes.T @ np.diag(share)
    assert np.allclose(fast, slow, atol=1e-4)


def test_spread_out_points_are_the_farthest():
    points = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    chosen = [0]
    for _ in range(9):
        chosen.append(int(np.min([np.linalg.norm(points - points[c], axis=1) for c in chosen], axis=0).argmax()))
    assert sorted(chosen) == spread_out(points, 10).tolist()


# --- what the network reads ---------------------------------------------------------------------


def test_averages_and_their_gradients_are_those_of_the_dense_matrix(patches):
    graph = patches.graph
    rng = np.random.default_rng(0)
    read = rng.normal(size=(len(graph), 8)), np.ones(len(graph)), rng.normal(size=(len(graph), EMBEDDING))
    nodes = NodeTensors.of(graph, *read)
    values = torch.randn(len(nodes), 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(len(nodes), 3, generator=torch.Generator().manual_seed(1))
    for kind, averaging in enumerate((nodes.plain, nodes.concave)):
        conductance = np.zeros((len(nodes), len(nodes)))
        for i, j in graph.walls if kind else ():
            conductance[i, j] = conductance[j, i] = 1.0
        for (i, j), value in zip(graph.pairs, graph.conductance[:, kind]):
            conductance[i, j] = conductance[j, i] = value
        conductance += 0.05 * kind * np.eye(len(nodes))  # a side of a crease by itself stays what it is
        dense = averaging.matrix.to_dense()
        assert np.allclose(dense, conductance / conductance.sum(axis=1, keepdims=True), atol=1e-5)
        assert torch.allclose(averaging(values), dense @ values, atol=1e-5)
        (gradient,) = torch.autograd.grad((averaging(values) * weight).sum(), values)
        assert torch.allclose(gradient, dense.T @ weight, atol=1e-5)


def test_channels_say_where_a_node_lies_to_the_clicks(patches):
    graph = patches.graph
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(graph), 8))
    embedding = np.random.default_rng(1).normal(scale=0.1, size=(len(graph), EMBEDDING))
    nodes = NodeTensors.of(graph, features, np.ones(len(graph)), embedding)
    clicked, positive = rng.choice(len(graph), 5, replace=False), np.array([True, True, True, False, True])
    away = graph.distances_from(clicked)
    given = torch.from_numpy(clicked), torch.from_numpy(positive), torch.from_numpy(away)
    channels = nodes.click_channels(*given).numpy()
    position, normal, thickness = graph.position, graph.normal, np.log(graph.thickness[:, 0].clip(1e-3, 2.0))
    alike = nodes.features.numpy() / np.linalg.norm(nodes.features.numpy(), axis=1, keepdims=True)
    for kind, which in enumerate((positive, ~positive)):
        found = channels[:, kind * KIND_CHANNELS : (kind + 1) * KIND_CHANNELS]
        nearest = away[which].min(axis=0)
        to = clicked[which][away[which][..., 1].argmin(axis=0)]
        offset = position - position[to]
        length = np.linalg.norm(offset, axis=1)
        way = offset / np.maximum(length, 1e-4)[:, None]
        assert np.allclose(found[:, :2], nearest[:, :2] / 4, atol=1e-5)
        for place, scale in enumerate((0.08, 0.25)):
            assert np.allclose(found[:, 2 + place], np.exp(-nearest[:, 0] / scale), atol=1e-5)
        nearer = (graph.area * (nearest[:, None, 0] >= nearest[None, :, 0])).sum(axis=1)
        assert np.allclose(found[:, 6], nearer, atol=0.02)  # of nodes that are equally far, some count
        assert np.allclose(found[:, 12], (alike @ alike[clicked[which]].T).max(axis=1), atol=1e-5)
        expected = [
            length,
            (way * normal).sum(axis=1),
            (way * normal[to]).sum(axis=1),
            (normal * normal[to]).sum(axis=1),
        ]
        expected += [thickness - thickness[to], thickness[to]]
        assert np.allclose(found[:, 13:19].T, expected, atol=1e-5)
        assert np.array_equal(found[:, 20] == 1, np.isin(graph.component, graph.component[clicked[which]]))
        assert np.allclose(found[:, 21:23].T, [nearest[:, 2] / 4, np.exp(-nearest[:, 2] / 0.25)], atol=1e-5)
        apart = np.linalg.norm(embedding[:, None] - embedding[clicked[which]], axis=2).min(axis=1) / RADIUS
        assert np.allclose(found[:, 24:].T, [apart.clip(max=2) / 2, np.exp(-(apart**2))], atol=1e-5)
    assert np.allclose(channels[:, -4:-2], np.log([5, 2]), atol=1e-6) and (channels[:, -2:] == 0).all()
    previous = torch.from_numpy(rng.normal(size=len(graph)).astype(np.float32)) * 6
    corrected = nodes.click_channels(*given, previous).numpy()
    assert np.array_equal(corrected[:, :-2], channels[:, :-2]) and (corrected[:, -1] == 1).all()
    assert np.allclose(corrected[:, -2], previous.numpy().clip(-4, 4) / 4)


def test_channels_of_the_kind_that_a_further_click_leaves_as_it_is_are_kept(patches):
    count = len(patches.graph)
    rng = np.random.default_rng(0)
    embedding = rng.normal(scale=0.1, size=(count, EMBEDDING))
    nodes = NodeTensors.of(patches.graph, rng.normal(size=(count, 8)), np.ones(count), embedding)
    distances, held = held_distances(patches.graph), Recent(8)

    def channels(clicked: list[int], positive: list[bool], kept: Recent | None) -> np.ndarray:
        return click_batch(nodes, distances, [Asked(clicked, positive)], kept).channels.numpy()

    def alike(clicked: list[int], positive: list[bool]) -> bool:
        return np.array_equal(channels(clicked, positive, held), channels(clicked, positive, None))

    assert alike([3], [True]) and alike([3, 9], [True, False]) and alike([3, 9, 5], [True, False, True])
    assert alike([9, 3], [True, False]), "other signs are other kinds"
    known = len(held)
    assert alike([3, 9, 5, 7], [True, False, True, False]) and len(held) == known + 1, "the negative ones alone"


def test_features_are_means_over_the_pixels_that_show_a_node():
    height, width = np.mgrid[:14, :14]
    sight = np.full((1, SIGHT, SIGHT), -1, dtype=np.int32)
    sight[0, 10:14, 60:80], sight[0, 90:100, 20:30] = 0, 1
    views = NodeViews(3, np.array([(0, 2)]), sight, np.stack([width, height])[None].astype(np.float16))
    expected = np.array([[8.25, 1.0], [2.625, 11.375], [8.25, 1.0]])  # an eighth of a pixel is a cell; 2 is not seen
    assert np.allclose(views.features(), expected, atol=1e-4) and np.array_equal(views.seen, [1, 1, 0])
    projection, mean = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]]), torch.tensor([1.0, 4.0])
    assert np.allclose(views.features(projection, mean), (expected - mean.numpy()) @ projection.numpy(), atol=1e-3)


def test_unseen_nodes_take_their_neighbours_value():
    pairs = np.array([(0, 1), (1, 2), (2, 3), (3, 4)])
    values = np.array([[1.0], [0], [0], [0], [3.0]])
    filled = fill_unseen(values, np.array([True, False, False, False, True]), pairs)
    assert np.allclose(filled[:, 0], [1, 1, 2, 3, 3])


# --- borders ------------------------------------------------------------------------------------


def test_tidy_drops_stray_pieces_closes_holes_and_obeys_clicks(icosphere):
    borders = Borders(cut(icosphere, nodes=60))
    points = borders.patches.fine.centroid
    cap = points[:, 1] > 0.2
    hole, stray = int(np.argmax(points[:, 1])), int(np.argmin(points[:, 1]))
    probability = np.where(cap, 0.9, 0.1)
    probability[hole], probability[stray] = 0.1, 0.9
    included = np.array([int(np.argmax(cap * points[:, 0]))])
    assert np.array_equal(borders.tidy(probability, included, np.array([], dtype=int)) > 0.5, cap)
    excluded = np.array([hole])
    assert not borders.tidy(probability, included, excluded)[hole] > 0.5  # a hole that was clicked stays
    assert borders.tidy(np.zeros(len(points)), included, excluded)[included] > 0.5


def test_faces_take_the_values_of_their_nodes_and_keep_candidates_in_order(patches):
    borders = Borders(patches)
    logits = np.where(patches.graph.position[:, 1] > 0.3, 4.0, -4.0)
    probability = borders.on_elements(np.stack([logits - 1, logits, logits + 1]))
    assert (np.diff(probability, axis=0) >= -1e-9).all()
    assert ((probability[1] > 0.5) == (patches.fine.centroid[:, 1] > 0.3)).mean() > 0.93
    assert np.allclose(borders.on_elements(10 * logits[None]), probability[1])  # what is sure is not made surer


# --- answers ------------------------------------------------------------------------------------


def test_candidates_are_nested_and_granularity_leads_from_one_to_the_next(segmenter):
    clicks = Clicks.from_lists([120], [10])
    candidates = segmenter.candidates(clicks)
    assert candidates.probability.shape == (3, segmenter.num_vertices) and candidates.probability.dtype == np.float32
    assert candidates.quality.shape == (3,) and ((candidates.quality >= 0) & (candidates.quality <= 1)).all()
    assert (np.diff(candidates.probability, axis=0) >= -1e-6).all()
    for granularity in (0.5, None):
        assert np.allclose(segmenter.probability(clicks, granularity), candidates.probability[1], atol=1e-5)
    steps = np.stack([segmenter.probability(clicks, g) for g in (0.0, 0.25, 0.5, 0.75, 1.0)])
    assert (np.diff(steps.sum(axis=1)) >= -1e-4).all()
    for beyond, end in ((-1.0, 0), (7.0, 4)):
        assert np.array_equal(segmenter.probability(clicks, beyond), steps[end])


def test_clicked_vertices_are_obeyed(segmenter):
    generator = np.random.default_rng(0)
    for _ in range(5):
        vertices = generator.choice(segmenter.num_vertices, size=4, replace=False)
        for row in segmenter.candidates(Clicks.from_lists(vertices[:2], vertices[2:])).probability:
            assert (row[vertices[:2]] > 0.5).all() and (row[vertices[2:]] < 0.5).all()


def test_clicked_faces_are_obeyed_however_large_they_are(tetrahedron, weights):
    segmenter = PriorSegmenter.prepare(tetrahedron, FakeTeacher(), weights=weights, views=8, voters=24)
    for include, exclude in itertools.permutations(range(4), 2):
        faces, positive = np.array([include, exclude]), np.array([True, False])
        for row in segmenter.face_candidates(faces, positive).probability:
            assert row[include] > 0.5 > row[exclude]


def test_copies_of_clicks_do_not_matter(segmenter):
    first = segmenter.probability(Clicks.from_lists([120, 30], [10]))
    assert np.array_equal(segmenter.probability(Clicks.from_lists([120, 30, 120], [10, 10])), first)


def answer_of(selected: np.ndarray, quality: float) -> NodeAnswer:
    """Three equal candidates."""
    return NodeAnswer(np.stack([np.where(selected, 1.0, -1.0)] * 3), np.full(3, quality))


def test_a_local_correction_changes_what_is_near_the_click_alone(patches):
    graph = patches.graph
    low = graph.position[:, 1] < np.median(graph.position[:, 1])

    def distances(nodes):
        return torch.from_numpy(graph.distances_from(np.array(nodes)))

    inside = int(np.flatnonzero(low)[0])
    missed = int(np.where(~low, distances([inside])[0, :, 0], np.inf).argmin())  # just beyond the border
    clicks = np.array([inside, missed]), np.ones(2, dtype=bool)
    collapsed = np.isin(np.arange(len(graph)), clicks[0])  # nothing but the clicked nodes
    depth = distances([missed])[0, :, 0].numpy()
    near = depth <= 3.0 * depth[low].min() + 0.02
    assert 0 < (near & low).sum() < low.sum()
    local = correct_locally(answer_of(low, 0.9), answer_of(collapsed, 0.5), distances, *clicks)
    assert np.array_equal(local.selected, np.where(near, collapsed, low))


def test_each_further_click_corrects_the_answer_to_those_before_it(segmenter, monkeypatch):
    answers, asked = segmenter.prepared.answers, []
    of_network = NodeAnswers.of_network

    def recorded(self, sets):
        asked.extend(sets)
        return of_network(self, sets)

    monkeypatch.setattr(NodeAnswers, "of_network", recorded)
    nodes, positive = np.array([7, 90, 41]), np.array([False, True, True])
    answers.answer(nodes, positive)
    chain = [each for each in asked if next(iter(each.nodes)) == 90]
    assert [list(each.nodes) for each in chain[:3]] == [[90], [90, 7], [90, 7, 41]], "a positive click begins"
    assert chain[0].previous is None and np.array_equal(chain[1].previous, answers.single(90).logits[1])


def test_where_the_votes_disagree_a_click_means_its_component_unless_it_is_a_crumb_or_everything():
    component, area = np.repeat([0, 1, 2], [60, 39, 1]), np.r_[np.full(99, 0.01), 0.001].astype(np.float32)
    components, place = Components(component, area / area.sum()), np.arange(100)
    doubted, sure = answer_of(place < 20, 0.5), answer_of(place < 20, 0.9)
    instead = components.instead_of(doubted, 5)
    assert np.array_equal(instead.selected, component == 0)
    assert np.array_equal(instead.logits[0] > 0, place < 20), "what was elected is the finer answer"
    assert components.instead_of(sure, 5) is sure and components.instead_of(doubted, 99) is doubted
    whole = Components(np.zeros(100, dtype=np.int64), np.full(100, 0.01, dtype=np.float32))
    assert whole.instead_of(doubted, 5) is doubted
    spilled = components.instead_of(answer_of(place < 70, 0.5), 5)
    assert np.array_equal(spilled.selected, component == 0) and np.array_equal(spilled.logits[2] > 0, place < 70)


def test_an_answer_that_holds_no_other_click_gives_way_to_many_that_agree_on_more():
    area = np.full(10, 0.1, dtype=np.float32)
    many = np.where(np.arange(10) < 6, 3.0, -3.0) * np.ones((5, 3, 1))
    votes = Votes(np.arange(1, 6), many.astype(np.float16), np.full((5, 3), 0.9, np.float32), area)
    tiny = np.where(np.arange(10) < 1, 3.0, -3.0) * np.ones((3, 1))
    elected, quality = votes.elect(0, tiny, np.array([0.3, 0.4, 0.3]))
    assert np.flatnonzero(elected[1] > 0).tolist() == list(range(6))
    assert quality[1] > 0.5


def test_the_parts_of_the_mesh_that_hold_a_click_vote_on_it_with_its_answers():
    rng, place = np.random.default_rng(4), np.arange(30)
    area = rng.uniform(0.5, 1.5, 30).astype(np.float32)
    area /= area.sum()
    meant = np.stack([place < end for end in (5, 6, 7, 22)])
    logits = np.stack([np.stack([np.where(mask, 2.0, -2.0)] * 3) for mask in meant]).astype(np.float16)
    quality = rng.uniform(0.4, 1.0, (4, 3)).astype(np.float32)
    votes = Votes(np.arange(4), logits, quality, area)
    own = np.stack([np.where(place < end, 1.0, -1.0) for end in (8, 9, 10)]).astype(np.float32)
    parts = Parts(np.stack([place < 14, place < 15]), np.array([0.25, 0.75]))
    answer, consent = votes.elect(2, own, np.array([0.2, 0.7, 0.3], np.float32), parts)

    def iou(first, second):
        return area[first & second].sum() / area[first | second].sum()

    voters = [*np.repeat(meant, 3, axis=0), own[1] > 0]
    weight = np.r_[quality.ravel().astype(np.float64) ** 2, 1.0]
    agreed = sum(w * iou(answer[1] > 0, other) for w, other in zip(weight, voters)) / weight.sum()
    assert consent[1] == pytest.approx(agreed, abs=1e-5), "how sure it is, the answers alone say"
    weight = np.r_[weight, 0.6 * weight.sum() * parts.weight]
    candidates, voters = voters, [*voters, *parts.selected]
    support = [sum(w * iou(each, other) for w, other in zip(weight, voters)) for each in candidates]
    assert np.array_equal(answer[1] > 0, candidates[int(np.argmax(support))])
    without, _ = votes.elect(2, own, np.array([0.2, 0.7, 0.3], np.float32))
    assert (without[1] > 0).sum() < (answer[1] > 0).sum(), "else the test says nothing of parts"
    assert (np.diff(answer, axis=0) >= 0).all() and answer.dtype == np.float32


def test_the_ladder_nests_holds_the_default_and_reaches_other_readings():
    area, place = np.full(40, 1 / 40, dtype=np.float32), np.arange(40)
    meant = [place < end for end in (6, 6, 13, 13, 24, 24, 36, 36)]
    logits = np.stack([np.stack([np.where(mask, 1.0, -1.0)] * 3) for mask in meant]).astype(np.float16)
    votes = Votes(np.arange(8), logits, np.full((8, 3), 0.8, dtype=np.float32), area)
    own = np.stack([np.where(place < 13, 1.0, -1.0)] * 3).astype(np.float32)
    rungs, expected, default = votes.ladder(3, own, np.full(3, 0.8, dtype=np.float32), own[1])
    assert ((rungs[1:] > 0) >= (rungs[:-1] > 0)).all() and np.array_equal(rungs[default] > 0, place < 13)
    assert (rungs > 0).sum(axis=1).tolist() == [6, 13, 24, 36]
    slow = [np.mean([(r & m).sum() / (r | m).sum() for m in [*meant, *(place < 13,)]]) for r in rungs > 0]
    assert np.allclose(expected, slow, atol=0.01)
    parts = Parts(np.stack([place < 3, place < 36]), np.array([0.9, 0.1]))
    longer, _, default = votes.ladder(3, own, np.full(3, 0.8, dtype=np.float32), own[1], parts)
    assert (longer > 0).sum(axis=1).tolist() == [3, 6, 13, 24, 36], "a part is a rung"
    assert np.array_equal(longer[default], rungs[1])


def test_many_answers_of_like_sizes_do_not_crowd_the_others_out_of_the_ladder():
    area, place = np.full(100, 0.01, dtype=np.float32), np.arange(100)
    ends = [end for end in (10, 12, 14, 16, 18, 20, 23) for _ in range(20)] + [60]
    logits = np.stack([np.stack([np.where(place < end, 1.0, -1.0)] * 3) for end in ends]).astype(np.float16)
    votes = Votes(np.zeros(len(ends), np.int64), logits, np.full((len(ends), 3), 0.8, dtype=np.float32), area)
    own = logits[80].astype(np.float32)  # up to 18
    rungs, _, default = votes.ladder(3, own, np.full(3, 0.8, dtype=np.float32), own[1])
    sizes = (rungs > 0).sum(axis=1).tolist()
    assert sizes[default] == 18 and sizes[-1] == 60 and len(sizes) == 6, "one answer of its own size is a rung"


def test_the_clicked_component_is_a_reading_unless_it_is_a_crumb_or_everything():
    size = np.array([2, 398, 600])  # thousandths
    components = Components(np.repeat([0, 1, 2], size), np.full(1000, 1e-3, dtype=np.float32))
    parts = Parts(np.ones((1, 1000), dtype=bool), np.ones(1))
    assert components.beside(parts, 0) is parts, "a crumb"
    found = components.beside(parts, 5).selected
    assert len(found) == 2 and np.array_equal(found[1], components.component == 1)
    assert Components(np.zeros(1000, np.int64), components.area).beside(parts, 5) is parts, "everything"


def test_what_is_expected_of_an_answer_to_a_click_is_how_far_it_is_the_parts_that_hold_it(segmenter):
    answers, node = segmenter.prepared.answers, 40
    parts, area = answers.tree.parts_at(node), answers.graph.area
    assert parts.selected[:, node].all() and parts.weight.sum() == pytest.approx(1)

    def slow(selected):
        each = [area[selected & part].sum() / area[selected | part].sum() for part in parts.selected]
        return np.average(each, weights=parts.weight)

    answer = answers.single(node)
    clicks = np.array([node]), np.array([True])
    rungs, default = answers.ladder(*clicks)
    for found in (answer, rungs):
        assert found.shown.tolist() == pytest.approx([slow(row) for row in found.logits > 0], abs=1e-5)
    assert rungs.shown[default] == pytest.approx(answer.shown[1], abs=1e-5) and answer.shown.dtype == np.float32
    alone = replace(answers, tree=None)
    assert alone.single(node).expected is None and alone.ladder(*clicks)[0].expected is None


def test_the_ladder_of_a_click_holds_its_default_answer_and_that_of_several_is_the_candidates(segmenter):
    faces, signs = np.array([120]), np.array([True])
    ladder = segmenter.face_ladder(faces, signs)
    assert ladder.default is not None and 1 <= len(ladder.probability) <= 6
    assert np.array_equal(ladder.probability[ladder.default] > 0.5, segmenter.face_probability(faces, signs) > 0.5)
    assert (np.diff((ladder.probability > 0.5).astype(int), axis=0) >= 0).all()
    both = Clicks.from_lists([120], [10])
    assert np.array_equal(segmenter.ladder(both).probability, segmenter.candidates(both).probability)


def test_the_even_face_of_a_solid_is_a_rung_of_its_own(shipped):
    mesh, fine = shipped.mesh, shipped.patches.fine
    assert len(np.unique(fine.facets)) == 12, "of two boxes"
    axis, outward = np.abs(mesh.face_normals).argmax(axis=1), mesh.face_normals.sum(axis=1) > 0
    box = (mesh.faces < 98).all(axis=1)
    found = []
    for face in range(0, mesh.num_faces, 16):
        even = np.all([each == each[face] for each in (box, axis, outward)], axis=0)
        ladder = shipped.face_ladder(np.array([face]), np.array([True]))
        rungs = ladder.probability > 0.5
        assert (np.diff(rungs.sum(axis=1)) > 0).all(), "no rung twice"
        found.append(any(np.array_equal(rung, even) for rung in rungs))
    assert np.mean(found) > 0.5, "most often: unless it cuts through what else the click may mean"


def test_rungs_that_are_one_or_nothing_on_faces_are_left_out_and_the_even_face_is_drawn_to_its_edges(shipped):
    mesh, graph, answers = shipped.mesh, shipped.patches.graph, shipped.prepared.answers
    head, top = (mesh.faces >= 98).all(axis=1), mesh.face_normals[:, 1] > 0.9
    on_head = graph.component == graph.component[graph.position[:, 1].argmax()]

    class Told(NodeAnswers):
        def ladder(self, nodes, positive, facet=None):
            inner = facet & (graph.position[:, 0] < np.quantile(graph.position[facet, 0], 0.85))
            rows = [~on_head, inner, on_head, on_head, *[np.ones_like(facet)] * 2]
            return NodeAnswer(np.where(rows, 4.0, -4.0).astype(np.float32), np.arange(6, dtype=np.float32) / 10), 3

    told = Told(graph, answers.network, answers.tensors)
    click = int(np.flatnonzero(head & top)[len(np.flatnonzero(head & top)) // 2])
    ladder = PriorSegmenter(replace(shipped.prepared, answers=told)).face_ladder(np.array([click]), np.array([True]))
    expected = [head & top, head, np.ones(mesh.num_faces, dtype=bool)]
    assert np.array_equal(ladder.probability > 0.5, expected) and ladder.default == 1
    assert ladder.quality.tolist() == pytest.approx([0.1, 0.3, 0.5]), "of rungs drawn alike the best"


def test_the_clicked_component_is_a_rung_though_no_answer_is_that(shipped):
    answers, graph = shipped.prepared.answers, shipped.patches.graph
    clicked = int(graph.position[:, 1].argmax())
    near = graph.distances_from(np.array([clicked]))[0, :, 0] < 0.2
    logits = np.where(near, 4.0, -4.0).astype(np.float16)[None, None].repeat(200, axis=0).repeat(3, axis=1)
    votes = Votes(np.full(200, clicked), logits, np.full((200, 3), 0.9, np.float32), graph.area)
    whole = NodeTree(np.zeros(len(graph), np.int64), np.zeros((0, 2), np.int64), np.zeros(0), np.ones(1))

    class Near(NodeAnswers):
        def of_network(self, sets):
            return logits[:1].astype(np.float32), votes.quality[:1]

    near_alone = Near(graph, answers.network, answers.tensors, votes, whole)
    found, _ = near_alone.ladder(np.array([clicked]), np.array([True]))
    component = graph.component == graph.component[clicked]
    assert any(np.array_equal(rung, component) for rung in found.logits > 0)


def test_coarse_faces_are_answered_whole(tetrahedron, weights):
    segmenter = PriorSegmenter.prepare(tetrahedron, FakeTeacher(), weights=weights, views=4, voters=0)
    probability = segmenter.face_probability(np.array([2]), np.array([True]))
    assert probability.shape == (4,) and segmenter.probability(Clicks.from_lists([1])).shape == (4,)


def test_views_and_votes_are_kept_and_a_damaged_cache_is_made_again(two_boxes, weights, tmp_path):
    teacher = FakeTeacher()

    def answer(weights=weights):
        ready = PriorSegmenter.prepare(two_boxes, teacher, tmp_path, weights, views=6, voters=20)
        return ready.probability(Clicks.from_lists([120]))

    def file(name):
        (path,) = tmp_path.glob(f"prior_{name}_*.npz")
        return path

    first, embedded = answer(), teacher.embed_calls
    written = {name: file(name).stat().st_mtime_ns for name in ("views", "votes", "tree")}
    assert np.array_equal(answer(), first) and teacher.embed_calls == embedded
    assert written == {name: file(name).stat().st_mtime_ns for name in written}
    assert load_npz(file("votes"))["nodes"].shape == (20,)
    for name in written:
        file(name).write_bytes(file(name).read_bytes()[:5000])
        assert np.array_equal(answer(), first) and file(name).stat().st_size > 5000
    assert teacher.embed_calls == 2 * embedded
    arrays = load_npz(file("views"))  # as written before, with what masks of clicks were prompted with
    save_npz(file("views"), compressed=False, **arrays, depth=np.zeros(1), cameras=np.zeros(1), fov_y=np.zeros(1))
    assert np.array_equal(answer(), first) and teacher.embed_calls == 2 * embedded
    other = load_torch(weights)
    other["weights"]["head.bias"] = other["weights"]["head.bias"] + 1
    save_torch(tmp_path / "other.pt", other)
    answer(tmp_path / "other.pt")
    for name in ("votes", "tree"):  # belong to the weights, views do not
        assert len(list(tmp_path.glob(f"prior_{name}_*.npz"))) == 2
    assert teacher.embed_calls == 2 * embedded


def test_weights_of_other_inputs_than_todays_are_refused(weights, tmp_path):
    held = load_torch(weights)
    for old in ({"format": 1, "left_out": ["masks"]}, {"config": {**held["config"], "neighborhood": True}}):
        save_torch(tmp_path / "old.pt", {**held, **old})
        with pytest.raises(UserError, match="does not hold a prior decoder of this version; export it again"):
            load_prior(tmp_path / "old.pt")
    save_torch(tmp_path / "old.pt", {**held, "format": 1, "kind": REFINED})
    with pytest.raises(UserError, match="refine it again with --overwrite 1"):
        load_prior(tmp_path / "old.pt")


def test_other_weights_are_measured_under_a_name_of_their_own(tetrahedron, weights, tmp_path):
    teacher = FakeTeacher()
    shipped, named, other = (
        iseg_prior(MethodSettings(prior_weights=file), teacher) for file in (None, WEIGHTS, weights)
    )
    assert shipped.identity == named.identity != other.identity
    prepared = other.prepare(tetrahedron, FaceGraph(tetrahedron))
    assert prepared.choice and prepared.segmenter.face_probability(np.array([2]), np.array([True])).shape == (4,)
    with pytest.raises(UserError, match="no prior decoder at"):
        MethodSettings(prior_weights=tmp_path / "none.pt")


def test_a_click_beside_the_border_gets_the_answer_that_most_clicks_in_the_part_agree_on():
    area = np.full(10, 0.1, dtype=np.float32)
    inside = np.arange(10) < 6
    answers = np.stack([np.where(inside, 2.0, -2.0)] * 3).astype(np.float32)
    logits = np.stack([np.stack([answer - 0.5, answer, answer + 0.5]) for answer in answers])
    logits[2, :, 6] = 1.0  # a voter that is alone with its opinion
    votes = Votes(np.array([0, 2, 4]), logits.astype(np.float16), np.full((3, 3), 0.8, dtype=np.float32), area)
    own = np.where(np.arange(10) < 9, 1.0, -1.0)  # spills beyond the part
    answer, quality = votes.elect(
        5, np.stack([own - 0.1, own, own + 0.1]).astype(np.float32), np.array([0.4, 0.5, 0.4], dtype=np.float32)
    )
    assert np.array_equal(answer[1] > 0, inside)
    assert (np.diff(answer, axis=0) >= 0).all() and np.array_equal(
        answer[2] > 0, np.arange(10) < 7
    )  # three answers more say so than spill
    weights = [0.64] * 9 + [1.0]  # three levels of each voter, and the own answer
    ious = [1, 1, 1] * 2 + [6 / 7] * 3 + [6 / 9]
    assert quality[1] == pytest.approx(np.average(ious, weights=weights), abs=1e-5)


def test_finer_and_coarser_are_what_else_clicks_there_may_mean():
    rng = np.random.default_rng(2)
    area = rng.uniform(0.5, 1.5, 40).astype(np.float32)
    area /= area.sum()
    place = np.arange(40)
    meant = [
        place < end for end in (20, 20, 20, 8, 8, 31, 31, 36)
    ]  # by the eight voters; all hold node 3, which is clicked
    logits = np.stack(
        [np.stack([np.where(mask ^ (rng.random(40) < 0.03) | (place == 3), 1.0, -1.0)] * 3) for mask in meant]
    ).astype(np.float16)
    quality = rng.uniform(0.5, 1.0, (8, 3)).astype(np.float32)
    votes = Votes(np.arange(1, 9), logits, quality, area)
    own = np.stack([np.where(place < end, 1.0, -1.0) for end in (19, 20, 22)]).astype(np.float32)
    own_quality = np.array([0.4, 0.6, 0.5], dtype=np.float32)
    answer, _ = votes.elect(3, own, own_quality)

    def iou(first, second):
        return area[first & second].sum() / area[first | second].sum()

    asked = [*(each > 0 for levels in logits for each in levels), *(own > 0)]
    weight = np.r_[quality.ravel(), own_quality].astype(np.float64) ** 2
    default = answer[1] > 0
    for level, other in (
        (0, [a for a in asked if area[a].sum() < area[default].sum() / 1.1]),
        (2, [a for a in asked if area[a].sum() > area[default].sum() * 1.1]),
    ):
        best = max(other, key=lambda c: sum(w * max(iou(c, a), iou(default, a)) for w, a in zip(weight, asked)))
        assert np.array_equal(answer[level] > 0, best & default if level == 0 else best | default)
    assert iou(answer[0] > 0, meant[3]) > 0.8 and iou(answer[2] > 0, meant[5]) > 0.8


def test_answers_to_clicks_outside_the_own_one_count_a_tenth():
    area = np.full(4, 0.25, dtype=np.float32)
    everything, left = np.ones(4), np.array([1.0, 1, -1, -1])
    votes = Votes(
        np.array([3]), np.stack([[everything] * 3]).astype(np.float16), np.ones((1, 3), dtype=np.float32), area
    )
    own = np.stack([left - 0.1, left, left + 0.1]).astype(np.float32)
    answer, quality = votes.elect(0, own, np.array([0.1, 0.2, 0.6], dtype=np.float32))
    assert np.array_equal(answer[1], own[2]), "of the own answers the one expected to be best"
    assert quality[1] == pytest.approx((1.0 + 3 * 0.1 * 0.5) / (1.0 + 3 * 0.1))


def test_pairwise_iou_is_that_of_each_pair():
    rng = np.random.default_rng(5)
    first, second, area = rng.random((3, 20)) < 0.5, rng.random((4, 20)) < 0.3, rng.random(20)
    slow = [[area[a & b].sum() / area[a | b].sum() for b in second] for a in first]
    assert np.allclose(pairwise_iou(first, second, area), slow, atol=1e-6)


def test_another_teacher_missing_weights_and_lone_vertices_are_refused(two_boxes, weights, tmp_path):
    with pytest.raises(UserError, match="--SAM vit_t"):
        PriorSegmenter.prepare(two_boxes, FakeTeacher())
    with pytest.raises(UserError, match="no prior decoder at"):
        load_prior(tmp_path / "none.pt")
    save_torch(tmp_path / "other.pt", {"config": {"width": 8}})
    with pytest.raises(UserError, match="does not hold a prior decoder"):
        load_prior(tmp_path / "other.pt")
    with_stray = Mesh(np.concatenate([two_boxes.vertices, [[0.0, 0, 0]]]), two_boxes.faces)
    ready = PriorSegmenter.prepare(with_stray, FakeTeacher(), weights=weights, views=4, voters=0)
    with pytest.raises(UserError, match="belongs to no face"):
        ready.probability(Clicks.from_lists([two_boxes.num_vertices]))


def test_shipped_prior_selects_a_part_of_a_mesh_it_has_never_seen(shipped, two_boxes, two_boxes_head):
    click = int(np.argmax(two_boxes.normalized @ [1, 0.2, 0.1]))
    selected = shipped.probability(Clicks.from_lists([click])) > 0.5
    assert (selected & two_boxes_head).sum() / (selected | two_boxes_head).sum() > 0.7
    assert WEIGHTS.stat().st_size < 5e6


@pytest.mark.slow
def test_a_mesh_without_a_decoder_is_answered_at_once(two_boxes, tmp_path, capsys):
    """The command that a newcomer types: views, field and answer on the spot."""
    save_colored_mesh(tmp_path / "mallet.ply", two_boxes, np.full((two_boxes.num_vertices, 3), 0.5))
    command = [
        "--mode",
        "test",
        "--obj_path",
        str(tmp_path / "mallet.ply"),
        "--save_dir",
        str(tmp_path / "out"),
        "--device",
        "cpu",
    ]
    assert decoder.main([*command, "--select_vertices", "100"]) == 0
    assert "prior decoder" in capsys.readouterr().out
    assert (np.load(tmp_path / "out" / "vertex_probability_v100.npy") > 0.5)[100]
    with pytest.raises(UserError, match="no decoder checkpoint"):
        decoder.main([*command, "--select_vertices", "100", "--segmenter", "trained"])


# --- training -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def example(patches, views, two_boxes, two_boxes_head) -> dict[str, np.ndarray]:
    """The mallet with the parts head and handle, as a shard of the training data has it."""
    head = two_boxes_head[two_boxes.faces[:, 0]][patches.fine.parent]
    part = (np.bincount(patches.node, head) > 0).astype(np.int64)
    arrays = {field.name: getattr(patches.graph, field.name) for field in fields(patches.graph)}
    labels = {"family": np.array("mallet"), "part": part, "group": np.zeros_like(part)}
    seen = {"features": views.features()[:, :64], "seen": views.seen}
    return {**arrays, **labels, **seen, "embedding": embed_nodes(two_boxes, patches.graph)}


@pytest.fixture(scope="module")
def shape(example) -> TrainingShape:
    return TrainingShape(example)


def test_first_clicks_lie_inside_and_corrections_in_the_larger_error(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        click_set = draw_set(shape, Habits(border_noise=0.0), rng)
        assert click_set is not None
        assert click_set.target[click_set.nodes[0]]
        selected = np.zeros(len(shape.graph), dtype=bool)
        before = len(click_set.nodes)
        correct(shape, click_set, selected, rng)
        if len(click_set.nodes) > before:
            assert click_set.positive[-1] and click_set.target[click_set.nodes[-1]]


def test_a_person_may_want_a_group_without_one_of_its_smaller_parts(example):
    place = example["position"][:, 0]
    part = np.digitize(place, np.quantile(place, (0.15, 0.3, 0.45)))
    shape, rng = TrainingShape(example | {"part": part, "group": (part > 0) + 0}), np.random.default_rng(1)
    group = part > 0
    left = [group & ~without_a_part(shape, group, rng) for _ in range(40)]
    found = {int(np.unique(part[each])[0]) for each in left}
    assert all(np.array_equal(each, part == part[each][0]) for each in left), "one whole part"
    smaller = [k for k in (1, 2, 3) if shape.share[part == k].sum() < shape.share[group].sum() / 2]
    assert found == set(smaller) and 3 not in found, "never the larger half"
    alone = part == 2
    assert np.array_equal(without_a_part(shape, alone, rng), alone)
    wishes = [draw_set(shape, Habits(group_share=1.0, left_out=1.0, border_noise=0.0), rng) for _ in range(10)]
    assert not any(np.array_equal(each.target, group) for each in wishes)


def test_pairs_of_pieces_are_learned_with_how_likely_two_points_of_them_are_in_one_part(example):
    shape, apart = TrainingShape(example), np.zeros((2, 2), dtype=bool)
    named = TrainingShape(example | {"named": example["part"], "same": apart, "similar": apart})
    part, clicked = example["part"].astype(np.int64), np.arange(0, len(shape.graph), 7)
    near = shape.graph.distances_from(clicked)[:, :, 0] < 0.5  # so that a part is several pieces
    logits = np.where((part[clicked][:, None] == part) & near, 3.0, -3.0).astype(np.float16)[:, None].repeat(3, axis=1)
    votes = Votes(clicked, logits, np.full((len(clicked), 3), 0.9, dtype=np.float32), shape.graph.area)
    found, inside = pairs_of_pieces(named, votes, Pieces.rule, 0.0, np.random.default_rng(0))
    in_part, in_group = found["joins_wanted"].T
    assert (in_group >= in_part - 1e-3).all()  # a group consists of parts
    at_first = in_part[: len(in_part) // 4]  # before pieces of different parts are joined
    assert set(np.unique(at_first)) == {0.0, 1.0}
    held_together = found["joins_known"][: len(at_first), joins.KNOWN.index("together")] > 0
    assert (at_first[held_together] == 1).all()  # no answer holds two parts
    assert (found["joins_weight"] > 0).all() and not pairs_of_parts(named, inside)["alike_wanted"].any()
    with pytest.raises(UserError, match="make them again"):
        pairs_of_parts(shape, inside)


def test_rounds_are_learned_from_with_whole_shards_held_out(tmp_path):
    with pytest.raises(UserError, match=r"train_prior\.py pairs --folder"):
        learned_and_held_out(tmp_path, "pairs")
    for number, shard in itertools.product((1, 2), range(3, 15)):
        (tmp_path / f"pairs_{number}_{shard:05d}.npz").touch()
    learned, aside = learned_and_held_out(tmp_path, "pairs")
    assert len(learned) == 20 and {path.stem[-2:] for path in aside} == {"03", "09"} and len(aside) == 4


def test_depth_is_the_distance_to_the_nearest_node_outside(shape):
    region = shape.graph.position[:, 1] > 0.2
    slow = shape.graph.distances_from(np.flatnonzero(~region))[..., 0].min(axis=0)
    border = shape.graph.depth_inside(region)
    assert np.allclose(border[region], slow[region], atol=1e-4) and (border[~region] == 0).all()


def test_details_join_the_neighbour_they_share_most_border_with():
    part, group = np.array([0, 0, 0, 1, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1, 1])
    area = np.array([0.2, 0.2, 0.1, 0.003, 0.2, 0.2, 0.097])
    pairs = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)])
    merged, groups = without_details(part, group, area, pairs, np.array([1, 1, 0.1, 5.0, 1, 1]))
    assert merged.tolist() == groups.tolist() == [0, 0, 0, 0, 1, 1, 1]  # the same group comes first


def test_a_small_key_joins_the_other_keys_and_not_the_case_around_it():
    part, group = np.array([0, 0, 0, 1, 2, 0]), np.array([0, 0, 0, 1, 1, 0])
    area = np.array([0.3, 0.3, 0.3, 0.02, 0.003, 0.077])
    pairs = np.array([(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)])
    merged, groups = without_details(part, group, area, pairs, np.ones(5))
    assert merged.tolist() == groups.tolist() == [0, 0, 0, 1, 1, 0]


def test_levels_above_the_groups_are_wishes_and_data_without_them_still_work(example):
    height = example["position"][:, 1]
    part = np.digitize(height, np.quantile(height, [0.2, 0.4, 0.6]))
    plain = TrainingShape({**example, "part": part, "group": part}).targets
    above = np.array([np.minimum(part, 2), np.minimum(part, 1)])
    deep = TrainingShape({**example, "part": part, "group": part, "above": above}).targets
    for level, label in ((0, 2), (1, 1)):
        wish = (deep.masks == (above[level] == label)).all(axis=1)
        assert wish.sum() == 1 and deep.kinds[wish] == GROUP
    assert (plain.kinds == GROUP).sum() == 4 and (deep.kinds == GROUP).sum() == 6


def test_coarse_labels_follow_the_group_that_most_of_their_area_is_in():
    coarse = most_of(np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1]), np.array([1.0, 1, 1, 1, 1]))
    assert coarse.tolist() == [0, 0, 0, 1, 1]
    group, area = np.array([0, 0, 1, 1, 2]), np.ones(5)
    levels = levels_over(group, [np.array([0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 0])], area)
    assert levels.tolist() == [[0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert levels_over(group, [], area).shape == (0, 5)


def test_loss_is_least_for_the_target_and_iou_is_by_area():
    target, weight = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0.4, 0.1, 0.3, 0.2])
    right = segmentation_loss(8 * (2 * target - 1), target, weight)
    assert (
        right
        < 0.02
        < segmentation_loss(torch.zeros(4), target, weight)
        < segmentation_loss(8 * (1 - 2 * target), target, weight)
    )
    assert hard_iou(torch.tensor([1.0, -1, 1, -1]), target, weight).item() == pytest.approx(0.4 / 0.8)


def test_training_learns_a_shape_by_heart(shape):
    torch.manual_seed(0)
    network = PriorNetwork(PriorConfig(width=16, click_layers=2))
    optimizer, rng = torch.optim.AdamW(network.parameters(), lr=5e-3), np.random.default_rng(0)
    settings = PriorTraining(sets=4, rounds=2, border_noise=0.0, anywhere=0.0, dropout=0.0)
    records = [r for _ in range(30) for r in train_rounds(network, [shape], optimizer, settings, rng)]
    assert np.mean([r.loss for r in records[-8:]]) < 0.5 * np.mean([r.loss for r in records[:4]])
    assert np.mean([r.iou for r in records[-8:]]) > 0.8


def test_hiding_an_input_hides_it(shape):
    click_set = draw_set(shape, Habits(border_noise=0.0, anywhere=0.0), np.random.default_rng(1))
    assert click_set is not None
    whole = shape.batch([click_set], shape.nodes).channels
    torch.manual_seed(0)
    network = PriorNetwork(PriorConfig(width=16, click_layers=2))
    encoded = network.encode(shape.nodes)
    for name in INPUTS:
        (static, channels), nodes = COLUMNS[name], shape.nodes.hiding(name)
        hidden = shape.batch([click_set], nodes).channels
        both = [*channels, *(KIND_CHANNELS + k for k in channels)]
        others = [k for k in range(whole.shape[-1]) if k not in both]
        assert (hidden[..., both] == 0).all() and torch.equal(hidden[..., others], whole[..., others])
        said = shape.nodes.static[:, list(static)].any() or name in ("field", "embedding")  # the mallet has no walls
        assert torch.equal(network.encode(nodes), encoded) == (not said)


def test_decays_hold_no_subnormal_numbers(shape):
    """Processors are thirty times slower with them, and diffusion over long times is full of them."""
    tiny = torch.finfo(torch.float32).tiny
    assert not ((shape.nodes.heat != 0) & (shape.nodes.heat.abs() < tiny)).any()


def test_a_finer_answer_to_clicks_that_no_wish_holds_together_is_the_part_at_each(example):
    height = example["position"][:, 1]
    low, high = np.quantile(height, [0.3, 0.7])
    part = np.where(height < low, 0, np.where(height > high, 2, 1))
    ends, nodes = part != 1, [int(np.flatnonzero(part == label)[0]) for label in (0, 2)]
    click_set = ClickSet(ends, ends, ends, nodes, [True, True])
    nest(TrainingShape({**example, "part": part, "group": part}), click_set)
    assert np.array_equal(click_set.smaller, ends) and np.array_equal(click_set.larger, ends)


def test_clicks_fall_anywhere_in_the_region_when_asked(shape):
    region = shape.targets.masks[0]
    rng = np.random.default_rng(0)
    assert len({first_click(shape, region, rng, 0.0) for _ in range(10)}) == 1
    clicks = {first_click(shape, region, rng, 1.0) for _ in range(10)}
    assert len(clicks) > 4 and region[list(clicks)].all()


class Killed(BaseException):
    """As kill -9, of a training."""


def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(example, tmp_path):
    for number, count in ((2, 1), (3, 4)):  # 2 is held out
        shard = {f"{k}/{name}": value for k in range(count) for name, value in example.items()}
        save_npz(tmp_path / "data" / f"shapes_{number:05d}.npz", compressed=False, **shard)
    projection = {"mean": torch.zeros(256), "components": torch.eye(256)[:, :64], "teacher": FakeTeacher.name}
    save_torch(tmp_path / "data" / "projection.pt", projection)

    def run(folder, on_progress=lambda step: None, **changed):
        told = {"steps": 8, "width": 8, "device": "cpu", "save_seconds": 0.0, "bfloat16": False} | changed
        train(TrainSettings(folder=tmp_path / folder, data=tmp_path / "data", **told), on_progress)
        return load_torch(tmp_path / folder / "checkpoint.pt")

    def kill(step):
        raise Killed

    whole = run("whole", save_seconds=1e9)  # saves at the end alone
    with pytest.raises(Killed):
        run("parts", kill)
    assert 0 < load_torch(tmp_path / "parts" / "checkpoint.pt")["done"]["steps"] < 8
    parts = run("parts")
    for kind in ("network", "average"):
        assert all(torch.equal(value, whole[kind][key]) for key, value in parts[kind].items())
    assert parts["done"]["steps"] == whole["done"]["steps"] >= 8
    with pytest.raises(UserError, match="other settings"):
        run("parts", anywhere=0.5)
    with pytest.raises(UserError, match="not between 0 and 1"):
        run("parts", anywhere=1.5)
    with pytest.raises(UserError, match="no family of shapes is called hamer"):
        run("parts", hold_out=("hamer",))


def test_shapes_of_an_earlier_version_are_refused_by_name(example, tmp_path):
    old = {f"0/{key}": value for key, value in example.items() if key != "embedding"}
    save_npz(tmp_path / "shapes_00005.npz", compressed=False, **old)
    with pytest.raises(UserError, match=r"shapes_00005\.npz was made by an earlier version"):
        Shapes(tmp_path, (), torch.device("cpu"))


def test_measuring_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="no checkpoint of the prior"):
        train_prior.main(["measure", "--folder", str(tmp_path)])


@pytest.mark.slow
def test_a_prior_is_trained_measured_exported_and_answers(tmp_path, two_boxes):
    """The commands of scripts/train_prior.py one after the other, with few shapes and little time."""

    def run(action: str, *options: str, folder: str = "run") -> None:
        places = ["--folder", str(tmp_path / folder), "--data", str(tmp_path / "data"), "--device", "cpu"]
        assert train_prior.main([action, *places, *options]) == 0

    run("data", "--SAM", "vit_t", "--shards", "2", "4", "--init", str(WEIGHTS))  # 2 is held out
    run("train", "--minutes", "0.03", "--width", "16")
    run("train", "--minutes", "0.06", "--width", "16")
    assert len(load_json(tmp_path / "run" / "log.json")) == 2  # the second went on where the first had stopped
    run("measure")
    assert set(load_json(tmp_path / "run" / "measured.json")["rows"]) == {"innermost clicks", "clicks anywhere"}
    out = tmp_path / "prior.pt"
    run("export", "--out", str(out))
    segmenter = PriorSegmenter.prepare(two_boxes, load_teacher("vit_t"), weights=out, views=6, voters=24)
    assert segmenter.probability(Clicks.from_lists([120]))[120] > 0.5

    for _ in range(2):  # what is there is not made again
        run("corrections", "--shards", "2", "4", folder="judge")
    run("corrections", "--shards", "2", "3", "--judge", str(JUDGE), "--round", "2", folder="judge")
    assert len(list((tmp_path / "judge").glob("corrections_*.npz"))) == 3
    places = ["--folder", str(tmp_path / "judge"), "--out", str(tmp_path / "judge.pt")]
    assert train_prior.main(["judge", *places, "--epochs", "2"]) == 0
    assert load_judge(tmp_path / "judge.pt").config == Judge().config

    for _ in range(2):
        run("pairs", "--shards", "2", "4", folder="pairs")
    run("pairs", "--shards", "2", "3", "--round", "2", folder="pairs")
    assert len(list((tmp_path / "pairs").glob("pairs_*.npz"))) == 3
    weights = {name: tmp_path / f"{name}.pt" for name in ("joins", "alike")}
    places = ["--folder", str(tmp_path / "pairs"), *(f"--{name}={path}" for name, path in weights.items())]
    assert train_prior.main(["proposals", *places, "--epochs_joins", "1", "--epochs_alike", "2"]) == 0
    for name, module in (("joins", joins), ("alike", alike)):
        assert load_scores(weights[name], module.KIND, module.KNOWN).config.members == 4

    run("train", "--minutes", "0.02", "--width", "16", "--init", str(out), folder="second")
    assert load_torch(tmp_path / "second" / "checkpoint.pt")["done"]["before"]["steps"] > 0
    run("train", "--minutes", "0.02", "--init", str(WEIGHTS), folder="shipped")
    with pytest.raises(UserError, match="of this architecture"):
        run("train", "--minutes", "0.02", "--width", "24", "--init", str(out), folder="third")
    projection = load_torch(tmp_path / "data" / "projection.pt")
    save_torch(tmp_path / "data" / "projection.pt", projection | {"mean": projection["mean"] + 1})
    with pytest.raises(UserError, match="another projection"):
        run("train", "--minutes", "0.02", "--init", str(WEIGHTS), folder="third")


def test_nodes_have_the_embedding_of_the_points_beside_them(two_boxes):
    mesh = two_boxes
    graph, cloud = cut(mesh).graph, sample_cloud(mesh)
    embedded = embed_nodes(mesh, graph)
    points = Embedder(load_network(POINT_WEIGHTS, "embedding"), cloud)()
    assert embedded.shape == (len(graph), EMBEDDING) and np.array_equal(embedded, embed_nodes(mesh, graph))
    for node in range(0, len(graph), 97):
        away = np.linalg.norm(cloud.positions - graph.position[node], axis=1)
        away += 10.0 * (cloud.normals @ graph.normal[node] < 0.9)  # around the corner
        near = points[np.argsort(away)[:12]]
        assert (embedded[node] >= near.min(axis=0) - 1e-4).all() and (embedded[node] <= near.max(axis=0) + 1e-4).all()


def test_a_graph_layer_is_what_the_joined_neighbourhoods_give(shipped):
    nodes, layer = shipped.prepared.answers.tensors, shipped.prepared.answers.network.click_layers[0]
    hidden = torch.randn(len(nodes), 3, 72, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        values, found = layer.norm(hidden), layer(hidden, nodes)
        for each in range(3):
            own = values[:, each]
            near, far = nodes.concave(own), own
            for _ in range(layer.hops):
                far = nodes.concave(far)
            decay = torch.exp(-nodes.rates[:, None] * layer.log_time.exp())
            spread = nodes.modes @ (decay * (nodes.modes.T @ (nodes.area[:, None] * own)))
            mixed = layer.mix(torch.cat([own, near, far, spread], dim=1))
            slow = hidden[:, each] + layer.out(torch.nn.functional.gelu(mixed))
            torch.testing.assert_close(found[:, each], slow, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(not has_bfloat16_kernels(), reason="no bfloat16 kernels here")
def test_votes_in_bfloat16_are_those_in_float32_but_for_rounding(shipped, monkeypatch):
    answers = shipped.prepared.answers
    monkeypatch.setattr("utils.device._multiplies_bfloat16_faster", lambda: True)
    exact, fast = (ask_around(answers, np.ones(len(answers.tensors)), 48, fast=fast) for fast in (False, True))
    assert not np.array_equal(exact.logits, fast.logits), "both are exact"
    either = (exact.selected | fast.selected).sum(axis=1)
    assert ((exact.selected & fast.selected).sum(axis=1)[either > 0] / either[either > 0]).mean() > 0.97
