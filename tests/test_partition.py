"""The measures of partitions against examples worked by hand, what partitions are compared with, and the evaluation."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
import trimesh

from models.partitioners import NAMES, build_partitioner
from scripts import evaluate
from tests.labelled import save_shape
from utils.evaluation.partition import Cuts, People, consistency, hamming, overlaps, rand_index_error
from utils.evaluation.partition_baselines import components, expand, k_means, shape_diameter
from utils.evaluation.partition_runs import PEOPLE, Partitioner, actions, evaluate_partitions, usual_count
from utils.evaluation.runs import EvaluationSettings
from utils.files import load_json
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import PartTree

FIRST, SECOND = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2])


def strip(length: int) -> Mesh:
    """A flat strip of `length` squares of side 1 along x, two triangles each: 2 k and 2 k + 1 are square k."""
    x = np.arange(length + 1.0)
    vertices = np.concatenate([np.stack([x, 0 * x + y, 0 * x], axis=1) for y in (0.0, 1.0)])
    a = np.arange(length)
    faces = np.stack([np.c_[a, a + 1, a + length + 2], np.c_[a, a + length + 2, a + length + 1]], axis=1)
    return Mesh(vertices, faces.reshape(-1, 3))


# --- measures -------------------------------------------------------------------------------------------


def test_rand_index_error_counts_pairs_that_are_together_in_one_only():
    pairs = list(itertools.combinations(range(6), 2))
    differ = [(FIRST[i] == FIRST[j]) != (SECOND[i] == SECOND[j]) for i, j in pairs]
    assert sum(differ) == 5
    assert rand_index_error(overlaps(FIRST, SECOND)) == pytest.approx(5 / 15)
    assert rand_index_error(overlaps(FIRST, FIRST)) == 0


def test_hamming_rates_of_a_worked_example():
    """Part 0 of the truth lies in part 0; of part 1 one face is missed, whichever it goes to; part 2 lies in part 1.
    The other way round, one face of each of the two parts lies outside of its best part."""
    missing, false_alarm = hamming(overlaps(FIRST, SECOND))
    assert missing == pytest.approx(1 / 6)
    assert false_alarm == pytest.approx(2 / 6)


def test_consistency_errors_of_a_worked_example():
    """Share of the own part outside the other's, by face: first 1/3 1/3 2/3 2/3 1/3 1/3, second 0 0 1/2 1/2 0 0."""
    whole, local = consistency(overlaps(FIRST, SECOND))
    assert whole == pytest.approx((1 / 2 + 1 / 2) / 6)
    assert local == pytest.approx((1 / 2 + 1 / 2) / 6)
    refined = np.array([0, 0, 1, 2, 2, 3])
    assert consistency(overlaps(FIRST, refined)) == (0, 0), "a refinement is consistent"


def test_local_consistency_chooses_the_finer_partition_face_by_face():
    """Left three faces whole against 2 + 1, right three the other way round."""
    first, second = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 2, 2])
    whole, local = consistency(overlaps(first, second))
    assert whole == pytest.approx((1 / 3 + 1 / 3 + 2 / 3) / 6)
    assert local == 0


def test_cut_discrepancy_is_the_distance_of_the_cuts_both_ways_in_mean_radii():
    mesh = strip(10)
    square = np.repeat(np.arange(10), 2)
    cuts = Cuts(mesh)
    at_4, at_7 = (square >= 4).astype(int), (square >= 7).astype(int)
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    radius = np.linalg.norm(middle - middle.mean(axis=0), axis=1).mean()
    assert cuts.discrepancy(at_4, at_7) == pytest.approx((3 + 3) / radius, rel=1e-5)
    assert cuts.discrepancy(at_4, at_4) == 0
    both = at_4 + at_7
    assert cuts.discrepancy(at_4, both) == pytest.approx((0 + 1.5) / radius, rel=1e-5)
    assert cuts.discrepancy(at_4, np.zeros(20, dtype=int)) is None


def test_people_are_measured_against_everyone_else():
    mesh, square = strip(10), np.repeat(np.arange(10), 2)
    labels = np.stack([(square >= at).astype(int) for at in (4, 4, 7)])
    people = People(mesh, labels)
    between = people.each_other()
    assert between is not None
    apart = rand_index_error(overlaps(labels[0], labels[2]))
    assert between.rand_index == pytest.approx((2 * (0 + apart) / 2 + apart) / 3)
    assert people.against(labels[2]).rand_index == pytest.approx(2 / 3 * apart)
    assert People(mesh, labels[:1]).each_other() is None


# --- what partitions are compared with ----------------------------------------------------------------------


def test_components_are_parts_of_their_own(two_boxes, two_boxes_head):
    labels = components(two_boxes, FaceGraph(two_boxes))
    head = two_boxes_head[two_boxes.faces[:, 0]]
    assert len(np.unique(labels)) == 2 and len(np.unique(labels[head])) == 1


def test_k_means_makes_as_many_compact_parts(icosphere):
    graph = FaceGraph(icosphere)
    labels = k_means(icosphere, graph, 6)
    share = np.bincount(labels, icosphere.face_areas) / icosphere.face_areas.sum()
    assert len(share) == 6 and share.min() > 0.08


def test_shape_diameter_tells_a_thin_rod_from_a_thick_ball():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    rod = trimesh.creation.cylinder(radius=0.06, height=2.4, sections=24)
    for _ in range(3):
        rod = rod.subdivide()
    shape = trimesh.util.concatenate([ball, rod.apply_translation((0, 0, 1.7))])
    mesh = Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))
    labels = shape_diameter(mesh, FaceGraph(mesh))
    middle = mesh.vertices[mesh.faces].mean(axis=1)
    of_ball = np.bincount(labels[(np.arange(mesh.num_faces) < len(ball.faces)) & (middle[:, 2] < 0)]).argmax()
    of_rod = np.bincount(labels[middle[:, 2] > 1]).argmax()
    assert of_ball != of_rod


def test_one_expansion_is_the_best_of_all():
    generator = np.random.default_rng(0)
    for _ in range(10):
        cost = generator.random((5, 2)).round(2)
        pairs = np.array([pair for pair in itertools.combinations(range(5), 2) if generator.random() < 0.5])
        weight = generator.random(len(pairs)).round(2)

        def energy(labels, cost=cost, pairs=pairs, weight=weight):
            labels = np.asarray(labels)
            return cost[np.arange(5), labels].sum() + weight[labels[pairs[:, 0]] != labels[pairs[:, 1]]].sum()

        best = min(map(energy, itertools.product((0, 1), repeat=5)))  # of two labels one expansion reaches all
        assert energy(expand(cost, pairs, weight)) == pytest.approx(best, abs=0.01)


# --- the evaluation -------------------------------------------------------------------------------------------


class _Strip(PartTree):
    """Leaves are the squares of a strip of four; joined 0-1, 2-3, all."""

    def __init__(self) -> None:
        super().__init__(np.array([[0, 1], [2, 3], [4, 5]]), np.array([0.5, 0.5, 1.0]))

    def labels(self, parts):
        places = [{leaf: place for place, part in enumerate(parts) for node in part for leaf in self.leaves(node)}]
        return np.repeat([places[0].get(leaf, -1) for leaf in range(4)], 2)

    def alike(self, part):
        raise NotImplementedError

    def membership(self, parts):
        raise NotImplementedError

    def info(self, node):
        raise NotImplementedError


def test_clicks_after_proposals_are_the_fewest_ways_there():
    """Proposed: squares 0-1 and 2-3. One fits; half of the other takes one split; all of it one merge of two."""
    squares = np.repeat(np.arange(4), 2)
    wanted = [squares <= 1, squares == 2, squares >= 0, (squares == 1) | (squares == 2)]
    assert actions(_Strip(), wanted, np.ones(8), alone=[3, 3, 3, 3]) == [0, 1, 2, 3]


def test_the_usual_number_of_parts_is_the_most_frequent():
    assert usual_count(np.array([[0, 1, 2], [0, 0, 1], [5, 5, 7]])) == 2


def _halves(mesh: Mesh, graph: FaceGraph, count: int) -> np.ndarray:
    return (np.arange(mesh.num_faces) >= mesh.num_faces // 2).astype(int)


def _nothing(mesh: Mesh, graph: FaceGraph, count: int) -> np.ndarray:
    raise AssertionError("measured again")


def _named(divide, name: str) -> Partitioner:
    return Partitioner(name, "halves 1", divide)


def test_an_evaluation_goes_on_where_it_was_interrupted(tmp_path):
    mesh = strip(6)
    save_shape(tmp_path, 1, mesh, _halves(mesh, None, 2), _halves(mesh, None, 2))  # type: ignore[arg-type]
    save_shape(tmp_path, 2, mesh, np.zeros(3, dtype=int))
    settings = EvaluationSettings(psb_dir=tmp_path, out=tmp_path / "out.json")
    results = evaluate_partitions(settings, ["halves"], partial(_named, _halves))
    assert results["methods"]["halves"]["errors"]["rand_index"] == 0
    assert results["methods"][PEOPLE]["errors"]["cut_discrepancy"] == 0
    assert list(results["skipped"]) == [2]
    again = evaluate_partitions(settings, ["halves"], partial(_named, _nothing))
    assert again == results


def test_partitions_are_evaluated_from_the_command_line(tmp_path, capsys, two_boxes, two_boxes_head):
    save_shape(tmp_path, 7, two_boxes, two_boxes_head[two_boxes.faces[:, 0]].astype(int))
    out = tmp_path / "out.json"
    options = ["--task", "parts", "--partitioners", "components", "--psb_dir", str(tmp_path), "--out", str(out)]
    assert evaluate.main(options) == 0
    assert load_json(out)["methods"]["components"]["errors"]["rand_index"] == 0
    assert "| components | 0.000 |" in capsys.readouterr().out


def test_every_partitioner_has_a_name_and_an_identity():
    built = [build_partitioner(None, name) for name in NAMES]
    assert [each.name for each in built] == list(NAMES)
    assert len({each.identity for each in built}) == len(NAMES)
