"""Pieces joined into a tree: what is known of a pair, which two are joined, and the networks that help to choose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from models.prior import joins
from models.prior.inputs import RADIUS, NodeTensors
from models.prior.joins import KNOWN, Association, LearnedDistance, Pieces, join_all
from models.prior.nodes import cut
from models.prior.scores import Scores, ScoresConfig, fit_scores, load_scores
from models.prior.tree import co_association, groups
from models.prior.votes import Votes
from utils.errors import UserError
from utils.files import save_torch

COUNT = 150


@pytest.fixture(scope="module")
def on_boxes(two_boxes):
    """A graph of two boxes, what is read of it, votes at random places, and twelve pieces around random nodes."""
    graph = cut(two_boxes, nodes=COUNT).graph
    rng = np.random.default_rng(1)
    features = rng.normal(size=(len(graph), 64)).astype(np.float32)
    tensors = NodeTensors.of(graph, features, np.ones(len(graph), np.float32), features[:, :32])
    clicked = rng.choice(len(graph), 20, replace=False)
    away = graph.distances_from(clicked)[:, :, 0]
    logits = np.stack([reach - away for reach in (0.3, 0.5, 0.8)], axis=1).astype(np.float16)
    votes = Votes(clicked, logits, rng.uniform(0.3, 1, (20, 3)).astype(np.float32), graph.area)
    leaf = graph.distances_from(rng.choice(len(graph), 12, replace=False))[:, :, 0].argmin(axis=0)
    return graph, tensors, votes, leaf


def pieces_of(on_boxes, leaf: np.ndarray) -> Pieces:
    graph, tensors, votes, _ = on_boxes
    by_level = votes.selected.reshape(-1, 3, len(graph))
    chosen = np.concatenate([by_level[:, 0], by_level[:, 1]])
    association = Association(co_association(chosen), co_association(by_level[:, 1]), co_association(votes.selected))
    return Pieces(graph, tensors, votes, leaf, association)


def test_joined_pieces_are_what_they_would_be_had_they_been_one_from_the_start(on_boxes):
    leaf = on_boxes[3]
    pieces = pieces_of(on_boxes, leaf)
    pieces.join(2, 7)
    pieces.join(4, 2)
    merged = np.where(np.isin(leaf, (2, 7)), 4, leaf)
    numbers, fresh_leaf = np.unique(merged, return_inverse=True)
    fresh = pieces_of(on_boxes, fresh_leaf)
    first, second = np.triu_indices(len(numbers), 1)
    assert pieces.alive.sum() == len(numbers) == 10
    np.testing.assert_allclose(
        pieces.describe(numbers[first], numbers[second]), fresh.describe(first, second), rtol=1e-4, atol=1e-5
    )


def test_what_is_known_of_a_pair_of_pieces_is_what_a_slow_count_finds(on_boxes):
    graph, tensors, votes, leaf = on_boxes
    pieces, area = pieces_of(on_boxes, leaf), graph.area.astype(float)
    finer_and_default = votes.selected.reshape(-1, 3, len(graph))[:, :2].reshape(-1, len(graph))
    pairs = [(0, 1), (3, 9), (8, 5)]
    for (one, other), row in zip(pairs, pieces.describe(*np.array(pairs).T)):
        known = dict(zip(KNOWN, row))
        one, other = sorted((one, other), key=lambda piece: area[leaf == piece].sum())
        first, second = leaf == one, leaf == other
        together = [
            1.0
            if i == j
            else np.mean((a := finer_and_default[:, i]) & (b := finer_and_default[:, j])) / max((a | b).mean(), 1e-9)
            for i in np.flatnonzero(first)
            for j in np.flatnonzero(second)
        ]
        assert known["together"] == pytest.approx(np.mean(together), abs=1e-4)
        both = first | second
        iou = [(area[both & each].sum()) / area[both | each].sum() for each in votes.selected]
        assert known["votes, both"] == pytest.approx(max(iou), abs=1e-4)
        trust, best = (votes.quality**2).max(axis=1), np.reshape(iou, (-1, 3)).max(axis=1)
        inside = both[votes.nodes]
        expected = (trust * best)[inside].sum() / max(trust[inside].sum(), 1e-6)
        assert known["consent, both"] == pytest.approx(expected, abs=1e-4)
        touch = sum(
            max(conductance - 1e-3, 0) * length + 1e-6
            for (i, j), conductance, length in zip(graph.pairs, graph.conductance[:, 0], graph.length[:, 0])
            if (first[i] and second[j]) or (first[j] and second[i])
        )
        assert known["border"] == pytest.approx(min(touch / np.sqrt(area[first].sum()), 8), rel=1e-3, abs=1e-6)
        assert known["size, both"] == pytest.approx(np.log(area[both].sum()) / 3, abs=1e-4)
        read = tensors.embedding.numpy() / RADIUS
        means = [np.average(read[mask], axis=0, weights=area[mask]) for mask in (first, second)]
        assert known["embedding"] == pytest.approx(min(np.linalg.norm(means[0] - means[1]), 6), rel=1e-3)
        same = sum(
            area[i] * area[j] * (graph.component[i] == graph.component[j])
            for i in np.flatnonzero(first)
            for j in np.flatnonzero(second)
        )
        assert known["component, same"] == pytest.approx(same / area[first].sum() / area[second].sum(), abs=1e-4)


def test_always_the_two_nearest_pieces_are_joined(on_boxes):
    leaf = on_boxes[3]
    children, heights = join_all(pieces_of(on_boxes, leaf), Pieces.rule)
    inside, alive, nearest = groups(leaf, children), list(range(12)), []
    for step, pair in enumerate(children.tolist()):
        numbers = np.array([np.flatnonzero([inside[node][k] for node in alive])[0] for k in range(len(leaf))])
        fresh = pieces_of(on_boxes, numbers)
        first, second = np.triu_indices(len(alive), 1)
        apart = fresh.rule(first, second)
        best = int(apart.argmin())
        assert {alive[first[best]], alive[second[best]]} == set(pair)
        nearest.append(apart[best])
        alive = [node for node in alive if node not in pair] + [12 + step]
    np.testing.assert_allclose(heights, np.maximum.accumulate(nearest), rtol=1e-5)


def test_of_many_pieces_the_first_are_joined_by_the_rule_and_the_last_by_the_networks(on_boxes, monkeypatch):
    leaf, asked = on_boxes[3], []

    def farthest(pieces: Pieces, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        asked.append(int(pieces.alive.sum()))
        return -pieces.rule(first, second)

    by_rule, _ = join_all(pieces_of(on_boxes, leaf), Pieces.rule)
    monkeypatch.setattr(joins, "MOST", 6)
    children, _ = join_all(pieces_of(on_boxes, leaf), farthest)
    np.testing.assert_array_equal(children[:6], by_rule[:6])
    assert max(asked) == 6 and not np.array_equal(children[6:], by_rule[6:])


def test_half_of_the_shipped_distance_is_the_rule(on_boxes):
    pieces = pieces_of(on_boxes, on_boxes[3])
    first, second = np.triu_indices(12, 1)
    learned = 2 * LearnedDistance()(pieces, first, second) - pieces.rule(first, second)
    assert learned.min() > -1e-6 and learned.max() < 1 + 1e-6 and learned.std() > 0.01


# --- the networks -----------------------------------------------------------------------------------


def test_likelihoods_are_the_mean_over_networks_of_two_layers_each():
    torch.manual_seed(2)
    scores = Scores(ScoresConfig(read=5, written=2, width=7, members=3)).eval().requires_grad_(False)
    scores.mean.copy_(torch.arange(5.0))
    scores.deviation.fill_(0.5)
    known = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    seen, found = np.clip((known - np.arange(5)) / 0.5, -6, 6), 0.0
    for member in range(3):
        hidden = seen
        for layer in range(3):
            hidden = hidden @ scores.weights[layer][member].numpy() + scores.biases[layer][member].numpy()
            hidden = hidden if layer == 2 else hidden * 0.5 * (1 + erf(hidden / np.sqrt(2)))
        found = found + 1 / (1 + np.exp(-hidden)) / 3
    np.testing.assert_allclose(scores(known), found, atol=1e-5)


def test_what_can_be_told_from_the_numbers_is_learned_and_kept(tmp_path):
    rng = np.random.default_rng(0)
    known = rng.normal(size=(2000, 6)).astype(np.float32)
    wanted = (known[:, :1] * known[:, 1:2] > 0).astype(np.float32)
    scores = fit_scores(ScoresConfig(read=6, width=16, members=2), known, wanted, np.ones(2000), epochs=600)
    fresh = rng.normal(size=(500, 6)).astype(np.float32)
    right = (scores(fresh)[:, 0] > 0.5) == (fresh[:, 0] * fresh[:, 1] > 0)
    assert right.mean() > 0.9
    save_torch(tmp_path / "x.pt", scores.state("a kind", tuple("abcdef")))
    kept = load_scores(tmp_path / "x.pt", "a kind", tuple("abcdef"))
    np.testing.assert_allclose(kept(fresh), scores(fresh), atol=5e-3)
    for kind, names in (("another", tuple("abcdef")), ("a kind", tuple("abcdeg"))):
        with pytest.raises(UserError, match=r"x\.pt does not hold"):
            load_scores(tmp_path / "x.pt", kind, names)
