"""The judge of corrections: what clicks may mean, what is known of each reading, and the choice among them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse.csgraph import dijkstra

from models.prior.answers import NodeAnswers, ask_around
from models.prior.components import Components
from models.prior.corrections import NodeAnswer, without_unlike_pieces
from models.prior.earlier_clicks import EARLIER, of_earlier_clicks
from models.prior.inputs import NodeTensors
from models.prior.judge import Judge, load_judge
from models.prior.judge_training import Situation, Situations, _joined, fit_judge, measure_judge
from models.prior.network import PriorConfig, PriorNetwork
from models.prior.nodes import cut
from models.prior.readings import KNOWN, NEAR, SIZES, UNJUDGED, VOTED, Asking, Readings
from utils.errors import UserError
from utils.files import save_npz, save_torch
from utils.geometry.graphs import pieces


@pytest.fixture(scope="module")
def answers(two_boxes) -> NodeAnswers:
    """Those of an untrained network, with votes."""
    torch.manual_seed(3)
    graph = cut(two_boxes, nodes=150).graph
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(graph), 64)).astype(np.float32)
    tensors = NodeTensors.of(graph, features, np.ones(len(graph), np.float32), features[:, :32])
    network = PriorNetwork(PriorConfig(width=16, click_layers=2)).eval().requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=2.0)  # so that answers differ from place to place
    answers = NodeAnswers(graph, network, tensors)
    return replace(answers, votes=ask_around(answers, np.ones(len(graph)), 24))


@pytest.fixture(scope="module")
def asking(answers) -> Asking:
    """A correction: everything within 0.6 of node 10 is selected, and node 40 is not to be."""
    away = answers.graph.distances_from(np.array([10]))[0, :, 0]
    selected = away < 0.6
    inside = int(np.flatnonzero(selected & (away > 0.3))[0])
    before = NodeAnswer(np.stack([np.where(selected, 2.0, -2.0)] * 3).astype(np.float32), np.ones(3, np.float32))
    return answers.asking(before, np.array([10, inside]), np.array([True, False]))


@pytest.fixture(scope="module")
def readings(answers, asking) -> Readings:
    return answers.terrain.readings(asking)


def test_the_first_reading_is_the_answer_without_a_judge_and_the_others_that_may_be_chosen_keep_to_the_clicks(
    readings, asking
):
    assert np.array_equal(readings.logits[0], asking.unjudged.logits[1]) and readings.source[0] == UNJUDGED
    assert readings.answer(0, asking) is asking.unjudged
    keeps = readings.selected[:, 10] & ~readings.selected[:, asking.nodes[1]]
    assert keeps[1:].any() and np.array_equal(readings.allowed[1:], keeps[1:]) and readings.allowed[0]


def test_of_two_clicks_with_both_signs_on_one_node_the_last_counts(answers, asking):
    nodes, positive = asking.nodes[[0, 1, 1]], np.array([True, False, True])
    readings = answers.terrain.readings(answers.asking(asking.before, nodes, positive))
    assert readings.allowed[1:].any() and readings.selected[readings.allowed][1:, nodes[1]].all()
    near = readings.selected[readings.source == NEAR]  # the overruled click on the node is no rival
    assert (near & ~asking.before.selected).any()


def _in_two_pieces(answers: NodeAnswers) -> tuple[np.ndarray, int, np.ndarray]:
    """Two positive clicks, and a reading of them (its row and logits) whose pieces hold one each."""
    for first in range(0, len(answers.graph), 7):
        before = answers.single(first)
        for apart in np.flatnonzero(~before.selected).tolist():
            clicks = np.array([first, apart])
            readings = answers.terrain.readings(answers.asking(before, clicks, np.ones(2, dtype=bool)))
            for row in np.flatnonzero(readings.allowed)[1:].tolist():
                one, other = pieces(readings.selected[row], answers.graph.pairs)[clicks]
                if one != other:
                    return clicks, row, readings.logits[row]
    raise AssertionError("no reading has the clicks in two pieces")


def test_a_positive_click_on_a_piece_apart_corrects_the_answer_as_any_other_does(answers):
    clicks, row, expected = _in_two_pieces(answers)

    class Chosen(Judge):
        def choose(self, known: np.ndarray, allowed: np.ndarray) -> tuple[int, float]:
            return row, 0.5

    answer = replace(answers, judge=Chosen()).answer(clicks, np.ones(2, dtype=bool))
    before = answers.single(int(clicks[0]))
    chosen = NodeAnswer(np.stack([expected] * 3), before.quality)
    embedding, _ = answers.terrain.likeness
    alike = without_unlike_pieces(before, chosen, answers.graph, embedding, int(clicks[1]), True).logits[1]
    assert np.array_equal(answer.logits[1], alike) and not np.array_equal(alike, expected)


def test_votes_that_say_the_same_are_one_reading(answers, asking):
    both = answers.votes.selected.sum(axis=0).argsort()[-2:]  # many hold them
    readings = answers.terrain.readings(answers.asking(asking.before, both, np.array([True, True])))
    selected = readings.selected[readings.source == VOTED]
    assert 2 < len(selected) < answers.votes.selected[:, both].all(axis=1).sum()
    for first in range(len(selected)):
        for second in range(first):
            shared, either = selected[first] & selected[second], selected[first] | selected[second]
            assert answers.graph.area[shared].sum() / answers.graph.area[either].sum() < 0.97


def test_some_readings_change_a_neighbourhood_of_the_click_alone_as_far_as_clicks_of_the_other_sign_let_them(answers):
    nodes, positive = np.array([10, 40, 70]), np.array([True, True, False])
    away = answers.graph.distances_from(nodes)
    selected = away[0, :, 0] < 1.2
    before = NodeAnswer(np.stack([np.where(selected, 2.0, -2.0)] * 3).astype(np.float32), np.ones(3, np.float32))
    readings = answers.terrain.readings(answers.asking(before, nodes, positive))
    near = readings.selected[readings.source == NEAR]
    assert len(np.unique(near, axis=0)) > 3
    gap = away[2, ~selected].min(axis=0)
    for row in near:
        taken = selected & ~row
        assert not (row & ~selected).any()
        assert taken[70] or not selected[70]
        ways = [way for way in (0, 1) if (away[2, taken, way] <= away[:2, taken, way].min(axis=0) + 2e-3).all()]
        assert any(away[2, taken, way].max(initial=0) <= SIZES[-1] * gap[way] + 2e-3 for way in ways)
        assert any(
            not (selected & (away[2, :, way] < away[2, taken, way].max(initial=0) - 2e-3))[~taken & free].any()
            for way in ways
            for free in [(away[2, :, way] < away[:2, :, way].min(axis=0) - 2e-3)]
        ), "a nearer node was left out"


def test_what_earlier_clicks_say_of_a_reading_is_what_a_slow_count_finds(answers):
    rng, area = np.random.default_rng(4), answers.graph.area
    away = answers.graph.distances_from(np.array([10, 40]))[:, :, 0]
    readings = away[0] < rng.uniform(0.2, 1.5, (6, 1))
    earlier = [(away[0] < 0.9, 10, True), (away[1] < 0.7, 40, False)]
    found = of_earlier_clicks(readings, earlier, area, answers.terrain.around)
    for row, reading in enumerate(readings):
        ratios, middles, gaps = [], [], []
        for (then, _, positive), distance in zip(earlier, away):
            asked, other = (reading & ~then, then & ~reading) if positive else (then & ~reading, reading & ~then)
            size = area[asked].sum()
            ratios.append(min(area[other].sum() / size, 3) if size else 3 if other.any() else 0)
            middles.append(min(distance[~asked].min() / max((area * distance)[asked].sum() / max(size, 1e-6), 1e-3), 2))
            gaps.append(min(distance[~asked].min() / max(size, 1e-4) ** 0.5, 3))
        backs = [area[reading & then].sum() / area[reading | then].sum() for then, _, _ in earlier]
        expected = [np.mean(ratios), max(ratios), np.mean(middles), min(middles), np.mean(gaps), max(backs), 0.4]
        for name, value in zip(EARLIER, expected):
            assert np.broadcast_to(found[name], len(readings))[row] == pytest.approx(value, abs=1e-2), name


def test_a_correction_knows_of_the_last_few_before_it(answers):
    noted = []

    class Noting(Judge):
        def choose(self, known: np.ndarray, allowed: np.ndarray) -> tuple[int, float]:
            noted.append(known[0, KNOWN.index("earlier clicks, number")])
            return 0, 0.5

    nodes, signs = np.arange(10, 82, 9), np.array([True, False, True, True, False, True, False, True])
    replace(answers, judge=Noting()).answer(nodes, signs)
    assert noted[:7] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])  # then the same of parts of the clicks


def test_what_is_known_of_a_reading_is_what_a_slow_count_finds(answers, asking, readings):
    known = dict(zip(KNOWN, answers.terrain.describe(readings, asking).T))
    graph, area = answers.graph, answers.graph.area / answers.graph.area.sum()
    earlier = asking.before.selected
    plain = dijkstra(graph.distance_graphs[0], indices=[10, asking.nodes[1]])
    for row, selected in enumerate(readings.selected):
        size = area[selected].sum()
        assert known["size"][row] == pytest.approx(np.log(max(size, 1e-4)) / 3, abs=1e-4)
        length = concave = 0.0
        for (one, other), (conducts, _), (flat, turned) in zip(graph.pairs, graph.conductance, graph.length):
            if selected[one] != selected[other]:
                length += conducts * flat
                concave += conducts * flat * (1 - np.exp(-(turned - flat) / 0.25))
        if length > 1e-6:
            assert known["border, concave"][row] == pytest.approx(concave / length, abs=1e-4)
        if 0 < size < 1:
            gap = plain[0][~selected].min()
            assert known["first click, gap"][row] == pytest.approx(min(gap / max(size, 1e-4) ** 0.5, 3), abs=1e-2)
        taken = earlier & ~selected
        if taken.any():
            inside = area[taken].sum()
            assert known["change"][row] == pytest.approx(np.log(max(inside, 1e-4)) / 3, abs=1e-4)
            mean = (area[taken] * plain[1][taken]).sum() / inside
            assert known["last click, mean"][row] == pytest.approx(
                min(mean / max(inside, 1e-4) ** 0.5, 4) / 2, abs=1e-2
            )
        best = [
            max(
                area[selected & (v > 0)].sum() / max(area[selected | (v > 0)].sum(), 1e-6)
                for v in answers.votes.logits[k]
            )
            for k in range(len(answers.votes.nodes))
        ]
        assert known["votes, any"][row] == pytest.approx(max(best), abs=1e-4)


def test_numbers_of_components_do_not_matter_however_large_they_are(answers, asking, readings):
    terrain = answers.terrain
    crumbs = replace(terrain.graph, component=terrain.graph.component * 10_000_000 + 3)  # a column each would be 6 GB
    thinned = replace(terrain, graph=crumbs, components=Components(crumbs.component, crumbs.area))
    assert np.array_equal(thinned.describe(readings, asking), terrain.describe(readings, asking))


def test_the_choice_does_not_depend_on_the_order_of_the_others(answers, asking, readings):
    torch.manual_seed(0)
    judge = Judge().eval().requires_grad_(False)
    known = answers.terrain.describe(readings, asking)
    order = np.r_[0, 1 + np.random.default_rng(0).permutation(len(known) - 1)]
    probability, expected = judge(torch.from_numpy(known)[None], torch.from_numpy(readings.allowed)[None])
    again, expected_again = judge(torch.from_numpy(known[order])[None], torch.from_numpy(readings.allowed[order])[None])
    assert torch.allclose(probability[0, order], again[0], atol=1e-6)
    assert torch.allclose(expected[0, order], expected_again[0], atol=1e-6)
    assert (probability[0].numpy()[~readings.allowed] == 0).all()


class LastAllowed(Judge):
    """A judge that never answers as without one where it may do otherwise."""

    def choose(self, known: np.ndarray, allowed: np.ndarray) -> tuple[int, float]:
        return int(np.flatnonzero(allowed)[-1]), 0.5


def test_a_judged_correction_obeys_its_clicks_and_stays_nested(answers):
    judged, chosen = replace(answers, judge=LastAllowed()), 0
    for node in range(20, 100, 8):
        nodes, positive = np.array([10, node]), np.array([True, node % 16 == 4])
        answer, without = judged.answer(nodes, positive), answers.answer(nodes, positive)
        chosen += not np.array_equal(answer.logits, without.logits)
        assert (np.diff(answer.logits, axis=0) >= 0).all()
        assert np.array_equal(answer.selected[nodes], positive) or np.array_equal(answer.logits, without.logits)
    assert chosen, "the judge never chose another reading"


def test_a_first_correction_leaves_pieces_apart_that_are_unlike_the_clicked_one():
    pairs, component = np.array([(n, n + 1) for n in range(9)]), np.zeros(10, dtype=int)
    graph = SimpleNamespace(pairs=pairs, component=component, area=np.full(10, 0.1))
    embedding = np.zeros((10, 2))
    embedding[7:, 0] = 3.0  # radii: another part

    def answer(*selected: int) -> NodeAnswer:
        logits = np.full((3, 10), -1.0, dtype=np.float32)
        logits[:, selected] = 1.0
        return NodeAnswer(logits, np.ones(3, dtype=np.float32))

    before, corrected = answer(*range(1, 9)), answer(0, 3, 5, 6)  # 1, 2 and 4 and 7, 8 are taken away, 0 comes in

    def unselected(node: int, adds: bool = False) -> list[int]:
        after = without_unlike_pieces(before, corrected, graph, embedding, node, adds)
        return np.flatnonzero(~after.selected).tolist()

    assert unselected(1) == unselected(4) == [1, 2, 4, 9], "7 and 8 are unlike"
    assert unselected(8) == [7, 8, 9]
    assert unselected(3) == [1, 2, 4, 7, 8, 9], "a click that takes nothing away says nothing of the pieces"
    assert unselected(0, adds=True) == [1, 2, 4, 7, 8, 9], "what goes the other way stays"
    component[7:] = 1
    assert unselected(1) == [1, 2, 4, 7, 8, 9], "parts of several components are taken whole"


def test_what_is_shown_of_a_judged_answer_is_what_the_judge_expects_of_it(answers, asking):
    judged = replace(answers, judge=load_judge())
    assert np.array_equal(judged.single(10).shown, judged.single(10).quality), "one click is not judged"
    nodes, positive = asking.nodes, asking.positive
    answer, before = judged.answer(nodes, positive), judged.single(10)
    about = judged.asking(before, nodes, positive)
    known = judged.terrain.describe(found := judged.terrain.readings(about), about)
    probability, expected = load_judge()(torch.from_numpy(known)[None], torch.from_numpy(found.allowed)[None])
    assert answer.shown[1] == pytest.approx(float(expected[0, int(probability[0].argmax())]), abs=1e-5)
    assert answer.shown[[0, 2]].tolist() == answer.quality[[0, 2]].tolist() and (answer.shown >= 0).all()


def planted(count: int, seed: int) -> Situations:
    """Situations whose best reading is the one with the most of one thing, the first seldom."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        known = rng.normal(size=(int(rng.integers(3, 12)), len(KNOWN))).astype(np.float16)
        iou = (1 / (1 + np.exp(-2 * known[:, 7].astype(np.float32)))).astype(np.float16)
        allowed = rng.random(len(known)) < 0.8
        allowed[0] = True
        found.append(Situation(known, iou, allowed))
    arrays = {name: values for name, values in _joined(found).items() if name != "names"}
    return Situations(**{name: torch.from_numpy(values) for name, values in arrays.items()})


def test_the_judge_learns_which_readings_are_good():
    measured = measure_judge(fit_judge(planted(1500, 0), epochs=12), planted(300, 1))
    assert measured["without"] < 0.6 and measured["best"] > 0.8
    assert measured["judge"] > measured["best"] - 0.03


def test_a_batch_holds_each_situation_as_it_was_padded_by_what_is_not_allowed():
    held = planted(9, 2)
    known, allowed, iou = held.batch(torch.tensor([4, 1]))
    start = int(held.count[:4].sum())
    count = int(held.count[4])
    assert torch.equal(known[0, :count], held.known[start : start + count].float())
    assert torch.equal(allowed[0, :count], held.allowed[start : start + count]) and not allowed[0, count:].any()
    assert torch.equal(iou[0, :count], held.iou[start : start + count].float())


def test_the_shipped_judge_is_read_and_another_file_is_refused(tmp_path):
    assert load_judge().config.known == len(KNOWN)
    state = Judge().state()
    for name, held in (("other", {**state, "known": ["size"]}), ("none", {"kind": "prior"})):
        save_torch(tmp_path / f"{name}.pt", held)
        with pytest.raises(UserError, match="does not hold a judge of this version"):
            load_judge(tmp_path / f"{name}.pt")


def test_corrections_of_an_earlier_version_are_refused_by_name(tmp_path):
    path = tmp_path / "corrections_1_00003.npz"
    save_npz(path, compressed=False, **{**_joined([]), "names": np.array(["size"])})
    with pytest.raises(UserError, match="corrections_1_00003"):
        Situations.load([path])
