"""The prior decoder: nodes, diffusion, what clicks and views say, clean borders, and answers on meshes never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

import decoder
from models.prior import data as prior_data
from models.prior.borders import Borders
from models.prior.data import choose_clicks, depth_inside, kinds_of, without_details
from models.prior.inputs import COLUMNS, INPUTS, KIND_CHANNELS, NodeTensors
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.nodes import Patches, diffusion_modes, spread_out, subdivided
from models.prior.segmenter import WEIGHTS, PriorSegmenter, load_prior
from models.prior.training import (
    ClickSet,
    PriorTraining,
    TrainingShape,
    batch_of,
    correct,
    draw_set,
    far_members,
    far_set,
    first_click,
    hard_iou,
    nest,
    segmentation_loss,
    set_losses,
    train_rounds,
)
from models.prior.unions import apart, click_both
from models.prior.views import NodeViews, fill_unseen
from models.prior.votes import VOTERS, Votes, pairwise_iou
from SAM_repo.teacher import load_teacher
from scripts import train_prior
from tests.fakes import FakeTeacher
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import load_json, load_torch, save_torch
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.output.export import save_colored_mesh


@pytest.fixture(scope="module")
def patches(two_boxes) -> Patches:
    return Patches(two_boxes, nodes=200)


@pytest.fixture(scope="module")
def views(patches) -> NodeViews:
    return NodeViews.render(patches, FakeTeacher(), views=8)


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
            "config": network.config.to_dict(),
            "weights": network.state_dict(),
            "teacher": FakeTeacher.name,
            "field_mean": torch.zeros(256),
            "field_components": torch.eye(256)[:, :64],
        },
    )
    return path


@pytest.fixture(scope="module")
def segmenter(two_boxes, weights) -> PriorSegmenter:
    return PriorSegmenter(two_boxes, FakeTeacher(), weights=weights, views=8, voters=24)


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
    on_head = two_boxes_head[two_boxes.faces[:, 0]][patches.parent]
    share = np.bincount(patches.node, on_head) / np.bincount(patches.node)
    assert np.isin(share, (0, 1)).mean() > 0.95


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
    nodes = NodeTensors.of(
        patches.graph, np.random.default_rng(0).normal(size=(len(patches.graph), 8)), np.ones(len(patches.graph))
    )
    values = torch.randn(len(nodes), 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(len(nodes), 3, generator=torch.Generator().manual_seed(1))
    for averaging in (nodes.plain, nodes.concave):
        dense = averaging.matrix.to_dense()
        assert torch.allclose(dense.sum(dim=1), torch.ones(len(nodes)), atol=1e-5)
        assert torch.allclose(averaging(values), dense @ values, atol=1e-5)
        (gradient,) = torch.autograd.grad((averaging(values) * weight).sum(), values)
        assert torch.allclose(gradient, dense.T @ weight, atol=1e-5)


def test_masks_of_many_clicks_are_those_of_each(views):
    faces = views.patches.center[np.flatnonzero(views.seen > 0.4)[[3, 20, 40]]]
    together = views.click_masks(faces)
    assert together.shape == (3, views.num_nodes, 4) and together[..., 3].max() > 0
    for row, face in enumerate(faces):
        assert np.allclose(views.click_masks(np.array([face]))[0], together[row], atol=1e-6)
        assert together[row, views.patches.node[face], 0] > 0.5  # the clicked node is in the click's own mask


def test_views_reload_as_they_were(views):
    again = NodeViews.from_arrays(views.patches, views.teacher, views.to_arrays())
    assert np.array_equal(again.features(), views.features()) and np.array_equal(again.seen, views.seen)


def test_unseen_nodes_take_their_neighbours_value():
    pairs = np.array([(0, 1), (1, 2), (2, 3), (3, 4)])
    values = np.array([[1.0], [0], [0], [0], [3.0]])
    filled = fill_unseen(values, np.array([True, False, False, False, True]), pairs)
    assert np.allclose(filled[:, 0], [1, 1, 2, 3, 3])


# --- borders ------------------------------------------------------------------------------------


def test_tidy_drops_stray_pieces_closes_holes_and_obeys_clicks(icosphere):
    borders = Borders(Patches(icosphere, nodes=60))
    points = borders.patches.centroids
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
    probability = borders.on_faces(np.stack([logits - 1, logits, logits + 1]))
    assert (np.diff(probability, axis=0) >= -1e-9).all()
    assert ((probability[1] > 0.5) == (patches.centroids[:, 1] > 0.3)).mean() > 0.93


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


def test_clicked_vertices_are_obeyed(segmenter):
    generator = np.random.default_rng(0)
    for _ in range(5):
        vertices = generator.choice(segmenter.num_vertices, size=4, replace=False)
        for row in segmenter.candidates(Clicks.from_lists(vertices[:2], vertices[2:])).probability:
            assert (row[vertices[:2]] > 0.5).all() and (row[vertices[2:]] < 0.5).all()


def test_copies_of_clicks_do_not_matter(segmenter):
    first = segmenter.probability(Clicks.from_lists([120, 30], [10]))
    assert np.array_equal(segmenter.probability(Clicks.from_lists([120, 30, 120], [10, 10])), first)


def test_corrections_of_a_trusted_answer_are_local_and_of_another_are_not(segmenter, monkeypatch):
    position, node = segmenter.patches.graph.position, segmenter.patches.node
    low = position[:, 1] < np.median(position[:, 1])
    agreement = {}

    def answer(faces, positive):
        """One click: the lower half. More: nothing but the clicked nodes, as a network that collapses."""
        selected = low.copy()
        if len(faces) > 1:
            selected[:] = False
            selected[node[faces[positive]]] = True
        return np.stack([np.where(selected, 1.0, -1.0)] * 3), np.full(3, agreement["value"])

    monkeypatch.setattr(segmenter, "answer_together", answer)
    away = segmenter.patches.graph.distances_from(np.array([np.flatnonzero(low)[0]]))[0, :, 0]
    missed = int(np.where(~low, away, np.inf).argmin())  # just beyond the border
    clicks = segmenter.patches.center[[np.flatnonzero(low)[0], missed]], np.ones(2, dtype=bool)
    agreement["value"] = 0.9
    depth = segmenter.patches.graph.distances_from(np.array([missed]))[0, :, 0]
    near = depth <= 3.0 * depth[low].min() + 0.02
    logits, _ = segmenter._answer_in_order(*clicks)
    assert (
        np.array_equal(logits[1] > 0, np.where(near, answer(*clicks)[0][1] > 0, low))
        and 0 < (near & low).sum() < low.sum()
    )
    agreement["value"] = 0.7
    assert np.array_equal(segmenter._answer_in_order(*clicks)[0], answer(*clicks)[0])


def test_positive_clicks_whose_selections_do_not_touch_are_answered_one_by_one(segmenter, monkeypatch):
    position = segmenter.patches.graph.position
    asked = []

    def balls(faces, positive):
        """The nodes near the positive clicks: nearer if there are several."""
        asked.append((sorted(faces[positive].tolist()), sorted(faces[~positive].tolist())))
        away = np.linalg.norm(position[:, None] - position[segmenter.patches.node[faces[positive]]], axis=2).min(axis=1)
        logit = (0.15 if positive.sum() > 1 else 0.3) - away
        return np.stack([logit - 0.01, logit, logit + 0.01]), np.full(3, positive.sum() / 10)

    monkeypatch.setattr(segmenter, "answer_together", balls)
    centers = segmenter.patches.center
    low, high = centers[position[:, 1].argmin()], centers[position[:, 1].argmax()]
    near = centers[np.argsort(np.linalg.norm(position - position[segmenter.patches.node[low]], axis=1))[3]]
    logits, quality = segmenter._node_answer(np.array([low, high, near]), np.array([True, True, False]))
    assert (
        asked[2::2] == [([low], []), ([high], [])]
        and asked[3::2] == [([low], [near]), ([high], [near])]
        and quality == pytest.approx(0.1)
    )
    assert np.array_equal(
        logits, np.maximum(balls(np.array([low]), np.ones(1, bool))[0], balls(np.array([high]), np.ones(1, bool))[0])
    )
    joint = segmenter._node_answer(np.array([low, near]), np.array([True, True]))[0]
    assert np.array_equal(joint, balls(np.array([low, near]), np.ones(2, bool))[0])  # one part, clicked twice


def test_leaving_an_input_out_later_is_leaving_it_out_from_the_beginning(segmenter, two_boxes, weights):
    clicks = Clicks.from_lists([120], [10])
    before = segmenter.probability(clicks)
    later = segmenter.leaving_out("concave").probability(clicks)
    begun = PriorSegmenter(
        two_boxes, FakeTeacher(), weights=weights, views=8, voters=24, without=("concave",)
    ).probability(clicks)
    assert np.array_equal(later, begun) and not np.array_equal(later, before)
    assert np.array_equal(segmenter.probability(clicks), before)


def test_coarse_faces_are_answered_whole(tetrahedron, weights):
    segmenter = PriorSegmenter(tetrahedron, FakeTeacher(), weights=weights, views=6)
    probability = segmenter.face_probability(np.array([2]), np.array([True]))
    assert probability.shape == (4,) and segmenter.probability(Clicks.from_lists([1])).shape == (4,)


def test_views_and_votes_are_kept_and_a_damaged_cache_is_made_again(two_boxes, weights, tmp_path, monkeypatch):
    asked = []
    forward = PriorNetwork.forward
    monkeypatch.setattr(PriorNetwork, "forward", lambda *args: asked.append(len(args[3])) or forward(*args))

    def answer(teacher, **changed):
        asked.clear()
        return PriorSegmenter(
            two_boxes, teacher, tmp_path, **{"weights": weights, "views": 6, "voters": 20} | changed
        ).probability(Clicks.from_lists([120]))

    first = answer(FakeTeacher())
    assert sum(asked) == 21  # the voters, and the click
    teacher = FakeTeacher()
    assert np.array_equal(answer(teacher), first)
    assert teacher.embed_calls == 0 and sum(asked) == 1
    for name, remade in (("prior_views", lambda: teacher.embed_calls > 0), ("prior_votes", lambda: sum(asked) == 21)):
        (path,) = tmp_path.glob(f"{name}_*.npz")
        path.write_bytes(path.read_bytes()[:5000])
        assert np.array_equal(answer(teacher), first) and remade()
    other = load_torch(weights)
    other["weights"]["head.bias"] = other["weights"]["head.bias"] + 1
    save_torch(tmp_path / "other.pt", other)
    answer(teacher, weights=tmp_path / "other.pt")
    assert sum(asked) == 21  # votes belong to the weights


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


def test_clicks_outside_the_own_answer_have_no_vote():
    area = np.full(4, 0.25, dtype=np.float32)
    everything, left = np.ones(4), np.array([1.0, 1, -1, -1])
    votes = Votes(
        np.array([3]), np.stack([[everything] * 3]).astype(np.float16), np.ones((1, 3), dtype=np.float32), area
    )
    own = np.stack([left - 0.1, left, left + 0.1]).astype(np.float32)
    answer, quality = votes.elect(0, own, np.array([0.1, 0.2, 0.6], dtype=np.float32))
    assert np.array_equal(answer[1], own[2]) and quality[1] == pytest.approx(
        1.0
    )  # of the own answers the one expected to be best


def test_pairwise_iou_is_that_of_each_pair():
    rng = np.random.default_rng(5)
    first, second, area = rng.random((3, 20)) < 0.5, rng.random((4, 20)) < 0.3, rng.random(20)
    slow = [[area[a & b].sum() / area[a | b].sum() for b in second] for a in first]
    assert np.allclose(pairwise_iou(first, second, area), slow, atol=1e-6)


def test_another_teacher_missing_weights_and_lone_vertices_are_refused(two_boxes, weights, tmp_path):
    with pytest.raises(UserError, match="--SAM vit_t"):
        PriorSegmenter(two_boxes, FakeTeacher())
    with pytest.raises(UserError, match="no prior decoder at"):
        load_prior(tmp_path / "none.pt")
    save_torch(tmp_path / "other.pt", {"config": {"width": 8}})
    with pytest.raises(UserError, match="does not hold a prior decoder"):
        load_prior(tmp_path / "other.pt")
    with_stray = Mesh(np.concatenate([two_boxes.vertices, [[0.0, 0, 0]]]), two_boxes.faces)
    with pytest.raises(UserError, match="belongs to no face"):
        PriorSegmenter(with_stray, FakeTeacher(), weights=weights, views=4).probability(
            Clicks.from_lists([two_boxes.num_vertices])
        )


def test_shipped_prior_selects_a_part_of_a_mesh_it_has_never_seen(two_boxes, two_boxes_head):
    segmenter = PriorSegmenter(two_boxes, load_teacher("vit_t"), views=10, voters=VOTERS)
    click = int(np.argmax(two_boxes.normalized @ [1, 0.2, 0.1]))
    selected = segmenter.probability(Clicks.from_lists([click])) > 0.5
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
def shape(patches, views, two_boxes, two_boxes_head) -> TrainingShape:
    head = two_boxes_head[two_boxes.faces[:, 0]][patches.parent]
    part = (np.bincount(patches.node, head) > 0).astype(np.int64)
    clicks = choose_clicks(part, views.seen > 0, patches, np.random.default_rng(0))
    graph = patches.graph
    arrays = {
        name: getattr(graph, name)
        for name in (
            "position",
            "normal",
            "area",
            "curvature",
            "thickness",
            "pairs",
            "length",
            "conductance",
            "modes",
            "rates",
        )
    }
    return TrainingShape(
        {
            **arrays,
            "family": np.array("mallet"),
            "features": views.features()[:, :64],
            "seen": views.seen,
            "part": part,
            "group": np.zeros_like(part),
            "part_kind": np.array([0, 1]),
            "group_kind": np.array([0]),
            "clicks": clicks,
            "masks": np.round(views.click_masks(patches.center[clicks]) * 255),
        }
    )


def test_first_clicks_lie_inside_and_corrections_in_the_larger_error(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        click_set = draw_set(shape, PriorTraining(border_noise=0.0), rng)
        assert click_set.target[click_set.nodes[0]]
        selected = np.zeros(len(shape.graph), dtype=bool)
        before = len(click_set.nodes)
        correct(shape, click_set, selected, rng)
        if len(click_set.nodes) > before:
            assert click_set.positive[-1] and click_set.target[click_set.nodes[-1]]


def test_depth_is_the_distance_to_the_nearest_node_outside(shape):
    region = shape.graph.position[:, 1] > 0.2
    slow = shape.graph.distances_from(np.flatnonzero(~region))[..., 0].min(axis=0)
    border = depth_inside(region, shape.graph)
    assert np.allclose(border[region], slow[region], atol=1e-4) and (border[~region] == 0).all()


def test_details_join_the_neighbour_they_share_most_border_with():
    part, group = np.array([0, 0, 0, 1, 2, 2, 2]), np.array([0, 0, 0, 0, 1, 1, 1])
    area = np.array([0.2, 0.2, 0.1, 0.005, 0.2, 0.2, 0.095])
    pairs = np.array([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)])
    merged, groups = without_details(part, group, area, pairs, np.array([1, 1, 0.1, 5.0, 1, 1]))
    assert merged.tolist() == [0, 0, 0, 0, 1, 1, 1] and groups.tolist() == [
        0,
        0,
        0,
        0,
        1,
        1,
        1,
    ]  # the same group comes first


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


def test_undoing_what_was_right_costs_more_than_leaving_what_was_wrong():
    target, weight = np.array([True, True, False, False]), torch.full((4,), 0.25)
    logits = torch.tensor([4.0, 4.0, 4.0, -4.0]).expand(1, 3, 4)  # the third node is wrong

    def loss(right: list[bool], hold: float) -> float:
        click_set = ClickSet(target, target, target, [0], [True], right=np.array(right))
        return float(set_losses(logits, torch.zeros(1, 3), [click_set], weight, PriorTraining(hold=hold))[0])

    undone, left = [False, False, True, False], [True, True, False, True]
    assert loss(undone, 1.0) > loss(undone, 0.0) == loss(left, 0.0) > loss(left, 1.0)


def test_training_learns_a_shape_by_heart(shape):
    torch.manual_seed(0)
    network = PriorNetwork(PriorConfig(width=16, click_layers=2))
    optimizer, rng = torch.optim.AdamW(network.parameters(), lr=5e-3), np.random.default_rng(0)
    settings = PriorTraining(sets=4, rounds=2, border_noise=0.0, anywhere=0.0, dropout=0.0)
    records = [r for _ in range(30) for r in train_rounds(network, [shape], optimizer, settings, rng)]
    assert np.mean([r["loss"] for r in records[-8:]]) < 0.5 * np.mean([r["loss"] for r in records[:4]])
    assert np.mean([r["iou"] for r in records[-8:]]) > 0.8


PLAIN = PriorTraining(border_noise=0.0, anywhere=0.0)


def test_leaving_an_input_out_hides_it(shape):
    click_set = draw_set(shape, PLAIN, np.random.default_rng(1))
    whole = batch_of(shape, [click_set])[3]
    network = PriorNetwork(PriorConfig(width=16, click_layers=2))
    encoded = network.encode(shape.nodes)
    for name in INPUTS:
        channels, static = COLUMNS[name][1], COLUMNS[name][0]
        hidden = batch_of(shape, [click_set], (name,))[3]
        assert (hidden[..., list(channels)] == 0).all() and (
            hidden[..., [KIND_CHANNELS + k for k in channels]] == 0
        ).all()
        assert torch.equal(hidden, whole) == (not channels)
        assert torch.equal(network.encode(shape.nodes, (name,)), encoded) == (not static and name != "field")
    masks = shape.example["masks"]
    shape.example["masks"] = np.zeros_like(masks)
    blind = batch_of(shape, [click_set], ("masks",))[3]
    shape.example["masks"] = masks
    assert torch.equal(batch_of(shape, [click_set], ("masks",))[3], blind)


def test_decays_hold_no_subnormal_numbers(shape):
    """Processors are thirty times slower with them, and diffusion over long times is full of them."""
    tiny = torch.finfo(torch.float32).tiny
    assert not ((shape.nodes.heat != 0) & (shape.nodes.heat.abs() < tiny)).any()


@pytest.fixture(scope="module")
def table(shape) -> TrainingShape:
    """The shape of the tests with other labels: two alike ends (part kind 1) and a middle between them."""
    height = shape.graph.position[:, 1]
    low, high = np.quantile(height, [0.3, 0.7])
    part = np.where(height < low, 0, np.where(height > high, 2, 1)).astype(np.int16)
    return TrainingShape(
        {
            **shape.example,
            "part": part,
            "group": part,
            "part_kind": np.array([1, 0, 1]),
            "group_kind": np.array([0, 1, 2]),
        }
    )


def test_wishes_for_several_parts_begin_with_a_click_in_each_and_grow(table):
    rng, settings = np.random.default_rng(0), PriorTraining(border_noise=0.0, far_share=1.0)
    part, grown = table.example["part"], 0
    for _ in range(40):
        if not (members := far_members(table, rng)):  # it began with the middle, which touches both ends
            continue
        click_set = far_set(table, members, settings, rng)
        assert all(click_set.positive) and click_set.target[click_set.nodes].all()
        assert len(set(part[click_set.nodes])) == len(click_set.nodes)
        if click_set.later:
            correct(table, click_set, click_set.target.copy(), rng)  # all that is wanted so far is selected
            grown += 1
        assert sorted(set(part[click_set.target])) == sorted(set(part[click_set.nodes])) == [0, 2]
    assert 3 < grown < 35


def test_a_finer_answer_to_clicks_on_several_parts_is_the_part_at_each(table):
    ends = table.example["part"] != 1
    nodes = [int(np.flatnonzero(table.example["part"] == label)[0]) for label in (0, 2)]
    click_set = ClickSet(ends, ends, ends, nodes, [True, True])
    nest(table, click_set)
    assert np.array_equal(click_set.smaller, ends) and np.array_equal(click_set.larger, ends)


def test_clicks_fall_anywhere_in_the_region_when_asked(shape):
    region = shape.targets[0][0]
    rng = np.random.default_rng(0)
    assert len({first_click(shape, region, rng, 0.0) for _ in range(10)}) == 1
    clicks = {first_click(shape, region, rng, 1.0) for _ in range(10)}
    assert len(clicks) > 4 and region[list(clicks)].all()


def test_alike_parts_share_a_kind():
    names = ["seat", "front left leg", "hind right leg 2", "left"]
    named = np.array([0, 0, 1, 1, 2, 2, 3])
    assert kinds_of(np.array([0, 0, 1, 1, 2, 2, 2]), named, names, np.ones(7)).tolist() == [1, 0, 0]
    assert kinds_of(named, named, names, np.ones(7)).tolist() == [
        2,
        1,
        1,
        0,
    ]  # a name of nothing but places stays what it is


def test_pairs_of_parts_share_no_edge_and_both_are_clicked(icosphere):
    height = icosphere.vertices[icosphere.faces].mean(axis=1)[:, 1]
    parts = [height < -0.4, (height >= -0.4) & (height <= 0.4), height > 0.4]
    graph, areas = FaceGraph(icosphere), icosphere.face_areas
    assert apart(parts, graph, areas, 5, np.random.default_rng(0)) == [(0, 2)]

    class Obedient:
        """Selects the part of each positive click."""

        def probabilities(self, faces, positive):
            assert positive.all()
            return np.any([part for part in parts if part[faces].any()], axis=0).astype(float)

    assert click_both(Obedient(), graph, areas, parts[0], parts[2], clicks=4) == {"iou": [1.0, 1.0, 1.0], "each": 1.0}


def test_measuring_says_what_is_missing(tmp_path):
    with pytest.raises(UserError, match="give --psb_dir"):
        train_prior.main(["unions", "--folder", str(tmp_path)])
    with pytest.raises(UserError, match="no checkpoint of the prior"):
        train_prior.main(["measure", "--folder", str(tmp_path)])


@pytest.mark.slow
def test_a_prior_is_trained_measured_exported_and_answers(tmp_path, monkeypatch, two_boxes):
    """The four commands of scripts/train_prior.py one after the other, with few shapes and little time."""
    monkeypatch.setattr(prior_data, "SHARD_SHAPES", 3)
    monkeypatch.setattr(train_prior, "PROJECTION_SEEDS", range(900_000, 900_002))

    def run(action: str, *options: str, folder: str = "run") -> None:
        assert (
            train_prior.main(
                [
                    action,
                    "--folder",
                    str(tmp_path / folder),
                    "--data",
                    str(tmp_path / "data"),
                    "--device",
                    "cpu",
                    *options,
                ]
            )
            == 0
        )

    run("data", "--SAM", "vit_t", "--shards", "2", "5")  # 2 is held out
    run("train", "--minutes", "0.03", "--width", "16", "--left_out", "masks", "curvature")
    run("train", "--minutes", "0.06", "--width", "16", "--left_out", "masks", "curvature")
    assert len(load_json(tmp_path / "run" / "log.json")) == 2  # the second went on where the first had stopped
    with pytest.raises(UserError, match="other settings"):
        run("train", "--minutes", "1", "--width", "16")
    run("measure")
    rows = load_json(tmp_path / "run" / "measured.json")["rows"]
    assert {"innermost clicks", "clicks anywhere", "without field"} <= set(rows) and "without curvature" not in rows
    out = tmp_path / "prior.pt"
    run("export", "--out", str(out))
    assert load_prior(out)[1]["left_out"] == ["curvature", "masks"]
    segmenter = PriorSegmenter(two_boxes, load_teacher("vit_t"), weights=out, views=6)
    assert segmenter.without == ("curvature", "masks") and segmenter.probability(Clicks.from_lists([120]))[120] > 0.5

    run(
        "train",
        "--minutes",
        "0.02",
        "--width",
        "16",
        "--init",
        str(out),
        "--far_share",
        "0.5",
        "--hold",
        "1",
        folder="second",
    )
    assert load_torch(tmp_path / "second" / "checkpoint.pt")["done"]["before"]["steps"] > 0
    with pytest.raises(UserError, match="another projection"):
        run("train", "--minutes", "0.02", "--init", str(WEIGHTS), folder="third")
    with pytest.raises(UserError, match="no family of shapes is called hamer"):
        run("train", "--hold_out", "hamer", folder="third")
