"""A trained decoder answers a first click by vote, and keeps what a correction is not about."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from models.corrections import NEAREST, InOrder, near_click
from models.iseg import correcting
from models.iseg.checkpoint import DecoderCheckpoint
from models.iseg.correcting import ASIDE, KEPT, NEARER, OWN, REACH, ROOM, SURE, UNSURE, Correcting, Voters
from models.iseg.decoders import build_network
from models.iseg.segmenter import DecoderSegmenter
from utils.errors import UserError
from utils.geometry.face_clicks import FaceClicks
from utils.geometry.geodesics import SurfaceDistances


def chance(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.fixture
def ball(icosphere):
    """A mesh, and a decoder that selects what lies within half a radius of any positive click and none of the others;
    what it is asked is kept."""
    asked, points = [], icosphere.normalized
    near = np.linalg.norm(points[:, None] - points, axis=2) < 0.5

    def decode(vertices, positive):
        asked.append((vertices.tolist(), positive.tolist()))
        reached = near[vertices]
        last = len(vertices) - 1 - reached[::-1].argmax(axis=0)  # what was clicked later counts
        return chance(np.where(reached.any(axis=0) & positive[last], 4.0, -4.0))

    return icosphere, decode, asked


def correcting_of(mesh, decode) -> Correcting:
    distances = SurfaceDistances(mesh)
    return Correcting(mesh, Voters.ask(decode, mesh), decode, cache(lambda vertex: distances.from_each([vertex])[0]))


def test_voters_are_asked_one_by_one_all_over_the_mesh(ball):
    mesh, decode, asked = ball
    voters = Voters.ask(decode, mesh)
    assert asked == [([vertex], [True]) for vertex in voters.vertices]
    apart = np.linalg.norm(mesh.normalized[:, None] - mesh.normalized[voters.vertices], axis=2)
    assert apart.min(axis=1).max() < 0.35
    assert voters.logits.dtype == np.int8
    first = decode(voters.vertices[:1], np.array([True]))
    assert chance(voters.logits[0] * SURE / 127) == pytest.approx(first, abs=0.01)


def test_a_first_click_is_answered_by_the_clicks_that_hold_it(ball):
    mesh, _, _ = ball
    rng = np.random.default_rng(0)
    logits = rng.integers(-127, 128, (20, mesh.num_vertices), dtype=np.int8)
    voters = Voters(rng.permutation(mesh.num_vertices)[:20], logits)
    own, clicked, area = rng.normal(size=mesh.num_vertices), 3, mesh.vertex_areas

    def overlap(first, second):
        return area[(first > 0) & (second > 0)].sum() / area[(first > 0) | (second > 0)].sum()

    holders = [(vertex, answer) for vertex, answer in zip(voters.vertices, logits.astype(float)) if answer[clicked] > 0]
    everybody = [answer for _, answer in holders] + [own]
    total, weights = np.zeros(len(own)), 0.0
    for vertex, answer in holders:
        agreement = np.mean([overlap(answer, other) for other in everybody])
        weight = overlap(answer, own) ** 3 if own[vertex] > 0 else ASIDE * agreement**3
        total, weights = total + weight * answer * SURE / 127, weights + weight
    assert {own[vertex] > 0 for vertex, _ in holders} == {True, False}
    expected = OWN * own + (1 - OWN) * total / weights
    assert voters.elect(own, clicked, area) == pytest.approx(expected, rel=1e-4)


def test_a_splinter_is_outvoted_by_the_clicks_around_it(ball):
    mesh, _, _ = ball
    part = mesh.normalized[:, 1] > 0
    around = np.flatnonzero(part)[:9]
    voters = Voters(around[1:], np.where(part, 100, -100).astype(np.int8)[None].repeat(8, axis=0))
    splinter = np.where(np.arange(mesh.num_vertices) == around[0], 2.0, -2.0)
    assert np.array_equal(voters.elect(splinter, int(around[0]), mesh.vertex_areas) > 0, part)


def test_a_click_that_no_other_holds_keeps_its_own_answer(ball):
    mesh, _, _ = ball
    own = np.linspace(-1, 1, mesh.num_vertices)
    nobody = Voters(np.array([0, 1]), np.full((2, mesh.num_vertices), -127, dtype=np.int8))
    assert np.array_equal(nobody.elect(own, 5, mesh.vertex_areas), own)


@pytest.mark.parametrize("includes", [True, False])
def test_a_correction_moves_what_is_near_in_its_direction_and_little_elsewhere(ball, includes):
    mesh, decode, _ = ball
    answers = correcting_of(mesh, decode)
    before = answers(np.array([0]), np.array([True]))
    wrong = np.setdiff1d(np.flatnonzero((before > 0.5) != includes), [0])
    second = int(wrong[np.linalg.norm(mesh.normalized[wrong] - mesh.normalized[0], axis=1).argmin()])

    def turned(vertices, positive):  # a network that turns everything round at the second click
        return decode(vertices, positive) if len(vertices) == 1 else 1 - before

    after = Correcting(mesh, answers.voters, turned, answers.distances)(
        np.array([0, second]), np.array([True, includes])
    )
    near = near_click(before > 0.5, answers.distances(second)[:, 0], includes, REACH)
    assert near is not None and near[second] and not near.all()
    assert ((after >= before - 1e-6) if includes else (after <= before + 1e-6))[near].all()
    assert (after[second] > 0.5) == includes  # it has its way, whatever the network says
    away = answers.distances(second)[:, 0]
    around = away < 0.75 * away[(before > 0.5) == includes].min()
    assert around[second] and ((after > 0.5) == includes)[around].all()
    logits = (2 * KEPT - 1) * np.log(before / (1 - before))
    if not includes:
        refuted = np.log(before / (1 - before))[second] > UNSURE
        logits += NEARER / (1 + (logits / (UNSURE * (1 + refuted))) ** 2) * nearer_to_the_first(answers, 0, second)
    alone = ~near & (after < 0.5) & (chance(logits) > 0.5)  # what the correction cut off from the first click
    assert alone.sum() < 5 and not (alone[mesh.edges] & (after > 0.5)[mesh.edges[:, ::-1]]).any()
    assert after[~near & ~alone] == pytest.approx(chance(logits)[~near & ~alone], abs=1e-3)


def nearer_to_the_first(answers: Correcting, first: int, second: int) -> np.ndarray:
    away = [answers.distances(vertex)[:, 1] + ROOM for vertex in (first, second)]
    return np.log(away[1] / away[0])


def test_what_is_nearer_to_what_was_excluded_is_less_likely_meant(ball):
    mesh, _, _ = ball
    clicks, signs = np.array([0, 30, 7]), np.array([True, False, False])
    unsure = Voters(np.array([0]), np.zeros((1, mesh.num_vertices), dtype=np.int8))
    distances = SurfaceDistances(mesh)
    answers = Correcting(
        mesh, unsure, lambda *_: np.full(mesh.num_vertices, 0.5), lambda vertex: distances.from_each([vertex])[0]
    )
    included, excluded = distances.from_nearest([0])[:, 1], distances.from_nearest([30, 7])[:, 1]
    clear = np.abs(included - excluded) > 0.3  # elsewhere the clicks themselves have their way around them
    assert clear.sum() > 20
    assert np.array_equal((answers(clicks, signs) > 0.5)[clear], (included < excluded)[clear])


def test_the_more_often_it_is_refuted_the_less_a_sure_decoder_counts(ball):
    mesh, _, _ = ball
    answers = correcting_of(mesh, lambda *_: np.full(mesh.num_vertices, 0.9))
    height = mesh.normalized[:, 1]
    clicks, signs, left = [int(height.argmax())], [True], []
    for _ in range(5):
        selected = answers(np.array(clicks), np.array(signs)) > 0.5
        wrong = np.flatnonzero(selected & (height < 0))
        left.append(len(wrong) / (height < 0).sum())
        if len(wrong) == 0:
            break
        rest = mesh.normalized[np.setdiff1d(np.arange(mesh.num_vertices), wrong)]
        away = np.linalg.norm(mesh.normalized[wrong][:, None] - rest, axis=2).min(axis=1)
        clicks, signs = [*clicks, int(wrong[away.argmax()])], [*signs, False]  # innermost
    assert left[0] == 1 and left[-1] < 0.7, f"what is left of the wrong half: {left}"
    assert selected[height > 0.7].all(), "and the right one stays"


def test_every_click_is_obeyed_whatever_the_decoder_says(ball):
    mesh, _, _ = ball
    rng = np.random.default_rng(1)
    vertices = rng.choice(mesh.num_vertices, 12, replace=False)
    positive = np.arange(12) % 3 == 0
    for says in (0.999, 0.001):
        answers = correcting_of(mesh, lambda *_, says=says: np.full(mesh.num_vertices, says))
        assert np.array_equal((answers(vertices, positive) > 0.5)[vertices], positive)


def test_a_click_on_what_is_selected_already_changes_little(ball):
    mesh, decode, _ = ball
    answers = correcting_of(mesh, decode)
    before = answers(np.array([0]), np.array([True]))
    inside = int(np.setdiff1d(np.flatnonzero(before > 0.5), [0])[0])
    after = answers(np.array([0, inside]), np.array([True, True]))
    assert np.array_equal(after > 0.5, before > 0.5)


def test_a_click_whose_own_answer_stands_apart_adds_it(ball):
    mesh, decode, _ = ball
    answers = correcting_of(mesh, decode)
    low, high = int(mesh.normalized[:, 1].argmin()), int(mesh.normalized[:, 1].argmax())
    each = [answers(np.array([vertex]), np.array([True])) for vertex in (low, high)]
    both = answers(np.array([low, high]), np.array([True, True]))
    assert np.array_equal(both > 0.5, (each[0] > 0.5) | (each[1] > 0.5))


def test_a_correction_of_one_part_takes_nothing_from_one_apart(ball):
    mesh, decode, _ = ball
    answers = correcting_of(mesh, decode)
    low, high = int(mesh.normalized[:, 1].argmin()), int(mesh.normalized[:, 1].argmax())
    both = answers(np.array([low, high]), np.array([True, True])) > 0.5
    upper = mesh.normalized[:, 1] > 0
    beside = int(np.flatnonzero(both & upper)[mesh.normalized[both & upper, 1].argmin()])
    corrected = answers(np.array([low, high, beside]), np.array([True, True, False])) > 0.5
    assert not corrected[beside] and corrected[high]
    assert corrected[both & ~upper].all()


def test_a_click_whose_own_answer_touches_the_selection_corrects_it(ball):
    mesh, decode, _ = ball
    answers, asked = correcting_of(mesh, decode), []
    counted = correcting_of(mesh, lambda *clicks: asked.append(len(clicks[0])) or decode(*clicks))
    first = int(mesh.normalized[:, 1].argmin())
    selected = answers(np.array([first]), np.array([True])) > 0.5
    away = np.linalg.norm(mesh.normalized - mesh.normalized[first], axis=1)
    outside = int(np.flatnonzero(~selected)[away[~selected].argmin()])
    asked.clear()
    counted(np.array([first, outside]), np.array([True, True]))
    assert 2 in asked  # the decoder is asked about both together
    asked.clear()
    counted(np.array([first, int(mesh.normalized[:, 1].argmax())]), np.array([True, True]))
    assert 2 not in asked


def test_what_hangs_together_with_no_positive_click_is_out(ball):
    mesh, decode, _ = ball
    low, high = int(mesh.normalized[:, 1].argmin()), int(mesh.normalized[:, 1].argmax())
    twins = correcting_of(
        mesh, lambda vertices, positive: np.maximum(*(decode(np.array([v]), positive[:1]) for v in (low, high)))
    )
    both = twins.voters.logits[0] > 0
    found = twins(np.array([low]), np.array([True]))
    part = both & (mesh.normalized[:, 1] < 0)
    assert np.array_equal(found > 0.5, part) and found[both & ~part].max() < 0.1
    assert np.array_equal(twins(np.array([low, high]), np.array([True, True])) > 0.5, both)


def test_a_part_of_several_components_stays_whole(two_boxes):
    part = np.abs(two_boxes.normalized[:, 0]) < 0.3  # the handle, and the middle of the head
    answers = correcting_of(two_boxes, lambda vertices, positive: np.where(part, 0.9, 0.1))
    assert np.array_equal(answers(np.array([0]), np.array([True])) > 0.5, part)
    assert part[:98].any() and part[98:].any()


def test_the_order_of_clicks_before_the_first_positive_one_does_not_matter(ball):
    mesh, decode, _ = ball
    answers = correcting_of(mesh, decode)
    some = answers(np.array([7, 0]), np.array([False, True]))
    assert np.array_equal(some, answers(np.array([0, 7]), np.array([True, False])))


def test_a_thousand_clicks_are_answered_one_after_the_other(ball):
    mesh, decode, asked = ball
    answers = correcting_of(mesh, decode)
    vertices = np.arange(1000) % mesh.num_vertices
    positive = vertices % 2 == 0
    asked.clear()
    answers(vertices, positive)
    assert len(asked) >= 1000
    asked.clear()
    answers(np.append(vertices, 0), np.append(positive, True))
    assert min(len(clicks) for clicks, _ in asked) > 900  # what was answered before is not asked again


def test_clicks_are_answered_from_the_longest_beginning_that_is_held():
    asked = []

    def corrected(before, clicked, positive):
        asked.append(len(clicked))
        return (*before, (int(clicked[-1]), bool(positive[-1])))

    answers = InOrder[tuple](3)
    clicked, positive = np.arange(1200), np.arange(1200) % 3 == 0
    whole = answers(clicked, positive, lambda vertex: ((vertex, True),), corrected)
    assert whole == tuple(zip(clicked.tolist(), positive.tolist()))
    assert asked == list(range(2, 1201))
    asked.clear()
    answers(clicked[:1199], positive[:1199], lambda vertex: ((vertex, True),), corrected)
    assert asked == []


def test_a_correction_reaches_as_far_as_the_border_that_it_moves():
    away = np.array([0.0, 0.1, 0.2, 0.3, 0.5, 0.9])
    selected = np.array([False, False, False, True, True, True])
    assert near_click(selected, away, True, 1.5).tolist() == [True] * 4 + [False] * 2  # within 0.45 + NEAREST
    assert near_click(selected, away, False, 1.5) is None
    assert near_click(~selected, away, True, 1.5) is None
    assert near_click(np.zeros(6, dtype=bool), away, True, 1.5) is None
    assert NEAREST < 0.1


def test_fewer_are_asked_on_a_larger_mesh(ball, monkeypatch):
    mesh, decode, _ = ball
    assert len(Voters.ask(decode, mesh).vertices) == correcting.VOTERS
    monkeypatch.setattr(correcting, "ASKED", 50 * mesh.num_vertices)
    assert len(Voters.ask(decode, mesh).vertices) == 50
    monkeypatch.setattr(correcting, "ASKED", 1)
    assert len(Voters.ask(decode, mesh).vertices) == correcting.FEWEST


def test_votes_of_another_mesh_are_refused(ball, two_boxes):
    mesh, decode, _ = ball
    asked = Voters.ask(decode, mesh)
    held = DecoderCheckpoint({}, {}, voters=torch.from_numpy(asked.vertices), votes=torch.from_numpy(asked.logits))
    found = held.asked(mesh, "decoder.pth")
    assert found is not None and np.array_equal(found.logits, asked.logits)
    assert DecoderCheckpoint({}, {}).asked(mesh, "decoder.pth") is None
    with pytest.raises(UserError, match="votes of another mesh"):
        held.asked(two_boxes, "decoder.pth")


def test_a_clicked_face_is_obeyed_though_its_other_corners_say_otherwise(ball):
    mesh, _, _ = ball
    generator = torch.Generator().manual_seed(0)
    network = build_network("geometric", generator=generator)
    last = [layer for layer in network.decoder.mlp if isinstance(layer, torch.nn.Linear)][-1]
    last.bias.data = torch.tensor([20.0, -20.0])  # nothing is ever selected
    features = torch.randn(mesh.num_vertices, 256, generator=generator)
    vertices = np.array([0, 50, 100])
    votes = np.full((3, mesh.num_vertices), -127, dtype=np.int8)
    votes[:, 0] = 127
    steady = DecoderSegmenter(mesh, network, features, voters=Voters(vertices, votes))
    faces, positive = np.array([0, 40, 90, 41, 7]), np.array([True, False, True, False, True])
    assert np.array_equal((steady.face_probability(faces, positive) > 0.5)[faces], positive)
    published = DecoderSegmenter(mesh, network, features)  # without votes the faces are what the decoder says
    expected = published.probability(FaceClicks(mesh).on_vertices(faces, positive))[mesh.faces].mean(axis=1)
    assert published.face_probability(faces, positive) == pytest.approx(expected)
