"""Click supervision: what is offered as a click, what is kept, and what a killed run leaves behind."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.fakes import FakeTeacher
from utils.errors import UserError
from utils.geometry.sampling import farthest_point_sampling
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, build_view_pool
from utils.supervision.click_views import ClickSettings, choose_clicked_vertices, choose_views, locate_clicks
from utils.supervision.pairs import SecondClickSettings
from utils.supervision.prompts import changes_enough, draw_columns, prompt_clicks
from utils.supervision.store import SupervisionSet, pack_masks, unpack_masks
from utils.supervision.writer import write_supervision

CLICKS = ClickSettings(percentage=0.25, n_views=6, render_res=90)  # 90 x 90 pixels do not fill whole bytes
FEWER_VIEWS = ClickSettings(percentage=0.25, n_views=5, render_res=90)
PAIRS = SecondClickSettings(max_pairs=3, refinements=2)
SHARED_CLICKS = ClickSettings(percentage=0.25, n_views=14, render_res=90)
SHARED = SecondClickSettings(max_pairs=2, refinements=1, pair_views=4, share_pairs=True)


class TopHeavy(FakeTeacher):
    """Clicks in the upper half of the image get large masks, the others small ones: a click can be inside the mask of
    another without the reverse."""

    def segment(self, embedding, points, labels, image_size, previous=None):
        small = super().segment(embedding, points, labels, image_size, previous)
        self.RADII = (0.4, 0.5, 0.6)
        large = super().segment(embedding, points, labels, image_size, previous)
        del self.RADII
        top = points[:, 0, 1] < image_size[0] / 2
        return replace(small, logits=torch.where(top[:, None, None, None], large.logits, small.logits))


@pytest.fixture(scope="module")
def rasterizer(two_boxes):
    return Rasterizer(two_boxes, "embree")


@pytest.fixture(scope="module")
def pool(rasterizer, tmp_path_factory):
    return build_view_pool(
        tmp_path_factory.mktemp("views"), rasterizer, FakeTeacher(), ViewSettings("uniform", 14, seed=3)
    )


@pytest.fixture(scope="module")
def made(rasterizer, pool, tmp_path_factory):
    """A set with the published second clicks."""
    return write_supervision(tmp_path_factory.mktemp("made"), rasterizer, pool, FakeTeacher(), CLICKS, PAIRS)


@pytest.fixture(scope="module")
def shared(rasterizer, pool, tmp_path_factory):
    """A set with second clicks shared between views."""
    return write_supervision(tmp_path_factory.mktemp("shared"), rasterizer, pool, TopHeavy(), SHARED_CLICKS, SHARED)


def _files(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def _first_masks(samples):
    """(vertex, view) -> mask of the single click, as nested lists would have it."""
    singles = (samples.kind == 0).nonzero()[:, 0]
    return {(int(samples.vertices[i, 0]), int(samples.view[i])): samples.masks([int(i)])[0].numpy() for i in singles}


def _pinhole(mesh, cameras, view, vertex):
    """Pixel (column, row) of a vertex, from the camera's definition."""
    matrix = cameras.world_to_camera[view].double().numpy()
    x, y, z = matrix[:3, :3] @ mesh.normalized[vertex].astype(np.float64) + matrix[:3, 3]
    side = cameras.size[0]
    focal = side / 2 / math.tan(cameras.fov_y / 2)
    return focal * x / z + side / 2, focal * y / z + side / 2


def _nearest_hit(mesh, origin, direction):
    """Distance along a ray to the first triangle, by trying all of them (Moeller-Trumbore)."""
    a, b, c = (mesh.normalized[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    p = np.cross(direction, c - a)
    determinant = ((b - a) * p).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((origin - a) * p).sum(1) / determinant
        q = np.cross(origin - a, b - a)
        v = (direction * q).sum(1) / determinant
        t = ((c - a) * q).sum(1) / determinant
    return t[(u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)].min(initial=np.inf)


def test_farthest_point_sampling_equals_a_slow_reference(generator):
    points = torch.randn(300, 3, generator=generator).numpy()
    points[50] = points[0]  # a copy is never chosen
    chosen = [0]
    while len(chosen) < 40:
        nearest = [min(float(((p.astype(float) - points[c].astype(float)) ** 2).sum()) for c in chosen) for p in points]
        chosen.append(int(np.argmax(nearest)))
    assert farthest_point_sampling(points, 40).tolist() == chosen


def test_farthest_point_sampling_stops_at_copies_and_refuses_nonsense():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]])
    assert farthest_point_sampling(points, 4).tolist() == [0, 1]
    for bad in ((points[:0], 1, 0), (points, 0, 0), (points, 1, 4)):
        with pytest.raises(ValueError):
            farthest_point_sampling(*bad)


def test_clicked_vertices_are_the_asked_share_from_vertex_zero(two_boxes):
    chosen = choose_clicked_vertices(two_boxes, ClickSettings(percentage=0.1))
    assert chosen[0] == 0 and len(set(chosen.tolist())) == round(0.1 * two_boxes.num_vertices)
    assert len(choose_clicked_vertices(two_boxes, ClickSettings(percentage=0.1, max_clicks=7))) == 7
    assert len(choose_clicked_vertices(two_boxes, ClickSettings(percentage=1e-9))) == 1


def test_views_of_a_vertex_show_it_and_are_no_more_than_asked(generator):
    visible = torch.rand(30, 50, generator=generator) < 0.3
    chosen = choose_views(visible, 8, seed=1)
    assert not (chosen & ~visible).any()
    assert torch.equal(chosen.sum(0), visible.sum(0).clamp(max=8))
    assert not torch.equal(chosen, choose_views(visible, 8, seed=2))
    with pytest.raises(UserError, match="no sampled vertex"):
        choose_views(torch.zeros(3, 4, dtype=torch.bool), 8, seed=0)


def test_occluded_vertex_is_never_offered_as_click(two_boxes, made):
    tried = {(int(view), int(v)) for view, pair in zip(made.view, made.vertices) for v in pair if v >= 0}
    cameras = made.cameras
    for view, vertex in tried:
        target = two_boxes.normalized[vertex].astype(np.float64)
        origin = cameras.positions[view].double().numpy()
        distance = np.linalg.norm(target - origin)
        assert _nearest_hit(two_boxes, origin, (target - origin) / distance) >= distance - 0.02
    hidden = {(view, v) for view in range(len(cameras)) for v in made.vertices[:, 0].unique().tolist()} - tried
    assert len(tried) > 50 and len(hidden) > 50


def test_clicks_near_the_silhouette_can_be_left_out(two_boxes, rasterizer, made):
    chosen = choose_clicked_vertices(two_boxes, CLICKS)
    everywhere, facing = (locate_clicks(rasterizer, made.cameras, chosen, least).visible for least in (0.0, 0.5))
    normals = two_boxes.vertex_normals[chosen].astype(np.float64)
    for view, k in np.argwhere(everywhere.numpy()):
        towards = made.cameras.positions[view].double().numpy() - two_boxes.normalized[chosen[k]]
        cosine = abs(normals[k] @ towards) / np.linalg.norm(towards)
        assert bool(facing[view, k]) == (cosine >= 0.5) or abs(cosine - 0.5) < 1e-5
    assert not (facing & ~everywhere).any() and 0 < facing.sum() < everywhere.sum()


def test_clicks_project_back_onto_their_vertex(two_boxes, made):
    with np.load(made.directory / "clicks.npz") as held:
        vertices, visible, pixels = held["vertices"], held["visible"], held["pixels"]
    for view, k in np.argwhere(visible):
        column, row = _pinhole(two_boxes, made.cameras, view, vertices[k])
        assert abs(column - pixels[view, k, 0] - 0.5) < 0.51 and abs(row - pixels[view, k, 1] - 0.5) < 0.51


def test_clicked_pixels_agree_with_their_labels(two_boxes, made, shared):
    for samples in (made, shared):
        masks = samples.masks(torch.arange(len(samples)))
        for i in range(len(samples)):
            for vertex, include in zip(samples.clicks(i).vertices.tolist(), samples.clicks(i).positive.tolist()):
                column, row = _pinhole(two_boxes, samples.cameras, int(samples.view[i]), vertex)
                if min(column % 1, row % 1) > 1e-3:  # not on the border of two pixels
                    assert masks[i, int(row), int(column)] == include or (masks[i].sum() == 0)


def test_kept_second_clicks_grow_or_shrink_the_first_mask_and_change_it(made, shared):
    for samples in (made, shared):
        first = _first_masks(samples)
        for i in (samples.kind > 0).nonzero()[:, 0].tolist():
            before = set(map(tuple, np.argwhere(first[int(samples.vertices[i, 0]), int(samples.view[i])])))
            after = set(map(tuple, np.argwhere(samples.masks([i])[0].numpy())))
            assert len(before & after) <= 0.9 * len(before | after)
            assert len(after) > len(before) if samples.positive[i, 1] else len(after) < len(before)
        assert (samples.kind == 1).sum() > 10 and (samples.kind == 2).sum() > 5


def test_second_clicks_come_from_the_published_candidates(two_boxes, made):
    with np.load(made.directory / "clicks.npz") as held:
        vertices, visible, pixels = held["vertices"].tolist(), held["visible"], held["pixels"]
    first = _first_masks(made)
    tried = defaultdict(int)
    for i in (made.kind > 0).nonzero()[:, 0].tolist():
        (v, q), view, include = made.vertices[i].tolist(), int(made.view[i]), bool(made.positive[i, 1])
        distance = {}
        for k, other in enumerate(vertices):
            column, row = pixels[view, k]
            if visible[view, k] and other != v and first[v, view][row, column] != include:
                distance[other] = float(
                    ((two_boxes.normalized[v].astype(float) - two_boxes.normalized[other]) ** 2).sum()
                )
        assert distance[q] < 0.5 * max(distance.values()) + 1e-6
        tried[v, view, include] += 1
    assert max(tried.values()) <= PAIRS.max_pairs


def test_single_masks_of_low_score_get_no_second_click(rasterizer, pool, tmp_path):
    class Unsure(FakeTeacher):
        SCORES = (0.39, 0.8, 0.7)

    samples = write_supervision(tmp_path, rasterizer, pool, Unsure(), CLICKS, PAIRS)
    assert (samples.kind == 0).all() and len(samples) > 50


def test_refinements_start_from_the_best_scored_mask_of_the_call_before(pool):
    class Recording(FakeTeacher):
        SCORES = (0.2, 0.9, 0.5)

        def segment(self, *args):
            calls.append((args[4], super().segment(*args)))
            return calls[-1][1]

    calls = []
    pixels, labels = torch.tensor([[[40, 50], [60, 70]]]), torch.tensor([[1, 0]])
    start = torch.randn(1, 1, 56, 56)
    answer = prompt_clicks(Recording(), pool.embedding(0), pixels, labels, (112, 112), start, refinements=6)
    assert len(calls) == 6 and torch.equal(calls[0][0], start)
    for (_, before), (previous, _) in itertools.pairwise(calls):
        assert torch.equal(previous[0, 0], before.logits[0, 1])
    assert answer.scores.tolist() == pytest.approx([0.2])  # mask 0 is the one kept


def test_many_prompts_are_answered_like_one_at_a_time(pool, generator):
    pixels = torch.randint(0, 112, (150, 1, 2), generator=generator)
    together = prompt_clicks(FakeTeacher(), pool.embedding(0), pixels, torch.ones(150, 1).long(), (112, 112))
    for i in (0, 63, 64, 149):
        alone = prompt_clicks(FakeTeacher(), pool.embedding(0), pixels[i : i + 1], torch.ones(1, 1).long(), (112, 112))
        assert torch.equal(together.masks[i], alone.masks[0])


def test_change_rule_by_hand():
    first = torch.zeros(5, 10, 10, dtype=torch.bool)
    first[:, :5] = True  # 50 pixels
    second = torch.zeros_like(first)
    second[0, :7] = True  # grew to 70, IoU 0.71
    second[1, :4] = True  # shrank to 40, IoU 0.8
    second[2, :5], second[2, 5, :5] = True, True  # grew to 55, IoU 0.909
    second[3, 5:] = True  # moved, equal area
    second[4, :4], second[4, 4, :5] = True, True  # shrank to 45, IoU exactly 0.9
    positive = torch.tensor([True, True, True, True, False])
    assert changes_enough(first, second, positive).tolist() == [True, False, False, False, True]
    assert changes_enough(first, second, ~positive).tolist() == [False, True, False, False, False]


def test_drawn_columns_are_distinct_eligible_and_as_many_as_there_are(generator):
    eligible = torch.rand(40, 12, generator=generator) < 0.3
    rows, columns = draw_columns(eligible, 4, generator)
    assert eligible[rows, columns].all() and len(set(zip(rows.tolist(), columns.tolist()))) == len(rows)
    assert torch.equal(rows.bincount(minlength=40), eligible.sum(1).clamp(max=4))


def test_shared_pairs_are_seen_from_many_views_with_one_sign(shared, made):
    signs, views = defaultdict(set), defaultdict(set)
    for i in (shared.kind > 0).nonzero()[:, 0].tolist():
        pair = tuple(shared.vertices[i].tolist())
        signs[pair].add(bool(shared.positive[i, 1]))
        views[pair].add(int(shared.view[i]))
    assert all(len(sign) == 1 for sign in signs.values())
    assert max(map(len, views.values())) <= SHARED.pair_views

    def views_of_a_pair(samples):
        return np.mean([len(members) for clicks, members in samples.click_sets() if len(clicks) == 2])

    assert views_of_a_pair(shared) > 1.5 * views_of_a_pair(made)


def test_shared_negative_is_inside_the_first_mask_but_not_the_reverse(two_boxes, shared):
    with np.load(shared.directory / "clicks.npz") as held:
        place = {vertex: k for k, vertex in enumerate(held["vertices"].tolist())}
        visible, pixels = held["visible"], held["pixels"]
    first = _first_masks(shared)

    def sides(v, q):  # of q's pixel and v's mask, in the views that show both
        k = place[q]
        return [
            bool(mask[pixels[view, k, 1], pixels[view, k, 0]])
            for (vertex, view), mask in first.items()
            if vertex == v and visible[view, k]
        ]

    pairs = {
        (bool(shared.positive[i, 1]), *shared.vertices[i].tolist()) for i in (shared.kind > 0).nonzero()[:, 0].tolist()
    }
    for include, v, q in pairs:
        if include:
            assert np.mean(sides(v, q)) < 0.5
        else:
            assert np.mean(sides(v, q)) > 0.5 > np.mean(sides(q, v))
    assert len({include for include, *_ in pairs}) == 2


@pytest.mark.parametrize("second", [PAIRS, SHARED], ids=["published", "shared"])
def test_one_clicked_vertex_has_single_clicks_only(rasterizer, pool, tmp_path, second):
    alone = ClickSettings(max_clicks=1, n_views=14, render_res=90)
    samples = write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), alone, second)
    assert (samples.kind == 0).all() and len(samples.click_sets()) == 1


def test_packed_masks_come_back(generator):
    masks = torch.rand(7, 9, 11, generator=generator) < 0.4
    assert torch.equal(unpack_masks(pack_masks(masks), (9, 11)), masks)
    assert pack_masks(masks).shape == (7, 13)


def test_masks_come_in_the_order_asked(rasterizer, pool, tmp_path):
    samples = write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, shard_samples=40)
    everything = torch.cat([samples.masks([i]) for i in range(len(samples))])
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    assert torch.equal(samples.masks(order), everything[order])
    assert samples.masks([]).shape == (0, 90, 90)


def test_click_sets_and_views_group_all_samples(made):
    reference = defaultdict(list)
    for i in range(len(made)):
        reference[made.clicks(i).key].append(i)
    sets = made.click_sets()
    assert {clicks.key: members.tolist() for clicks, members in sets} == dict(reference) and len(sets) == len(reference)
    by_view = made.by_view()
    assert sorted(torch.cat(list(by_view.values())).tolist()) == list(range(len(made)))
    assert all((made.view[members] == view).all() for view, members in by_view.items())
    assert torch.equal(made.num_clicks, 1 + (made.kind > 0).long())


def test_lost_shard_is_made_again_identically(rasterizer, pool, tmp_path):
    write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, shard_samples=40)
    before = _files(tmp_path)
    for name in ("single_001.npz", "positive_000.npz", "negative_002.npz", "clicks.npz"):
        (tmp_path / name).unlink()
    with pytest.raises(UserError, match="unfinished"):
        SupervisionSet.open(tmp_path, rasterizer.mesh)
    write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, shard_samples=40)
    assert _files(tmp_path) == before


@pytest.mark.parametrize("clicks, second", [(CLICKS, PAIRS), (SHARED_CLICKS, SHARED)], ids=["published", "shared"])
def test_interrupted_run_ends_like_an_uninterrupted_one(rasterizer, pool, tmp_path, clicks, second):
    class Dying(FakeTeacher):
        def segment(self, *args):
            if self.segment_calls >= lives:
                raise KeyboardInterrupt
            return super().segment(*args)

    whole, finished, again = FakeTeacher(), FakeTeacher(), FakeTeacher()
    write_supervision(tmp_path / "whole", rasterizer, pool, whole, clicks, second, shard_samples=40)
    lives = whole.segment_calls // 5
    for _ in range(4):  # dies in the singles, then in the second clicks
        with pytest.raises(KeyboardInterrupt):
            write_supervision(tmp_path / "parts", rasterizer, pool, Dying(), clicks, second, shard_samples=40)
    write_supervision(tmp_path / "parts", rasterizer, pool, finished, clicks, second, shard_samples=40)
    assert _files(tmp_path / "parts") == _files(tmp_path / "whole")
    write_supervision(tmp_path / "parts", rasterizer, pool, again, clicks, second, shard_samples=40)
    assert again.segment_calls == 0 < finished.segment_calls < whole.segment_calls


def test_kinds_made_one_after_another_equal_kinds_made_together(rasterizer, pool, made, tmp_path):
    for kind in ("single", "negative", "positive"):
        samples = write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, kinds=(kind,))
    assert len(samples) == len(made)
    ours, theirs = _files(tmp_path), _files(made.directory)
    assert {name: data for name, data in ours.items() if name.endswith("npz")} == {
        name: data for name, data in theirs.items() if name.endswith("npz")
    }
    only = SupervisionSet.open(tmp_path, rasterizer.mesh, kinds=("negative",))
    assert (only.kind == 2).all() and len(only) == int((made.kind == 2).sum())


def test_set_is_a_few_files(made):
    assert len(list(made.directory.iterdir())) == 5 and len(made) > 200


def test_other_settings_are_refused_until_overwritten(rasterizer, pool, tmp_path):
    write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS)
    with pytest.raises(UserError, match="n_views.*--overwrite 1"):
        write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), FEWER_VIEWS, PAIRS)
    with pytest.raises(UserError, match="refinements.*--overwrite 1"):
        write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, SecondClickSettings(max_pairs=3))
    singles = (tmp_path / "single_000.npz").stat().st_mtime_ns
    other = SecondClickSettings(max_pairs=1, refinements=1)
    changed = write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, other, ("positive",), overwrite=True)
    assert (tmp_path / "single_000.npz").stat().st_mtime_ns == singles and (changed.kind < 2).all()
    assert changed.settings["second_clicks"]["max_pairs"] == 1
    afresh = write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), FEWER_VIEWS, PAIRS, overwrite=True)
    assert afresh.settings["clicks"]["n_views"] == 5


def test_second_clicks_without_singles_are_refused(rasterizer, pool, tmp_path):
    with pytest.raises(UserError, match="--single_click 1"):
        write_supervision(tmp_path / "new", rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, kinds=("positive",))
    assert not (tmp_path / "new").exists()


def test_another_teacher_than_that_of_the_views_is_refused(rasterizer, pool, tmp_path):
    other = FakeTeacher()
    other.name = "vit_h-01234567"
    with pytest.raises(UserError, match="fake-00000000.*vit_h-01234567"):
        write_supervision(tmp_path, rasterizer, pool, other, CLICKS, PAIRS)


def test_reader_refuses_what_it_cannot_trust(made, rasterizer, icosphere, tmp_path):
    with pytest.raises(UserError, match="no click supervision.*data_generation.py"):
        SupervisionSet.open(tmp_path, rasterizer.mesh)
    with pytest.raises(UserError, match="another mesh"):
        SupervisionSet.open(made.directory, icosphere)
    for name, data in _files(made.directory).items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "negative_000.npz").write_bytes(_files(made.directory)["negative_000.npz"][:500])
    with pytest.raises(UserError, match="negative_000.npz is not a readable shard"):
        SupervisionSet.open(tmp_path, rasterizer.mesh)
    SupervisionSet.open(tmp_path, rasterizer.mesh, kinds=("single",))
    manifest = json.loads((tmp_path / "supervision.json").read_text())
    for broken in ("{", "[]", json.dumps({**manifest, "format": 99}), json.dumps({**manifest, "shards": 3})):
        (tmp_path / "supervision.json").write_text(broken)
        with pytest.raises(UserError, match="again"):
            SupervisionSet.open(tmp_path, rasterizer.mesh)


def test_lacking_kind_is_named_with_its_flag(rasterizer, pool, tmp_path):
    write_supervision(tmp_path, rasterizer, pool, FakeTeacher(), CLICKS, PAIRS, kinds=("single",))
    with pytest.raises(UserError, match="--second_negative 1"):
        SupervisionSet.open(tmp_path, rasterizer.mesh, kinds=("single", "negative"))
