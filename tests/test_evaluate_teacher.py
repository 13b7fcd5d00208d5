"""Measuring a teacher: clicks lie in visible parts, numbers agree with slow references, runs go on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from SAM_repo.evaluation import summary
from SAM_repo.evaluation.affinity import affinity, auc_and_margin
from SAM_repo.evaluation.benchmark import BenchmarkSettings, evaluate_teacher
from SAM_repo.evaluation.clicks import MIN_PIXELS, ShapeViews, ask, click_rows, clicks_on_every_part, render_labelled
from SAM_repo.evaluation.image_baselines import (
    BASELINES,
    ViewImage,
    disc,
    flood_fill,
    occlusions,
    watershed_of_distance,
)
from SAM_repo.evaluation.measure import held_out_set, measure
from SAM_repo.evaluation.overlays import TRUTH_COLOR, overlay_of, save_sheets
from SAM_repo.evaluation.report import table
from SAM_repo.evaluation.summary import Rows, summarise
from SAM_repo.teacher import load_teacher
from scripts.evaluate_teacher import main
from tests.fakes import FakeTeacher
from utils.errors import UserError
from utils.selection import iou
from utils.teacher import TeacherMasks


class Oracle(FakeTeacher):
    """Answers every prompt with given masks (3, 224, 224) bool; records what it is asked."""

    def __init__(self, masks: np.ndarray) -> None:
        super().__init__(image_size=224, side=56)
        self.given, self.asked = masks, []

    def segment(self, embedding, points, labels, image_size, previous=None):
        self.asked.append((points.clone(), labels.clone(), previous))
        logits = torch.from_numpy(self.given).float() * 16 - 8
        scores = torch.tensor([0.9, 0.2, 0.4])
        count = len(points)
        return TeacherMasks(logits.expand(count, -1, -1, -1).clone(), scores.expand(count, -1), image_size)


@pytest.fixture(scope="module")
def labels(two_boxes, two_boxes_head) -> np.ndarray:
    """(2, F): the mallet's head and handle; a second person also halves the head."""
    head = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    right = two_boxes.vertices[two_boxes.faces].mean(1)[:, 0] > 0
    return np.stack([head, head + (head * right)])


@pytest.fixture(scope="module")
def views(two_boxes, labels) -> ShapeViews:
    return render_labelled(two_boxes, labels, 2, np.random.default_rng(5))


def test_every_visible_part_is_clicked_once_inside(views: ShapeViews) -> None:
    seen = set()
    for seed in range(4):
        for of_view in views.labels[1]:
            clicks = clicks_on_every_part(of_view, np.random.default_rng(seed))
            found = of_view[clicks[:, 1], clicks[:, 0]].tolist()
            assert sorted(found) == [v for v in np.unique(of_view) if v >= 0 and (of_view == v).sum() >= MIN_PIXELS]
            seen.add(clicks.tobytes())
    assert len(seen) == 8  # other clicks for other seeds
    almost = np.full((20, 20), -1)
    almost[0, : MIN_PIXELS - 1] = 3
    assert len(clicks_on_every_part(almost, np.random.default_rng(0))) == 0


def test_rows_hold_ious_counted_pixel_by_pixel(views: ShapeViews) -> None:
    rng = np.random.default_rng(1)
    masks = np.stack([views.labels[0, 0] == 1, views.labels[1, 0] == 2, rng.random((224, 224)) < 0.5])
    teacher = Oracle(masks)
    y, x = np.argwhere(views.labels[1, 0] == 2)[7]
    (row,) = click_rows(teacher, views, [np.array([[x, y]]), np.zeros((0, 2), int)], 0, baselines=True)

    def slow(first: np.ndarray, second: np.ndarray) -> float:
        pairs = list(zip(first.ravel().tolist(), second.ravel().tolist()))
        return sum(a and b for a, b in pairs) / sum(a or b for a, b in pairs)

    head, half = views.labels[0, 0] == 1, views.labels[1, 0] == 2
    assert row["ious"] == [[pytest.approx(slow(mask, truth)) for truth in (head, half)] for mask in masks]
    assert row["area"] == head.sum() and row["areas"] == [head.sum(), half.sum()]
    assert row["sizes"] == [int(mask.sum()) for mask in masks] and row["others"] == [pytest.approx(slow(head, half))]
    assert row["scores"] == pytest.approx([0.9, 0.2, 0.4])
    assert row["inside"] == [1.0, pytest.approx((head & masks[2]).sum() / head.sum())]
    assert row["second"] == row["third"] == pytest.approx(1.0)
    assert {k: len(v) for k, v in row["baselines"].items()} == {k: len(v) for k, (_, v) in BASELINES.items()}
    assert json.loads(json.dumps(row)) == row


def test_corrective_clicks_lie_in_the_error_and_show_the_teacher_its_mask(views: ShapeViews) -> None:
    truth = views.labels[0, 0] >= 0
    given = np.stack([truth & (views.labels[0, 0] == 0)] * 3)
    teacher = Oracle(given)
    y, x = np.argwhere(given[0])[30]
    click, generator = np.array([[x, y]]), torch.Generator().manual_seed(0)
    rounds = ask(teacher, torch.zeros(teacher.embedding_shape), click, truth[None], generator)
    assert [points.shape[1] for points, _, _ in teacher.asked] == [1, 2, 3]
    assert teacher.asked[0][0].tolist() == [[[x + 0.5, y + 0.5]]]
    for points, signs, previous in teacher.asked[1:]:
        column, row = points[0, -1].long().tolist()
        assert signs[0, -1] == 1 and truth[row, column] and not given[0, row, column]  # the missed part
        assert previous.shape[1] == 1 and np.array_equal(previous[0, 0].numpy() > 0, given[0])
    assert [turn.masks.shape for turn in rounds] == [(1, 3, 224, 224)] * 3


def test_the_fast_measure_says_what_rows_of_clicks_say() -> None:
    teacher, clicks = load_teacher("vit_t"), held_out_set(2_000_000_000, 3)
    measured, points = measure(teacher.sam, clicks, torch.device("cpu")), clicks.points[0].numpy()
    truth, fine = clicks.masks[0].numpy(), clicks.fine[0].numpy()
    rounds = ask(teacher, teacher.embed(clicks.images)[0], points, truth, torch.Generator().manual_seed(0))

    def mean_iou(turn: int, mask: int, wanted: np.ndarray) -> float:
        return float(np.mean([iou(*pair) for pair in zip(rounds[turn].masks[:, mask].numpy(), wanted)]))

    expected = {f"mask{k}": mean_iou(0, k, truth) for k in range(3)} | {"fine": mean_iou(0, 1, fine)}
    expected |= {"two_clicks": mean_iou(1, 0, truth), "three_clicks": mean_iou(2, 0, truth)}
    found, area = rounds[0].masks[:, 0].numpy(), truth.sum((1, 2))
    expected["missed"] = float(np.median((truth & ~found).sum((1, 2)) / area))
    expected["spilled"] = float(np.median((found & ~truth).sum((1, 2)) / area))
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=2e-3)
    assert min(abs(measured["fine"] - mean_iou(0, k, fine)) for k in (0, 2)) > 0.01  # other masks would be noticed


# ---- classical methods -----------------------------------------------------------------------------------------------


@pytest.fixture
def dumbbell() -> ViewImage:
    """Two bright discs joined by a neck, before a background."""
    y, x = np.mgrid[:80, :120]
    left, right = (x - 30) ** 2 + (y - 40) ** 2 < 20**2, (x - 90) ** 2 + (y - 40) ** 2 < 20**2
    neck = (abs(y - 40) < 5) & (x > 30) & (x < 90)
    covered = left | right | neck
    image = np.where(right, 180, 100).astype(np.uint8)
    return ViewImage(np.where(covered, image, 255)[..., None].repeat(3, 2), np.where(covered, 2.0, np.inf))


def test_watershed_cuts_a_dumbbell_at_its_neck(dumbbell: ViewImage) -> None:
    mask = watershed_of_distance(dumbbell, 25, 40, 2.0)
    assert mask[40, 30] and not mask[40, 90] and mask.sum() > 0.9 * np.pi * 20**2


def test_disc_and_flood_are_what_they_say(dumbbell: ViewImage) -> None:
    expected = np.zeros((80, 120), bool)
    for y in range(80):
        for x in range(120):
            expected[y, x] = (x - 30) ** 2 + (y - 40) ** 2 <= 12**2
    assert np.array_equal(disc(dumbbell, 30, 40, 12), expected)
    flooded = flood_fill(dumbbell, 90, 40, 0.1)
    assert np.array_equal(flooded, (dumbbell.image[..., 0] == 180) & dumbbell.covered)


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_holds_its_click_and_nothing_but_the_object(name: str, dumbbell: ViewImage) -> None:
    method, parameters = BASELINES[name]
    for value in parameters:
        mask = method(dumbbell, 32, 45, value)
        assert mask[45, 32] and not (mask & ~dumbbell.covered).any()


def test_occlusions_are_on_the_nearer_side() -> None:
    depth = np.full((6, 6), 2.0)
    depth[:, 3:] = 1.5
    depth[0] = np.inf
    edge = occlusions(depth)
    assert edge[0].all() and edge[3].tolist() == [False, False, False, True, False, False]


# ---- embedding -------------------------------------------------------------------------------------------------------


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    values, same = rng.integers(0, 8, 60) / 8, rng.random(60) < 0.4
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in values[same] for b in values[~same]]
    assert auc_and_margin(values, same) == pytest.approx([np.mean(wins), values[same].mean() - values[~same].mean()])
    assert auc_and_margin(values, np.ones(60, bool)) is None


def test_affinity_is_one_for_an_embedding_of_the_parts_and_a_half_for_noise(views: ShapeViews) -> None:
    class Parts(FakeTeacher):
        noise = 0.0

        def embed(self, images):
            at = torch.from_numpy(views.labels[0][:, 4::8, 4::8].copy())
            clean = torch.stack([(at == k).float() for k in (-1, 0, 1)], 1)
            noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
            return (1 - self.noise) * clean + self.noise * noise

    teacher = Parts()
    result = affinity(teacher, views, np.random.default_rng(0))
    assert [*result["within"], *result["across"]] == pytest.approx([1.0] * 4, abs=1e-6)
    assert 0.5 < result["nearness_within"][0] < 1
    teacher.noise = 1.0
    assert abs(affinity(teacher, views, np.random.default_rng(0))["across"][0] - 0.5) < 0.05


# ---- summary ---------------------------------------------------------------------------------------------------------


def _row(ious: list[float], area: int = 1000, score: int = 0, **more) -> dict:
    scores = [0.1, 0.1, 0.1]
    scores[score] = 0.8
    return {
        "view": 0,
        "ious": [[v, v / 2] for v in ious],
        "scores": scores,
        "area": area,
        "areas": [area, area // 2],
        "second": 0.9,
        "third": 1.0,
        "sizes": [10, 5, 20],
        "inside": [1.0, 0.8],
        "others": [0.7, 0.5],
        "baselines": {name: [0.1] * (len(p) - 1) + [0.3] for name, (_, p) in BASELINES.items()},
    } | more


def test_the_summary_is_means_over_clicks() -> None:
    groups = [[_row([0.2, 0.4, 0.6], score=1), _row([0.8, 0.1, 0.1], area=100)], [_row([0.5, 0.5, 0.5])], []]
    rows = Rows.all_alike(groups)
    result = summarise(rows)
    means = {"mask0": 0.5, "mask1": 1 / 3, "mask2": 0.4, "best": 1.7 / 3, "oracle": 1.9 / 3}
    assert result["one_click"] == pytest.approx(means)
    assert result["small_parts"] == 0.8 and result["small_clicks"] == 1 and result["two_clicks"] == pytest.approx(0.9)
    assert result["oracle_minus_mask0"] == pytest.approx(0.4 / 3)
    assert result["intervals"]["mask0"] == [0.5, 0.5] and result["intervals"]["small_parts"] == [0.8, 0.8]
    assert result["by_size"]["0-200"]["clicks"] == 1 and result["by_size"]["500-2000"]["mask0"] == pytest.approx(0.35)
    of_a = {"clicks": 2, "mask0": 0.5, "oracle": 0.7, "two_clicks": 0.9}
    assert summary.by_category(rows, ["a", "b", "a"])["a"] == pytest.approx(of_a)
    disc = summary.best_baselines(rows)["disc"]
    assert disc["parameter"] == BASELINES["disc"][1][-1] and disc["iou"] == pytest.approx(0.3)
    alone = Rows.all_alike([[_row([1, 1, 1], others=[])]])
    assert summary.other_people(rows)["iou"] == pytest.approx(0.6) and summary.other_people(alone) is None


def test_parts_weigh_by_their_area_within_a_view_and_views_alike() -> None:
    groups = [
        [_row([0.2] * 3, area=1000), _row([0.8] * 3, area=100), _row([0.5] * 3, view=1)],
        [_row([0.1] * 3, area=40)],
    ]
    large, small = 1000**0.35, 100**0.35
    expected = ((0.2 * large + 0.8 * small) / (large + small) + 0.5 + 0.1) / 3
    assert summarise(Rows.as_clicked(groups))["one_click"]["mask0"] == pytest.approx(expected)


def test_intervals_resample_whole_meshes() -> None:
    rng = np.random.default_rng(0)
    groups = [[_row([value] * 3, view=k) for k in range(5)] for value in rng.random(12)]
    low, high = summarise(Rows.as_clicked(groups), seed=3)["intervals"]["mask0"]
    values = np.array([group[0]["ious"][0][0] for group in groups])
    assert low < values.mean() < high and high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(12), rel=0.15)


def test_levels_errors_and_nesting_read_the_right_columns() -> None:
    rows = [_row([0.8, 0.4, 0.6]), _row([0.8, 0.4, 0.6], areas=[1000, 990])]
    levels = summary.mask_levels(rows, ("group", "part"))
    assert levels["clicks"] == 1 and levels["mask1"] == pytest.approx({"group": 0.4, "part": 0.2})
    errors = summary.score_errors(rows, (0, 1, 0))
    assert errors == pytest.approx({"mask0": 0.0, "mask0_bias": 0.0, "all_masks": (0.0 + 0.1 + 0.5) / 3})
    sizes = {"size_of_1": 0.5, "size_of_2": 2}
    shares = {"share_of_1_in_0": 1, "share_of_0_in_2": 0.8, "often_1_in_0": 1, "often_0_in_2": 0, "often_both": 0}
    assert summary.nesting(rows) == pytest.approx({**shares, **sizes})


# ---- command line ----------------------------------------------------------------------------------------------------


@pytest.fixture
def benchmark(tmp_path: Path, two_boxes, labels) -> Path:
    """Two meshes, the second without human labels."""
    folder = tmp_path / "psb"
    human = folder / "seg" / "Benchmark" / "1"
    for made in (folder / "off", human):
        made.mkdir(parents=True)
    vertices = "\n".join(" ".join(map(str, v)) for v in two_boxes.vertices)
    faces = "\n".join("3 " + " ".join(map(str, f)) for f in two_boxes.faces)
    for number in (1, 2):
        head = f"OFF\n{two_boxes.num_vertices} {two_boxes.num_faces} 0"
        (folder / "off" / f"{number}.off").write_text(f"{head}\n{vertices}\n{faces}\n")
    for person, of_face in enumerate(labels):
        (human / f"1_{person}.seg").write_text("\n".join(map(str, of_face)) + "\n")
    (folder / "split.json").write_text('{"Mallet": [1, 2]}')
    return folder


def _evaluate(teacher: FakeTeacher, benchmark: Path, out: Path, **settings) -> dict:
    """The report of a small evaluation."""
    chosen = {"views": 1, "held_out": 0, "device": "cpu", **settings}
    measured = BenchmarkSettings(psb_dir=benchmark, out=out, **chosen)
    return evaluate_teacher(measured, teachers=lambda _: (teacher, teacher)).report


@pytest.fixture
def fake() -> FakeTeacher:
    return FakeTeacher(image_size=224, side=28)


def test_the_report_has_every_key_and_a_second_run_only_reads(
    benchmark: Path, tmp_path: Path, fake: FakeTeacher
) -> None:
    out = tmp_path / "teacher.json"
    _evaluate(fake, benchmark, out, held_out=1)
    report = json.loads(out.read_text())
    assert set(report["one_click"]) == {"mask0", "mask1", "mask2", "best", "oracle"}
    keys = "two_clicks small_parts baselines by_category by_size every_part_alike intervals embedding held_out"
    assert set(keys.split()) <= set(report)
    assert set(report["baselines"]) == {*BASELINES, "another_person"}
    assert report["baselines"]["another_person"]["iou"] > 0.5
    assert report["meshes"] == [1] and "no human segmentation" in report["skipped"]["2"]
    assert 0 < report["one_click"]["mask0"] <= report["one_click"]["oracle"] <= 1
    calls = fake.segment_calls
    again = _evaluate(fake, benchmark, out, held_out=1)
    assert fake.segment_calls == calls and json.loads(out.read_text()) == report
    assert f"| mask0 | {report['one_click']['mask0']:.3f} |" in table(again)


def test_sheets_are_drawn_of_labelled_and_other_meshes(benchmark: Path, tmp_path: Path, fake: FakeTeacher) -> None:
    sheets = {"overlays": tmp_path / "sheets", "overlay_meshes": (benchmark / "off" / "2.off",)}
    _evaluate(fake, benchmark, tmp_path / "t.json", **sheets)
    assert {path.name for path in (tmp_path / "sheets").iterdir()} == {"worst_1.png", "unlabelled_1.png"}


def test_an_overlay_outlines_the_wanted_part_and_colours_the_masks(views: ShapeViews, tmp_path: Path) -> None:
    head = views.labels[0, 0] == 1
    teacher = Oracle(np.stack([head, np.zeros_like(head), np.ones_like(head)]))
    y, x = np.argwhere(head)[40]
    overlay = overlay_of(teacher, views, 0, np.array([[x, y]]), "mallet")
    captions = list(overlay.tiles)
    assert captions == [
        "click, wanted part",
        "mask 0: IoU 1.00, predicted 0.90",
        "mask 1: IoU 0.00, predicted 0.20",
        f"mask 2: IoU {head.mean():.2f}, predicted 0.40",
        "two clicks: IoU 1.00",
    ]
    reddish = [(np.abs(tile.picture.astype(int) - TRUTH_COLOR).sum(2) < 60).sum() for tile in overlay.tiles.values()]
    assert min(reddish) > 50 and all(tile.picture.shape == (224, 224, 3) for tile in overlay.tiles.values())
    assert [len(tile.clicks) for tile in overlay.tiles.values()] == [1, 1, 1, 1, 2]
    paths = save_sheets(tmp_path, {"some": [overlay] * 3}, rows=2)
    assert [path.name for path in paths] == ["some_1.png", "some_2.png"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ids": (7,)}, "no shape 7"),
        ({"ids": (2,)}, "no usable shape"),
        ({"annotator": 9}, "no annotator 9"),
        ({"overlay_meshes": (Path("missing.obj"),)}, "missing.obj"),
    ],
    ids=["unknown mesh", "no labels", "annotator", "overlay mesh"],
)
def test_mistakes_are_named_and_nothing_is_written(
    benchmark: Path, tmp_path: Path, fake: FakeTeacher, settings: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _evaluate(fake, benchmark, tmp_path / "t.json", **settings)
    assert not (tmp_path / "t.json").exists()


def test_a_folder_that_is_no_benchmark_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder 'off'"):
        main(["--psb_dir", str(tmp_path), "--out", str(tmp_path / "t.json")])
