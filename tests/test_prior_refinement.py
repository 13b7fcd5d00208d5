"""Refining the prior on one mesh: what lifted masks say, how they vote and correct, and the command line."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from decoder import DecoderSettings
from models.iseg.decoder_stage import train_decoder
from models.prior.checkpoint import is_refined_prior
from models.prior.components import AGREED
from models.prior.corrections import NodeAnswer, TaughtCorrections
from models.prior.judge import Judge, JudgeConfig
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.refinement import masks_on_nodes, refine
from models.prior.segmenter import Prepared, PriorSegmenter, prepare
from models.prior.taught import LiftedMasks, TaughtVotes, diffused
from models.prior.tree import NodeTree
from models.prior.votes import Votes
from tests.fakes import FakeTeacher
from tests.halves import write_halves
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.geometry.mesh import load_mesh
from utils.output.export import save_colored_mesh
from utils.progress import silent
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import lift_masks
from utils.supervision.store import SupervisionSet


@pytest.fixture(scope="module")
def work(icosphere, tmp_path_factory):
    """A folder with mesh.ply, click supervision and an untrained prior."""
    directory = tmp_path_factory.mktemp("refinement")
    save_colored_mesh(directory / "mesh.ply", icosphere, np.full((icosphere.num_vertices, 3), 0.5))
    write_halves(directory / "data", load_mesh(directory / "mesh.ply"), views=10, clicked=40)
    torch.manual_seed(3)
    network = PriorNetwork(PriorConfig(width=16, static_layers=1, click_layers=1, hops=2))
    save_torch(
        directory / "prior.pt",
        {
            "config": asdict(network.config),
            "weights": network.state_dict(),
            "teacher": FakeTeacher.name,
            "format": 3,
            "field_mean": torch.zeros(256),
            "field_components": torch.eye(256)[:, :64],
        },
    )
    return directory


@pytest.fixture(scope="module")
def mesh(work):
    return load_mesh(work / "mesh.ply")


@pytest.fixture(scope="module")
def prepared(work, mesh) -> Prepared:
    return prepare(mesh, FakeTeacher(), weights=work / "prior.pt", views=6, voters=0)


def _settings(work, save_dir, **changed) -> DecoderSettings:
    told = {"obj_path": work / "mesh.ply", "device": "cpu", "decoder_data_dir": work / "data"}
    return DecoderSettings(**told | {"save_dir": save_dir} | changed)


def _refine(work, save_dir, on_progress=silent, **changed) -> None:
    refine(_settings(work, save_dir, **changed), on_progress, FakeTeacher(), work / "prior.pt")


@pytest.fixture(scope="module")
def refined(work, tmp_path_factory):
    """The folder of a finished refinement."""
    directory = tmp_path_factory.mktemp("refined")
    _refine(work, directory)
    return directory


# --- what lifted masks say ------------------------------------------------------------------------


def test_masks_on_nodes_are_the_weighted_means_over_the_corners_of_their_faces(work, mesh, prepared):
    samples = SupervisionSet.open(work / "data", mesh)
    generator = torch.Generator().manual_seed(0)
    targets = lift_masks(samples, torch.arange(len(samples)), Rasterizer(mesh, "embree"), generator)
    shares, shown = masks_on_nodes(prepared, targets)
    patches, faces = prepared.patches, prepared.patches.mesh.faces
    for k in (0, len(shares) - 1):
        weight, target = targets.weight[k].numpy(), targets.target[k].numpy()
        for n in range(0, len(patches.graph), 97):
            total = inside = 0.0
            for fine in np.flatnonzero(patches.node == n):
                for vertex in faces[patches.fine.parent[fine]]:
                    total += patches.fine.area[fine] * weight[vertex]
                    inside += patches.fine.area[fine] * weight[vertex] * target[vertex]
            assert shown[k, n] == (total > 0)
            if total > 0:
                assert shares[k, n] == pytest.approx(inside / total, abs=1e-5)


def test_masks_are_averaged_over_the_clicks_that_hold_each_other(prepared):
    graph, rng = prepared.patches.graph, np.random.default_rng(0)
    nodes = rng.choice(len(graph), 12, replace=False)
    masks, shown = rng.random((12, len(graph))).astype(np.float32), rng.random((12, len(graph))) < 0.7
    shown[np.arange(11), nodes[:11]], shown[11, nodes[11]] = True, False  # the last does not show its own click
    lifted = LiftedMasks.of(graph, nodes, masks, shown)
    assert lifted is not None and np.array_equal(lifted.nodes, nodes[:11])
    values = masks[:11].copy()
    for k in range(11):
        values[k, nodes[k]] = max(values[k, nodes[k]], 0.51)

    def holds(k, j):
        return shown[k, nodes[j]] and values[k, nodes[j]] > 0.5

    def iou(k, j):
        both = shown[k] & shown[j]
        one, other = (values[k] > 0.5) & both, (values[j] > 0.5) & both
        return graph.area[one & other].sum() / graph.area[one | other].sum()

    for k in (0, 5):
        group = [j for j in range(11) if holds(k, j) and holds(j, k)]
        for n in range(0, len(graph), 131):
            known = [values[j, n] for j in group if shown[j, n]]
            if known:
                assert lifted.inside[k, n] == pytest.approx(np.mean(known), abs=1e-5)
    agreement = [np.mean([iou(k, j) for j in range(11) if holds(k, j)]) for k in range(11)]
    assert lifted.consistency == pytest.approx(np.average(agreement, weights=graph.area[nodes[:11]]), abs=1e-5)
    assert LiftedMasks.of(graph, nodes[11:], masks[11:], shown[11:]) is None


def test_what_no_view_shows_takes_what_its_neighbours_have():
    pairs = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    values = np.array([[1.0, 0.0], [9.0, 0.5], [9.0, 9.0], [0.0, 1.0], [9.0, 9.0], [9.0, 9.0]], dtype=np.float32)
    known = np.array([[1, 1], [0, 1], [0, 0], [1, 1], [0, 0], [0, 0]], dtype=bool)
    expected = [[1, 0], [1, 0.5], [0, 0.75], [0, 1], [0, 0], [0, 0]]  # no neighbour of the last two is ever known
    assert np.allclose(diffused(values, known, pairs), expected)


def test_masks_that_agree_lead_and_others_advise(prepared):
    graph = prepared.patches.graph
    half = graph.position[:, 0] > 0
    nodes = np.arange(0, len(graph), 20)
    right = np.where(half[nodes][:, None], half, ~half).astype(np.float32)
    shown = np.ones_like(right, dtype=bool)
    perfect = LiftedMasks.of(graph, nodes, right, shown)
    assert perfect is not None and perfect.leads and perfect.consistency == pytest.approx(1) and perfect.share > 0.5
    wrong = np.random.default_rng(1).random(right.shape) < 0.5
    confused = LiftedMasks.of(graph, nodes, wrong.astype(np.float32), shown)
    assert confused is not None and not confused.leads and confused.share < 0.31


def test_masks_find_their_nodes_again_where_another_machine_cut_them_a_little_differently(prepared):
    graph, rng = prepared.patches.graph, np.random.default_rng(0)
    lifted = LiftedMasks(np.array([3, 50]), rng.random((2, len(graph))).astype(np.float32), 0.7)
    again = LiftedMasks.restore(lifted.state(graph), graph)
    assert np.array_equal(again.nodes, lifted.nodes) and np.abs(again.inside - lifted.inside).max() < 0.5 / 255 + 1e-6
    state, order = lifted.state(graph), rng.permutation(len(graph))
    state["position"] = torch.from_numpy(graph.position[order] + np.float32(1e-5))
    moved = LiftedMasks.restore(state, graph)
    assert np.array_equal(moved.nodes, order[lifted.nodes])
    assert np.allclose(moved.inside[:, order], again.inside)


# --- votes and corrections ------------------------------------------------------------------------

AREA = np.full(12, 1 / 12, dtype=np.float32)
PLACE = np.arange(12)


def _rows(*ends: int) -> np.ndarray:
    return np.stack([np.where(end > PLACE, 2.0, -2.0) for end in ends]).astype(np.float32)


def _votes(consistency: float) -> TaughtVotes:
    """All of the prior's answers are the first ten nodes, all of the teacher's masks the first five."""
    votes = Votes(np.array([0, 2, 4]), np.stack([_rows(10, 10, 10)] * 3), np.full((3, 3), 0.9, np.float32), AREA)
    return TaughtVotes.joining(votes, LiftedMasks(np.array([1, 3]), (_rows(5, 5) > 0).astype(np.float32), consistency))


def test_a_trusted_teacher_outvotes_the_prior_and_another_does_not():
    own, quality = _rows(9, 10, 11), np.array([0.5, 0.9, 0.5], dtype=np.float32)
    trusted, _ = _votes(0.95).elect(2, own, quality)
    doubted, _ = _votes(0.4).elect(2, own, quality)
    assert np.array_equal(trusted[1] > 0, PLACE < 5) and np.array_equal(doubted[1] > 0, PLACE < 10)
    elsewhere, _ = _votes(0.95).elect(7, own, quality)
    assert np.array_equal(elsewhere[1] > 0, PLACE < 10), "no mask holds the click"


@pytest.mark.parametrize("part, moved", [(3, False), (6, True)])
def test_a_teacher_that_only_advises_moves_to_what_is_alike(part, moved, monkeypatch):
    own, quality = _rows(9, 10, 11), np.array([0.5, 0.9, 0.5], dtype=np.float32)
    answers = np.stack([_rows(10, 10, 10), _rows(10, 10, 10), _rows(part, part, part)])
    votes = Votes(np.array([0, 1, 2]), answers, np.full((3, 3), 0.9, np.float32), AREA)
    masks = LiftedMasks(np.array([1, 2]), (_rows(part, part) > 0).astype(np.float32), 0.5)
    taught = TaughtVotes.joining(votes, masks)
    alone, _ = votes.elect(0, own, np.array([0.5, 1.0, 0.5], dtype=np.float32))
    assert np.array_equal(alone[1] > 0, PLACE < 10)
    advised, _ = taught.elect(0, own, quality)
    assert np.array_equal(advised[1] > 0, (part if moved else 10) > PLACE)
    monkeypatch.setattr("models.prior.votes.NEAR", 0.0)
    assert np.array_equal(taught.elect(0, own, quality)[0][1] > 0, part > PLACE)


@pytest.mark.parametrize("trusted", [True, False])
def test_components_do_not_overrule_a_trusted_teacher(prepared, trusted):
    graph = prepared.patches.graph
    graph = replace(graph, component=(graph.position[:, 0] > 0).astype(np.int64))
    nodes = np.arange(0, len(graph), 40)
    own = np.random.default_rng(0).normal(size=(len(nodes), 3, len(graph))).astype(np.float16)  # no two agree
    upper = graph.position[:, 1] > 0
    masks = np.where(upper[nodes][:, None], upper, ~upper).astype(np.float32)
    lifted = LiftedMasks(nodes, masks, 0.7 if trusted else 0.5)
    votes = TaughtVotes.joining(Votes(nodes, own, np.full((len(nodes), 3), 0.5, np.float32), graph.area), lifted)
    answers = replace(prepared.answers, graph=graph, votes=votes)
    answer = answers.single(int(nodes[0]))
    expected = upper == upper[nodes[0]] if trusted else graph.component == graph.component[nodes[0]]
    assert answer.quality[1] < AGREED and np.array_equal(answer.selected, expected)


@pytest.mark.parametrize("certain", [True, False])
def test_parts_vote_beside_a_trusted_teacher_but_not_beside_a_certain_one(prepared, certain):
    graph = prepared.patches.graph
    upper, right = graph.position[:, 1] > 0, graph.position[:, 0] > 0
    nodes = np.arange(0, len(graph), 40)
    own = np.where((right[nodes][:, None] == right)[:, None].repeat(3, axis=1), 4.0, -4.0).astype(np.float16)
    masks = np.where(upper[nodes][:, None], upper, ~upper).astype(np.float32)
    lifted = LiftedMasks(nodes, masks, 0.95 if certain else 0.8)
    votes = TaughtVotes.joining(Votes(nodes, own, np.full((len(nodes), 3), 0.5, np.float32), graph.area), lifted)
    tree = NodeTree(right.astype(np.int64), np.array([[0, 1]]), np.array([0.9]), np.ones(3))
    answer = replace(prepared.answers, votes=votes, tree=tree).single(int(nodes[0]))
    half = upper if certain else right
    assert np.array_equal(answer.selected, half == half[nodes[0]])


@pytest.mark.parametrize("certain", [True, False])
def test_a_certain_teacher_says_what_a_correction_means_and_a_less_certain_one_is_judged_beside_others(
    prepared, certain
):
    graph, shown = prepared.patches.graph, []

    class First(Judge):
        def choose(self, known: np.ndarray, allowed: np.ndarray) -> tuple[int, float]:
            shown.append(len(known))
            return 0, 0.5

    upper = graph.position[:, 1] > 0
    nodes = np.arange(0, len(graph), 40)
    masks = np.where(upper[nodes][:, None], upper, ~upper).astype(np.float32)
    lifted = LiftedMasks(nodes, masks, 0.95 if certain else 0.8)
    own = np.random.default_rng(0).normal(size=(len(nodes), 3, len(graph))).astype(np.float16)
    votes = TaughtVotes.joining(Votes(nodes, own, np.full((len(nodes), 3), 0.5, np.float32), graph.area), lifted)
    answers = replace(prepared.answers, votes=votes, judge=First(JudgeConfig()))
    alone = replace(answers, judge=None)
    clicks = np.array([graph.position[:, 1].argmax(), graph.position[:, 1].argmin()]), np.array([True, False])
    assert np.array_equal(answers.answer(*clicks).logits, alone.answer(*clicks).logits), "the teacher's is the first"
    assert (not shown) if certain else shown[0] > 5


def _corrections(quality: float = 0.99) -> TaughtCorrections:
    """Twelve nodes in a row, a step apart; the teacher knows the parts 0-3, 4-7 and 8-11."""
    parts = np.stack([part == PLACE // 4 for part in range(3)]).astype(np.float32)
    lifted = LiftedMasks(np.array([1, 5, 9]), parts, 1.0)

    def single(node: int) -> NodeAnswer:
        return NodeAnswer(np.stack([lifted.logits[node // 4]] * 3), np.full(3, quality, dtype=np.float32))

    def correct(before, nodes, positive):
        chosen = np.isin(PLACE, nodes[positive])
        return NodeAnswer(np.stack([np.where(chosen, 1.0, -1.0)] * 3), np.full(3, 0.5, dtype=np.float32))

    def distances(nodes):
        away = np.abs(PLACE - np.array(nodes)[:, None]).astype(np.float32)
        return torch.from_numpy(np.stack([away, away, away], axis=-1))

    return TaughtCorrections(single, correct, distances, lifted, AREA, spacing=0.5)


@pytest.mark.parametrize(
    ("clicks", "expected"),
    [
        ([1], [0, 1, 2, 3]),
        ([1, 4], [0, 1, 2, 3, 4]),  # beside the border: it moves there alone
        ([1, -3], [0, 1, 2]),
        ([1, 10], [0, 1, 2, 3, 8, 9, 10, 11]),  # farther away: the part that is there
    ],
)
def test_a_correction_moves_the_border_beside_it_or_takes_the_part_that_the_teacher_knows(clicks, expected):
    nodes, positive = np.abs(clicks), np.array(clicks) >= 0
    corrections = _corrections(quality=0.9)
    answer = corrections.single(int(nodes[0]))
    for count in range(2, len(nodes) + 1):
        answer = corrections(answer, nodes[:count], positive[:count])
    assert np.flatnonzero(answer.selected).tolist() == expected
    assert np.array_equal(answer.selected[nodes], positive)


def test_a_part_is_taken_away_whole_and_one_that_holds_a_wish_is_not():
    corrections = _corrections(quality=0.9)
    both = NodeAnswer(_rows(8, 8, 8), np.full(3, 0.9, dtype=np.float32))
    taken = corrections(both, np.array([1, 6]), np.array([True, False]))
    assert np.flatnonzero(taken.selected).tolist() == [0, 1, 2, 3]
    torn = corrections(both, np.array([4, 6]), np.array([True, False]))
    assert torn.selected[4] and not torn.selected[6]


def test_the_answer_to_several_clicks_is_a_mask_that_keeps_to_all_of_them_else_the_networks():
    corrections = _corrections()
    kept = corrections.elect(corrections.single(1), np.array([1, 3]), np.array([True, True]))
    assert np.flatnonzero(kept.selected).tolist() == [0, 1, 2, 3]
    torn = corrections.elect(corrections.single(1), np.array([1, 3]), np.array([True, False]))
    assert np.flatnonzero(torn.selected).tolist() == [1]


# --- command line ---------------------------------------------------------------------------------


def test_training_refines_the_prior_by_default_and_its_checkpoint_answers(work, mesh, refined, capsys):
    assert not _settings(work, refined).from_scratch
    path = refined / "decoder_checkpoint.pth"
    assert is_refined_prior(path)
    segmenter = PriorSegmenter.prepare(mesh, FakeTeacher(), weights=path, views=6, voters=24)
    assert segmenter.kind == "trained" and segmenter.sources == {"checkpoint": str(path)}
    points, clicked = mesh.normalized, int(mesh.normalized[:, 0].argmax())
    half = (segmenter.probability(Clicks.from_signed([str(clicked)])) > 0.5) == (points[:, 0] > 0)
    assert half.mean() > 0.85, "what the teacher's masks say, not what the untrained network does"
    tree = segmenter.part_tree
    halves = tree.labels(tree.cut_into(2))[:, None] == np.arange(2)
    alike = [
        np.average((halves[:, k] == (mesh.face_centroids[:, 0] > mesh.center[0])), weights=mesh.face_areas)
        for k in range(2)
    ]
    assert max(alike) > 0.8, "its parts are what the masks say, too"
    before = path.read_bytes()
    _refine(work, refined)
    assert "already refined" in capsys.readouterr().out and path.read_bytes() == before


def test_a_missing_or_damaged_checkpoint_is_no_refined_prior(tmp_path, work, mesh, refined):
    assert not is_refined_prior(tmp_path / "none.pth") and not is_refined_prior(work / "prior.pt")
    (tmp_path / "damaged.pth").write_bytes((work / "prior.pt").read_bytes()[:2000])
    assert not is_refined_prior(tmp_path / "damaged.pth")
    held = load_torch(refined / "decoder_checkpoint.pth")
    for harm in ({"nodes": torch.tensor([10**6])}, {"inside": torch.zeros(2, 3)}, {"position": None}):
        save_torch(tmp_path / "harmed.pth", held | {"lifted": held["lifted"] | harm})
        with pytest.raises(UserError, match="make it again with --overwrite 1"):
            prepare(mesh, FakeTeacher(), weights=tmp_path / "harmed.pth", views=6, voters=4)


def test_refinements_of_other_settings_meshes_and_kinds_are_refused(work, icosphere, refined, tmp_path):
    with pytest.raises(UserError, match="another click supervision or prior; add --overwrite 1"):
        _refine(work, refined, views_per_vert=1)
    for described in ({"loss": "lifted"}, {"steps": 5}):
        with pytest.raises(UserError, match="--init scratch"):
            _settings(work, tmp_path, init="prior", **described)
    with pytest.raises(UserError, match="refined on another mesh"):
        moved = type(icosphere)(icosphere.vertices * [1, 2, 1], icosphere.faces)
        prepare(moved, FakeTeacher(), weights=refined / "decoder_checkpoint.pth")
    save_torch(tmp_path / "pred_f.pth", torch.zeros(icosphere.num_vertices, 256))
    features = _settings(work, refined, encoder_f_path=tmp_path / "pred_f.pth")
    assert features.from_scratch  # the features describe the paper's training
    with pytest.raises(UserError, match="not a decoder checkpoint"):
        train_decoder(features)
