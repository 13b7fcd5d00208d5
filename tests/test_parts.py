"""Parts without a click: the tree of nested parts, its cuts, and what a person changes about them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import trimesh

from models.open import open_segmenter
from models.prior.alike import SCALES, unlikeness
from models.prior.borders import Borders
from models.prior.checkpoint import WEIGHTS
from models.prior.inputs import EMBEDDING, NodeTensors
from models.prior.nodes import cut
from models.prior.parts import PriorPartTree
from models.prior.repeats import Score, kind, repeats, score
from models.prior.segmenter import Prepared, PriorSegmenter
from models.prior.tree import VOTING, NodeTree, co_association, elected, grow_tree
from models.prior.votes import Votes
from utils.errors import UserError
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import Partition
from utils.shapes import LabelledMesh


def voted(mesh: Mesh, answer, nodes: int = 200, voters: int = 60) -> PriorPartTree:
    """The tree of a mesh on which a click at node k of `patches` selects `answer(patches, k)` (N,) bool."""
    patches = cut(mesh, nodes=nodes)
    count = len(patches.graph)
    clicked = np.unique(np.linspace(0, count - 1, min(voters, count)).astype(np.int64))
    selected = np.stack([answer(patches, int(k)) for k in clicked])
    logits = np.where(selected, 4.0, -4.0).astype(np.float16)[:, None].repeat(3, axis=1)
    votes = Votes(clicked, logits, np.full((len(clicked), 3), 0.9, dtype=np.float32), patches.graph.area)
    segmenter = PriorSegmenter(Prepared(patches, None, None, WEIGHTS, False, ""))  # type: ignore[arg-type]
    tensors = NodeTensors.of(
        patches.graph, np.zeros((count, 64)), np.ones(count), np.zeros((count, EMBEDDING), dtype=np.float32)
    )
    tree = grow_tree(patches.graph, tensors, votes)
    return PriorPartTree(patches, Borders(patches), tree, segmenter._vertex_means, tensors)


@pytest.fixture(scope="module")
def on_head(two_boxes, two_boxes_head):
    return two_boxes_head[two_boxes.faces[:, 0]]


@pytest.fixture(scope="module")
def tree(two_boxes, on_head) -> PriorPartTree:
    def same_box(patches, node):
        side = on_head[patches.fine.parent[patches.center]]
        return side == side[node]

    return voted(two_boxes, same_box)


@pytest.fixture(scope="module")
def halves(two_boxes, on_head) -> PriorPartTree:
    """Both boxes in two halves."""

    def same_half(patches, node):
        part = on_head[patches.fine.parent[patches.center]] + 2 * (patches.graph.position[:, 2] > 0)
        return part == part[node]

    return voted(two_boxes, same_half)


def soup(count: int) -> Mesh:
    """So many triangles that do not touch."""
    generator = np.random.default_rng(1)
    corners = generator.normal(size=(count, 1, 3)) * 3 + generator.normal(size=(count, 3, 3))
    return Mesh(corners.reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


def grid(side: int) -> Mesh:
    """A flat open sheet."""
    x, y = np.meshgrid(np.arange(side + 1.0), np.arange(side + 1.0))
    at = np.arange((side + 1) ** 2).reshape(side + 1, -1)
    a, b, c, d = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    return Mesh(np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1), np.r_[np.c_[a, b, c], np.c_[a, c, d]])


# --- growing --------------------------------------------------------------------------------------


def test_what_the_clicks_agree_on_is_what_is_proposed(tree, on_head):
    partition = Partition.of(tree, tree.cut())
    assert len(partition.parts) == 2
    assert len(np.unique(partition.labels[on_head])) == 1 and len(np.unique(partition.labels[~on_head])) == 1
    assert [round(tree.info(part[0]).agreement, 2) for part in partition.parts] == [1.0, 1.0]


def test_co_association_counts_the_answers_that_hold_both():
    selected = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], dtype=bool)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 1 / 2], [0, 1 / 2, 1]]
    np.testing.assert_allclose(co_association(selected), expected, atol=1e-6)


def test_clicks_that_vote_are_elected_as_any_other_click():
    generator = np.random.default_rng(3)
    clicks, count = 24, 90
    centers, reach = generator.random(clicks), np.sort(generator.uniform(0.05, 0.6, (clicks, 3)), axis=1)
    nodes = (centers * count).astype(np.int64)
    place = np.linspace(0, 1, count)
    logits = (
        reach[..., None] - np.abs(place - centers[:, None, None]) + generator.normal(size=(clicks, 1, 1)) / 50
    ) * 9
    quality = generator.uniform(0.3, 1, (clicks, 3)).astype(np.float32)
    votes = Votes(nodes, logits.astype(np.float16), quality, np.full(count, 1 / count, dtype=np.float32))
    for click, found in enumerate(elected(votes)):
        own = votes.logits[click].astype(np.float32)
        answer, _ = votes.elect(int(nodes[click]), own, quality[click])
        np.testing.assert_array_equal(found, answer > 0)


def test_a_border_without_a_crease_separates_less_than_one_along_a_crease(two_boxes, on_head):
    def halves_of_the_head(patches, node):
        head = on_head[patches.fine.parent[patches.center]]
        part = np.where(head, 1 + (patches.graph.position[:, 0] > patches.graph.position[head, 0].mean()), 0)
        return part == part[node]

    tree = voted(two_boxes, halves_of_the_head)
    two = tree.labels(tree.cut_into(2))
    assert len(np.unique(two[on_head])) == 1, "the head falls apart before it comes off the handle"
    assert len(np.unique(tree.labels(tree.cut_into(3))[on_head])) == 2


# --- the tree ---------------------------------------------------------------------------------------


def test_what_a_click_means_by_the_tree_is_the_part_that_holds_it_at_each_height(tree, halves):
    heights = np.linspace(*VOTING, 1001)
    for grown in (tree, halves):
        nodes = grown.tree
        for node in range(0, len(nodes.leaf), 17):
            expected = np.zeros(2 * grown.num_leaves - 1)
            for joins, share in zip(*np.unique((nodes.heights[:, None] <= heights).sum(axis=0), return_counts=True)):
                cut_there = grown.cut_into(grown.num_leaves - int(joins))
                (held,) = [part for (part,) in cut_there if grown.nodes((part,))[node]]
                expected[held] += share / len(heights)
            parts = nodes.parts_at(node)
            assert parts.weight.sum() == pytest.approx(1)
            assert parts.weight == pytest.approx(expected[expected > 0], abs=0.01)
            for held, selected in zip(np.flatnonzero(expected), parts.selected):
                assert np.array_equal(selected, grown.nodes((held,)))
    lone = NodeTree(np.zeros(3, dtype=np.int64), np.zeros((0, 2), dtype=np.int64), np.zeros(0), np.ones(1))
    assert lone.parts_at(1).selected.tolist() == [[True] * 3], "a mesh of one piece"


def test_parts_are_nested_at_every_detail(halves):
    coarse = None
    for detail in np.linspace(0, 1, 6):
        fine = halves.labels(halves.cut(float(detail)))
        assert (fine >= 0).all()
        if coarse is not None:
            assert len(np.unique(np.stack([coarse, fine]), axis=1).T) == len(np.unique(fine))
        coarse = fine


def test_as_many_parts_as_asked_for(halves):
    for count in range(1, halves.num_leaves + 1):
        parts = halves.cut_into(count)
        assert len(parts) == count
        assert sorted(leaf for part in parts for leaf in halves.leaves(part[0])) == list(range(halves.num_leaves))


def test_a_node_is_its_children_and_its_area_is_theirs(halves):
    root = 2 * halves.num_leaves - 2
    info = halves.info(root)
    assert info.area == pytest.approx(1)
    assert sum(halves.info(child).area for child in info.children) == pytest.approx(1)
    for child in info.children:
        held = halves.patches.mesh.faces[halves.labels([(child,)]) == 0]
        assert halves.info(child).vertex in held


def test_merged_parts_come_apart_again(halves):
    parts = halves.cut_into(3)
    for first, second in ((0, 2), (2, 0)):
        merged = halves.merge(parts, first, second)
        assert len(merged) == 2
        place = next(place for place, part in enumerate(merged) if len(part) == 2)
        labels = halves.fine_labels(parts)  # a face where three parts meet may change over
        expected = np.isin(labels, (first, second))
        np.testing.assert_array_equal(halves.fine_labels(merged) == place, expected)
        assert sorted(halves.split(merged, place)) == sorted(parts)


def test_a_part_is_split_into_its_children(halves):
    parts = halves.cut_into(1)
    assert [part for (part,) in halves.split(parts, 0)] == list(halves.children_of(parts[0][0]))


def test_what_cannot_be_asked_is_said_in_one_line(halves):
    with pytest.raises(UserError, match="from 0"):
        halves.cut(1.5)
    with pytest.raises(UserError, match="ask for 1 to"):
        halves.cut_into(halves.num_leaves + 1)
    with pytest.raises(UserError, match="two different parts"):
        halves.merge(halves.cut(), 1, 1)
    with pytest.raises(UserError, match="cannot be split further"):
        halves.split([(0,)], 0)


# --- bad input --------------------------------------------------------------------------------------


BAD = {
    "a triangle": soup(1),
    "triangles that do not touch": soup(40),
    "a flat sheet": grid(6),
    "a degenerate triangle beside a good one": Mesh(
        np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0.0]]), np.array([[0, 1, 2], [0, 1, 3]])
    ),
    "two triangles at one place": Mesh(np.eye(3), np.array([[0, 1, 2], [0, 1, 2]])),
}


@pytest.mark.parametrize("name", BAD)
def test_every_face_is_in_exactly_one_part_whatever_the_mesh(name):
    generator = np.random.default_rng(2)
    mesh = BAD[name]
    tree = voted(mesh, lambda patches, _: generator.random(len(patches.graph)) < 0.3)
    for parts in (tree.cut(0), tree.cut(), tree.cut(1), tree.cut_into(tree.num_leaves)):
        partition = Partition.of(tree, parts)
        assert partition.labels.shape == (mesh.num_faces,)
        assert np.array_equal(np.unique(partition.labels), np.arange(len(partition.parts)))
    assert tree.info(2 * tree.num_leaves - 2).area == pytest.approx(1)


def test_what_no_answer_holds_and_nothing_reaches_is_in_a_part_too():
    """More loose triangles than are joined by bridges, of which the answers hold a few."""
    mesh = soup(600)
    tree = voted(mesh, lambda patches, node: np.arange(len(patches.graph)) // 40 == node // 40, nodes=700, voters=4)
    assert (tree.labels(tree.cut()) >= 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_the_shipped_prior_proposes_parts_of_any_mesh(name):
    partition = open_segmenter(BAD[name], "prior").parts()
    assert np.array_equal(np.unique(partition.labels), np.arange(len(partition.parts)))


def test_no_more_parts_than_faces_can_be_had():
    segmenter = PriorSegmenter(Prepared(cut(BAD["a triangle"], nodes=50), None, None, WEIGHTS, False, ""))  # type: ignore[arg-type]
    generator = np.random.default_rng(2)
    segmenter.part_tree = voted(BAD["a triangle"], lambda patches, _: generator.random(len(patches.graph)) < 0.3)
    with pytest.raises(UserError, match="only 1 of 2 parts"):
        segmenter.parts(count=2)


@pytest.mark.slow
def test_the_shipped_prior_takes_a_mallet_apart(two_boxes, on_head):
    segmenter = open_segmenter(two_boxes, "prior")
    labels = segmenter.parts(count=2).labels
    assert (labels == labels[on_head][0]).tolist() == on_head.tolist()
    assert len(segmenter.parts(detail=1).parts) >= len(segmenter.parts(detail=0).parts)


def test_segmenters_without_parts_say_which_has_them(icosphere):
    with pytest.raises(UserError, match="open the mesh with the prior"):
        open_segmenter(icosphere, "instant").parts()


# --- parts that match ---------------------------------------------------------------------------------


def table() -> tuple[Mesh, np.ndarray]:
    """A top on four equal legs and a shorter, thicker post in the middle; (F,) number of the box of each face."""
    solids = [trimesh.creation.box((2, 0.15, 2))]
    for x, z in itertools.product((-0.8, 0.8), repeat=2):
        solids.append(trimesh.creation.box((0.15, 1.2, 0.15)).apply_translation((x, -0.65, z)))
    solids.append(trimesh.creation.box((0.35, 0.6, 0.35)).apply_translation((0, -0.35, 0)))
    solids = [solid.subdivide().subdivide().subdivide() for solid in solids]
    whole = trimesh.util.concatenate(solids)
    number = np.repeat(np.arange(6), [len(solid.faces) for solid in solids])
    return Mesh(np.asarray(whole.vertices), np.asarray(whole.faces)), number


def test_the_other_legs_match_a_leg_and_nothing_else_does():
    mesh, box = table()
    tree = voted(mesh, lambda patches, node: (of := box[patches.fine.parent[patches.center]]) == of[node], nodes=600)
    parts = tree.cut_into(6)
    labels = tree.labels(parts)
    boxes = [int(np.bincount(box[labels == place]).argmax()) for place in range(6)]
    for place in range(6):
        expected = {1, 2, 3, 4} - {boxes[place]} if boxes[place] in (1, 2, 3, 4) else set()
        found = tree.alike(parts[place])
        covered = [int(np.bincount(box[tree.labels([part]) == 0]).argmax()) for part in found]
        assert set(covered) == expected and len(covered) == len(expected)


def test_a_part_matches_its_twin_though_one_thing_measured_of_it_is_misled():
    chosen = {name: np.zeros((1, 2)) for name in SCALES}
    twins = {name: np.full((1, 2), 9.0 if name == "thickness" else 0.3 * scale) for name, scale in SCALES.items()}
    others = {name: np.full((1, 2), (0.3 if name in ("area", "extents") else 2) * SCALES[name]) for name in SCALES}
    assert unlikeness(twins, chosen)[0] < 0.5 and unlikeness(others, chosen)[0] > 1.5


class _Matching:
    """A tree of four leaves, of which leaf 0 matches what it is told."""

    num_leaves = 4

    def __init__(self, part: np.ndarray, found: list[int]) -> None:
        self.part, self.found = part, found

    def labels(self, parts):
        ((node,),) = parts
        return np.where(self.part == node if node < 4 else self.part >= 0, 0, -1)

    def alike(self, part):
        return [(node,) for node in self.found] if part == (0,) else []


def test_matches_are_scored_by_names_and_sizes():
    mesh, box = table()
    names = ["top", "left leg", "right leg", "leg 2", "leg 3", "post"]
    chosen = box[(box >= 1)] - 1  # legs are parts 0 to 3, the post 4
    faces = mesh.faces[box >= 1]
    shape = LabelledMesh(mesh.vertices, faces, chosen, chosen, {"part": names[1:], "group": names[1:]}, "table")
    areas = Mesh(mesh.vertices, faces).face_areas
    assert [kind(name) for name in names] == ["top", "leg", "leg", "leg", "leg", "post"]
    same, alike = repeats(shape)
    assert same[:4, :4].sum() == 12 and not same[4].any() and not alike[4].any()
    found = score(_Matching(chosen, [1, 3]), shape, areas)  # type: ignore[arg-type]
    assert found == Score(found=2, missed=1 + 9, wrong=0, absent=0)
    assert score(_Matching(chosen, [1, 6]), shape, areas).wrong == 1  # type: ignore[arg-type]
