"""The decoder's losses, and a training that learns, resumes and answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.iseg.click_geometry import ClickGeometry, ClickGeometryTable
from models.iseg.decoders import build_network
from models.iseg.losses import dice_loss, lifted_loss, rendered_loss, sample_rows
from models.iseg.segmenter import DecoderSegmenter
from models.iseg.simulated_person import SimulatedPerson, second_order
from models.iseg.training import (
    DecoderTraining,
    LiftedSettings,
    RenderedSettings,
    ViewCache,
    train_lifted,
    train_rendered,
)
from tests.halves import half_of, write_halves
from utils.clicks import Clicks
from utils.rendering.lifting import PixelWeights, pixel_weights
from utils.rendering.rasterize import Rasterizer
from utils.selection import otsu_threshold
from utils.supervision.lifted_targets import ClickTable, LiftedTargets, lift_masks
from utils.supervision.training_samples import choose_samples, kind_chances


@pytest.fixture(scope="module")
def samples(icosphere, tmp_path_factory):
    return write_halves(tmp_path_factory.mktemp("halves"), icosphere)


@pytest.fixture(scope="module")
def rasterizer(icosphere):
    return Rasterizer(icosphere, "embree")


@pytest.fixture(scope="module")
def lifted(samples, rasterizer):
    return lift_masks(samples, torch.arange(len(samples)), rasterizer, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def singles(samples, rasterizer):
    alone = (samples.kind == 0).nonzero()[:, 0]
    return lift_masks(samples, alone, rasterizer, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def features(icosphere):
    generator = torch.Generator().manual_seed(5)
    return torch.tanh(torch.from_numpy(icosphere.normalized) @ torch.randn(3, 256, generator=generator))


def _views_of(samples, rasterizer, members):
    """R and the masked pixels of each sample, without the cache."""
    result = []
    for sample in members.tolist():
        weights, covered = pixel_weights(rasterizer.mesh, rasterizer(samples.cameras[int(samples.view[sample])]))
        result.append((weights, samples.masks([sample])[0][covered]))
    return result


# --- losses -------------------------------------------------------------------------------------


def test_lifted_weights_are_the_transposed_masks(samples, rasterizer, lifted, icosphere):
    """Pixel by pixel, for some click sets: w1 = sum R^T y, w0 = sum R^T (1 - y)."""
    sets = samples.click_sets()
    assert len(lifted.clicks) == len(sets)
    keys = {
        Clicks(
            lifted.clicks.vertices[k][lifted.clicks.present[k]], lifted.clicks.positive[k][lifted.clicks.present[k]]
        ).key: k
        for k in range(len(sets))
    }
    for clicks, members in sets[::37]:
        on, off = np.zeros(icosphere.num_vertices), np.zeros(icosphere.num_vertices)
        for weights, mask in _views_of(samples, rasterizer, members):
            for vertices, shares, selected in zip(weights.vertex_ids.tolist(), weights.weights.tolist(), mask.tolist()):
                for vertex, share in zip(vertices, shares):
                    (on if selected else off)[vertex] += share
        row = keys[clicks.key]
        total = on + off
        np.testing.assert_allclose(lifted.weight[row], total / total.sum(), atol=1e-6)
        np.testing.assert_allclose(
            lifted.target[row][total > 1e-3], (on / np.maximum(total, 1e-12))[total > 1e-3], atol=1e-4
        )


def test_lifted_loss_bounds_the_rendered_loss(samples, rasterizer, lifted, generator):
    """By convexity, and tight where the probability does not vary within a triangle."""
    sets = samples.click_sets()
    for row in range(0, len(sets), 29):
        views = _views_of(samples, rasterizer, sets[row][1])
        pixels = sum(len(weights) for weights, _ in views)
        for logits, exact in (
            (3 * torch.randn(rasterizer.mesh.num_vertices, 2, generator=generator), False),
            (torch.tensor([[0.3, -0.9]]).expand(rasterizer.mesh.num_vertices, 2), True),
        ):
            rendered = sum(len(weights) * rendered_loss(logits, weights, mask) for weights, mask in views) / pixels
            bound = lifted_loss(logits[None], lifted.target[row, None], lifted.weight[row, None])
            torch.testing.assert_close(bound, rendered, rtol=1e-4, atol=1e-5) if exact else None
            assert bound >= rendered - 1e-5


def test_rendered_loss_and_gradient_are_the_published_ones(generator):
    """Against a loop over pixels in float64, and finite differences."""
    weights = PixelWeights(torch.randint(6, (9, 3), generator=generator), torch.rand(9, 3, generator=generator), 6)
    weights = PixelWeights(weights.vertex_ids, weights.weights / weights.weights.sum(1, keepdim=True), 6)
    mask = torch.rand(9, generator=generator) > 0.5
    logits = torch.randn(6, 2, generator=generator)

    def reference(values: np.ndarray) -> float:
        exponential = np.exp(values)
        selected = exponential[:, 1] / exponential.sum(1)
        total = 0.0
        for vertices, shares, inside in zip(
            weights.vertex_ids.tolist(), weights.weights.double().tolist(), mask.tolist()
        ):
            probability = sum(share * selected[vertex] for vertex, share in zip(vertices, shares)) / sum(shares)
            total -= np.log(probability if inside else 1 - probability)
        return total / len(mask)

    variable = logits.clone().requires_grad_()
    loss = rendered_loss(variable, weights, mask)
    loss.backward()
    values = logits.double().numpy()
    assert abs(loss.item() - reference(values)) < 1e-6
    for vertex in range(6):
        for channel in range(2):
            moved = values.copy(), values.copy()
            moved[0][vertex, channel] += 1e-5
            moved[1][vertex, channel] -= 1e-5
            slope = (reference(moved[0]) - reference(moved[1])) / 2e-5
            assert abs(float(variable.grad[vertex, channel]) - slope) < 1e-5


def test_lifted_gradient_is_that_of_the_written_sum(generator):
    logits = torch.randn(2, 7, 2, generator=generator, dtype=torch.float64).requires_grad_()
    target, weight = torch.rand(2, 7, generator=generator), torch.rand(2, 7, generator=generator)
    selected = logits.softmax(-1)[..., 1]
    written = -(weight * target * selected.log() + weight * (1 - target) * (1 - selected).log()).sum(1).mean()
    (expected,) = torch.autograd.grad(written, logits)
    (found,) = torch.autograd.grad(lifted_loss(logits, target, weight), logits)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_sampled_rows_estimate_the_whole_loss(lifted, generator):
    target, weight = lifted.target[:4], lifted.weight[:4]
    logits = torch.randn(4, target.shape[1], 2, generator=generator)
    rows, share = sample_rows(target, weight, 200_000, generator)
    few = lifted_loss(logits.gather(1, rows[..., None].expand(-1, -1, 2)), target.gather(1, rows), share)
    torch.testing.assert_close(few, lifted_loss(logits, target, weight), rtol=0.01, atol=0)
    assert (weight.gather(1, rows) > 0).all()


def test_too_many_click_sets_lose_pairs_before_singles(samples, rasterizer, icosphere, generator):
    singles = int((samples.kind == 0).sum())
    count = len(samples.vertices[samples.kind == 0][:, 0].unique())
    most = (count + 5) * icosphere.num_vertices
    kept = lift_masks(samples, torch.arange(len(samples)), rasterizer, generator, max_entries=most)
    assert singles > count and len(kept.clicks) == count + 5 and int((kept.clicks.kind == 0).sum()) == count


def test_large_mesh_is_lifted_to_fewer_rows(samples, rasterizer, lifted, icosphere, generator):
    few = lift_masks(samples, torch.arange(len(samples)), rasterizer, generator, max_rows=40)
    assert few.rows.shape == (40,) and few.weight.shape[1] == 40
    torch.testing.assert_close(few.weight.sum(1), torch.ones(len(few.weight)))
    points = torch.from_numpy(icosphere.normalized)[few.rows]
    # A row stands for its surroundings, so both agree on which side is selected away from the border.
    for row in range(0, len(few.clicks), 31):
        sure = (
            (few.weight[row] > 0)
            & (points[:, 0] ** 2 > 0.2)
            & (points[:, 1] ** 2 > 0.2)
            & (lifted.weight[row][few.rows] > 0)
        )
        assert ((few.target[row] > 0.5) == (lifted.target[row][few.rows] > 0.5))[sure].all()


def test_click_kinds_are_drawn_in_the_given_shares(generator):
    table = ClickTable.of(
        [Clicks.from_lists([1])] * 30 + [Clicks.from_lists([1, 2])] * 5 + [Clicks.from_lists([1], [2])] * 500
    )
    chance = kind_chances(table.kind, (0.5, 0.25, 0.25))
    drawn = table.kind[torch.multinomial(chance, 20_000, replacement=True, generator=generator)]
    torch.testing.assert_close(drawn.bincount() / 20_000, torch.tensor([0.5, 0.25, 0.25]), rtol=0, atol=0.02)


def test_views_and_share_of_the_samples_can_be_limited(samples, generator):
    two = choose_samples(samples, 2, 1.0, generator)
    assert max(int(torch.isin(members, two).sum()) for _, members in samples.click_sets()) == 2
    assert len(choose_samples(samples, 0, 0.25, generator)) == round(0.25 * len(samples))
    assert torch.equal(choose_samples(samples, 0, 1.0, generator), torch.arange(len(samples)))


# --- the simulated person -----------------------------------------------------------------------


def _halves(icosphere, vertices, noise=0.0):
    """Single clicks (K,), each of which selects the half (x > 0 or not) that it is in, up to some wrong rows."""
    side = torch.from_numpy(icosphere.normalized[:, 0] > 0)
    target = (side == side[torch.tensor(vertices)][:, None]).float()
    wrong = torch.rand(target.shape, generator=torch.Generator().manual_seed(3)) < noise
    target = torch.where(wrong, 1 - target, target)
    clicks = ClickTable.of([Clicks.from_lists([vertex]) for vertex in vertices])
    weight = torch.full_like(target, 1 / target.shape[1])
    return LiftedTargets(clicks, torch.arange(len(side)), weight, target), side


def test_masks_that_hold_each_others_clicks_are_joined_and_others_are_not(icosphere):
    noisy, _ = _halves(icosphere, list(range(0, 160, 4)), noise=0.2)
    clean, _ = _halves(icosphere, list(range(0, 160, 4)))
    better = second_order(noisy)
    assert ((better.target > 0.5) == (clean.target > 0.5)).float().mean() > 0.97
    assert ((noisy.target > 0.5) == (clean.target > 0.5)).float().mean() < 0.83
    torch.testing.assert_close(better.weight.sum(1), torch.ones(len(better.weight)))
    alone, _ = _halves(icosphere, [3])
    torch.testing.assert_close(second_order(alone).target, alone.target)


def test_a_view_that_a_click_lacks_is_had_from_those_that_agree_with_it(icosphere):
    vertices = [3, *np.flatnonzero(half_of(icosphere, 3))[:6].tolist()]
    targets, side = _halves(icosphere, vertices)
    hidden = torch.from_numpy(icosphere.normalized[:, 2] < 0) & (torch.arange(len(side)) != 3)
    targets.weight[0, hidden], targets.target[0, hidden] = 0.0, 0.0
    filled = second_order(targets)
    assert (filled.target[0] > 0.5).equal(side == side[3]) and (filled.weight[0, hidden] > 0).all()


def test_the_simulated_person_clicks_inside_and_then_on_mistakes(icosphere, generator):
    """The decoder that is corrected selects everything, then nothing."""
    targets, side = _halves(icosphere, list(range(0, 160, 4)))
    person = SimulatedPerson(targets, torch.arange(len(side)), generator)
    for logit, positive in ((1.0, False), (-1.0, True)):
        seen = set()
        for _ in range(12):
            wish, clicks = person.sets(6, lambda clicks, rows, logit=logit: torch.full(rows.shape, logit))
            inside = person.wishes.target[wish].gather(1, clicks.vertices) > 0.5
            assert inside[:, 0].all() and clicks.positive[:, 0].all() and clicks.present.all()
            assert (clicks.positive[:, 1:] == positive).all() and (inside[:, 1:] == positive).all()
            seen.add(clicks.vertices.shape[1])
        assert len(seen) > 2


def test_what_no_view_shows_is_no_mistake(icosphere, generator):
    """The decoder selects everything; the far half of the other side is never seen, so only the rest is excluded."""
    targets, _ = _halves(icosphere, list(range(0, 160, 4)))
    hidden = torch.from_numpy(icosphere.normalized[:, 1] > 0)
    targets.weight[:, hidden] = 0.0
    person = SimulatedPerson(targets, torch.arange(len(hidden)), generator)
    clicks = [person.sets(6, lambda clicks, rows: torch.ones(rows.shape))[1] for _ in range(12)]
    excluded = torch.cat([each.vertices[:, 1:][each.present[:, 1:]] for each in clicks])
    assert len(excluded) > 20 and not hidden[excluded].any()


def test_who_sees_no_mistake_clicks_no_more(icosphere, generator):
    targets, side = _halves(icosphere, list(range(0, 160, 4)))
    person = SimulatedPerson(targets, torch.arange(len(side)), generator)

    def right(clicks, rows):
        return torch.where(side[rows] == side[clicks.vertices[:, :1]], 1.0, -1.0)

    for _ in range(8):
        _, clicks = person.sets(5, right)
        assert clicks.present[:, 0].all() and not clicks.present[:, 1:].any()


def test_small_masks_are_meant_more_often_than_their_size(icosphere, generator):
    targets, _ = _halves(icosphere, [0, 1])
    targets.target[0] = (torch.arange(targets.target.shape[1]) < 4).float()
    targets.target[1] = 1.0
    person = SimulatedPerson(targets, torch.arange(targets.target.shape[1]), generator)
    drawn = torch.cat([person.sets(50, lambda clicks, rows: torch.ones(rows.shape))[0] for _ in range(20)])
    assert (drawn == 0).float().mean() > 0.8


def test_dice_loss_weighs_a_small_selection_as_a_large_one():
    logits = torch.tensor([[[0.0, 9.0], [9.0, 0.0], [9.0, 0.0], [9.0, 0.0]]])
    weight = torch.full((1, 4), 0.25)
    exact, missed = torch.tensor([[1.0, 0, 0, 0]]), torch.tensor([[1.0, 1, 0, 0]])
    assert float(dice_loss(logits, exact, weight)) == pytest.approx(0, abs=1e-3)
    assert float(dice_loss(logits, missed, weight)) == pytest.approx(1 / 3, abs=1e-3)
    assert float(dice_loss(logits, missed, 0.01 * weight)) == pytest.approx(1 / 3, abs=1e-3)


# --- training -----------------------------------------------------------------------------------


def _training(features, architecture="geometric", rate=1e-3):
    generator = torch.Generator().manual_seed(1)
    network = build_network(architecture, generator=generator)
    if architecture == "geometric":
        network.decoder.standardize(features)
    return DecoderTraining(network, torch.optim.Adam(network.parameters(), lr=rate), generator)


def _places(targets):
    """Where clicks have distances in `table`."""
    return torch.isin(targets.rows, targets.clicks.clicked).nonzero()[:, 0]


@pytest.fixture(scope="module")
def table(icosphere, lifted):
    return ClickGeometryTable(ClickGeometry(icosphere), lifted.clicks.clicked, lifted.rows)


@pytest.mark.parametrize("architecture", ["geometric", "published"])
def test_lifted_training_learns_the_half_that_was_clicked(architecture, icosphere, features, singles, table):
    training = _training(features, architecture)
    settings = LiftedSettings(steps=50, sets_per_step=8, rows_per_set=32, learning_rate=5e-4)
    seen = table if architecture == "geometric" else None
    train_lifted(training, features, singles, _places(singles), seen, settings, lambda: None)
    assert np.mean(training.losses[-10:]) < 0.6 * np.mean(training.losses[:10])
    segmenter = DecoderSegmenter(icosphere, training.network, features)
    untrained = np.setdiff1d(np.flatnonzero(np.abs(icosphere.normalized[:, 0]) > 0.5), singles.clicks.clicked.numpy())[
        :6
    ]
    agreement = []
    for vertex in untrained.tolist():
        probability = segmenter.probability(Clicks.from_lists([vertex]))
        agreement.append(((probability > otsu_threshold(probability)) == half_of(icosphere, vertex)).mean())
    assert np.mean(agreement) > 0.9


def test_rendered_training_lowers_the_loss(samples, rasterizer, features):
    training = _training(features, "published")
    chosen = choose_samples(samples, 0, 0.05, torch.Generator().manual_seed(0))
    settings = RenderedSettings(num_epochs=6, batch_size=len(chosen), learning_rate=3e-4)
    train_rendered(training, features, samples, chosen, ViewCache(samples, rasterizer), None, settings, lambda: None)
    assert (training.epoch, training.batch_idx, training.num_batch) == (6, 0, 1)
    assert len(training.losses) == 6 and training.losses[-1] < 0.9 * training.losses[0]


def test_a_view_without_pixels_of_the_object_is_no_error(samples, rasterizer, features):
    """The loss of an empty view is 0 and has gradient 0."""

    class Empty:
        def __call__(self, view):
            nothing = torch.zeros(0, 3)
            return (
                PixelWeights(nothing.long(), nothing, 0),
                torch.zeros(0, dtype=torch.int64),
                torch.zeros(48, 48, dtype=torch.bool),
            )

    training = _training(features, "published")
    before = [parameter.clone() for parameter in training.network.parameters()]
    train_rendered(training, features, samples, torch.arange(3), Empty(), None, RenderedSettings(1, 3), lambda: None)
    assert training.losses == [0.0] and all(torch.equal(a, b) for a, b in zip(before, training.network.parameters()))


@pytest.mark.parametrize("loss", ["lifted", "rendered"])
def test_interrupted_training_ends_as_if_never_interrupted(loss, samples, rasterizer, features, singles, table):
    class Killed(Exception):
        pass

    def run(training, stop_after=None):
        def after_step():
            if stop_after is not None and len(training.losses) == stop_after:
                raise Killed

        if loss == "lifted":
            train_lifted(training, features, singles, _places(singles), table, LiftedSettings(8, 5, 32), after_step)
        else:
            chosen = torch.arange(0, len(samples), 40)
            train_rendered(
                training,
                features,
                samples,
                chosen,
                ViewCache(samples, rasterizer),
                None,
                RenderedSettings(2, 4, 1e-3),
                after_step,
            )

    architecture = "geometric" if loss == "lifted" else "published"
    whole, broken, resumed = (_training(features, architecture) for _ in range(3))
    run(whole)
    with pytest.raises(Killed):
        run(broken, stop_after=3)
    resumed.restore(broken.checkpoint())
    run(resumed)
    assert len(resumed.losses) == len(whole.losses) and resumed.losses == whole.losses
    for a, b in zip(whole.network.parameters(), resumed.network.parameters()):
        assert torch.equal(a, b)
