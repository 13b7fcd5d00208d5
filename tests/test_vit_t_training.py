"""Training vit_t: its views are the pipeline's, its losses are what they say, a run repeats and resumes."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.prompting import add_correction, corrective_clicks, hard_iou, prompt_rounds
from SAM_repo.teacher import SamTeacher
from SAM_repo.training.config import ScoreConfig, TrainConfig
from SAM_repo.training.losses import corrected_round, mask_loss, part_boundaries, soft_masks
from SAM_repo.training.optimiser import orthogonalise
from SAM_repo.training.plot import plot_curve
from SAM_repo.training.score import ScoreData, calibrate, fit_head, head_errors, score_data
from SAM_repo.training.tables import append_row, drop_rows_after, read_table
from SAM_repo.training.trainer import RunSettings, train
from SAM_repo.training.views import TrainingViews, claim_views, mirror, stored_views
from SAM_repo.views import VIEW_SIZE, draw_clicks, light_view, make_batch, shape_views, synthetic_views
from SAM_repo.vit_t import build_vit_t, restore_vit_t
from scripts import train_vit_t
from tests.fakes import TINY_SAM
from utils.errors import UserError
from utils.files import save_npy, save_torch
from utils.rendering.cameras import Cameras, orbit_cameras
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade
from utils.shapes import FAMILIES, random_shape


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return orbit_cameras(torch.tensor([0.4, -0.2]), torch.tensor([0.7, 3.0]), size=(VIEW_SIZE, VIEW_SIZE))


@pytest.fixture(scope="module")
def mallet_views(two_boxes, two_boxes_head, cameras) -> np.ndarray:
    """Two views of the mallet, part 1 the handle and 2 the head, all one group."""
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    return shape_views(two_boxes, part, np.zeros_like(part), cameras)


@pytest.fixture(scope="module")
def mallet(mallet_views) -> tuple[torch.Tensor, torch.Tensor]:
    """Normals (224, 224, 3) and coverage of the first of them."""
    return _normals(mallet_views[0]), torch.from_numpy(mallet_views[0, ..., 3] > 0)


def _normals(view: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(view[..., :3].view(np.int8).astype(np.float32) / 127)


def test_training_images_are_the_pipelines(two_boxes, cameras, mallet_views) -> None:
    images = make_batch(mallet_views, 1, VIEW_SIZE, np.random.default_rng(0), published=True).images
    expected = shade(two_boxes, cameras, Rasterizer(two_boxes)(cameras))
    assert (images / 255 - expected).abs().max() < 3 / 255  # the stored normals have eight bits


def test_a_mirrored_view_is_the_view_of_a_mirrored_shape(mallet_views, mallet) -> None:
    mirrored, (normals, covered) = mirror(mallet_views[0]), mallet
    assert torch.equal(torch.from_numpy(mirrored[..., 3] > 0), covered.flip(1))
    torch.testing.assert_close(_normals(mirrored) * torch.tensor([-1.0, 1, 1]), normals.flip(1))


def test_clicks_lie_in_parts_and_reach_all_of_them(mallet_views) -> None:
    part = mallet_views[0, ..., 3]
    clicks = draw_clicks(part, 200, np.random.default_rng(0))
    labels = part[clicks[:, 1], clicks[:, 0]]
    assert set(labels) == set(np.unique(part)) - {0}


def test_soft_masks_are_the_covered_fractions() -> None:
    labels = torch.zeros(1, 224, 224, dtype=torch.uint8)
    labels[0, 10:13, 20:24] = 7
    mask = soft_masks(labels, torch.tensor([[7]]), 112)[0, 0]
    assert mask[5, 10] == 1 and mask[6, 11] == 0.5 and mask.sum() == 3


def test_boundaries_are_where_parts_meet() -> None:
    part = torch.zeros(1, 224, 224, dtype=torch.uint8)
    part[:, :, 100:] = 1
    boundary = part_boundaries(part, 112)[0]
    assert torch.equal(boundary.nonzero()[:, 1].unique(), torch.tensor([49, 50]))


def test_an_image_without_noise_keeps_its_background(mallet) -> None:
    normals, covered = mallet
    image = light_view(normals, covered, np.random.default_rng(0), published=True)
    assert (image[~covered] == 1).all() and (image[covered] < 1).any()


def test_mask_loss_is_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = 2 * torch.randn(1, 1, 4, 5, generator=generator), torch.rand(1, 1, 4, 5, generator=generator)
    balance, spill = 0.3, 0.8
    missed = spilled = inside = false_in = false_out = area = 0.0
    for x, t in zip(logits.flatten().tolist(), target.flatten().tolist()):
        p = 1 / (1 + math.exp(-x))
        missed, spilled = missed - t * math.log(p), spilled - (1 - t) * math.log(1 - p)
        inside, false_in, false_out, area = inside + t * p, false_in + (1 - t) * p, false_out + t * (1 - p), area + t
    plain = (2 * 0.2 * missed + 2 * 0.8 * spilled) / (area + 0.003 * 20)
    equal = missed / area + spilled / (20 - area)
    tversky = 1 - (inside + 1) / (inside + 0.8 * false_in + 0.2 * false_out + 1)
    loss, _ = mask_loss(logits, target, balance, torch.tensor([spill]))
    assert loss.item() == pytest.approx(balance * equal + (1 - balance) * 0.5 * plain + tversky, rel=1e-4)


@pytest.mark.parametrize("third_click", [0.0, 1.0])
def test_the_last_correction_is_learned_from(third_click: float, generator: torch.Generator) -> None:
    sam, masks = build_vit_t(TINY_SAM), torch.zeros(1, 1, 56, 56)
    clicks = (torch.full((1, 1, 1, 2), 40.0), torch.ones(1, 1, 1, dtype=torch.long), masks + 1, masks + 1, masks - 1)
    config = TrainConfig(third_click=third_click)
    assert corrected_round(sam, torch.randn(1, 32, 14, 14), clicks, config, 0.0, generator).masks.requires_grad


def test_iou_counts_pixels() -> None:
    logits, target = torch.tensor([[[[1.0, 1, -1, -1]]]]), torch.tensor([[[[1.0, 0, 1, 0]]]])
    assert hard_iou(logits, target).item() == pytest.approx(1 / 3)


def test_corrective_clicks_lie_in_the_larger_error() -> None:
    target, logits = torch.zeros(2, 20, 20), torch.full((2, 20, 20), -1.0)
    target[:, 5:15, 5:15] = 1
    logits[0, 5:15, 5:9] = 1  # misses columns 9-14
    logits[1, 2:15, :] = 1  # spills widely
    for seed in range(5):
        xy, label = corrective_clicks(logits, target, torch.Generator().manual_seed(seed))
        x, y = xy.long().T
        assert label.tolist() == [1, 0]
        assert target[0, y[0], x[0]] == 1 and logits[0, y[0], x[0]] < 0
        assert target[1, y[1], x[1]] == 0 and logits[1, y[1], x[1]] > 0


def test_corrections_on_coarse_masks_lie_in_the_middle_of_the_cell(generator: torch.Generator) -> None:
    wanted = torch.zeros(1, 4, 4)
    wanted[0, 1, 2] = 1  # of pixels 4 and 5 across, 2 and 3 down
    points, labels = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, dtype=torch.long)
    points, labels = add_correction(points, labels, wanted - 1, wanted, generator, cell=2)
    assert points.tolist() == [[[[0, 0], [4.5, 2.5]]]] and labels.tolist() == [[[1, 1]]]


@pytest.mark.parametrize("shown", [True, False])
def test_each_round_adds_a_click_and_shows_mask_0_only_if_wanted(shown: bool, generator: torch.Generator) -> None:
    asked = []

    def answer(points, labels, previous):
        asked.append((points, previous))
        return torch.stack([torch.full((1, 2, 4, 4), float(k + 1)) for k in range(4)], 2), torch.zeros(1, 2, 4)

    wanted = torch.zeros(2, 8, 8, dtype=torch.bool)
    wanted[:, :4] = True
    turns = list(prompt_rounds(answer, torch.ones(1, 2, 2), wanted, generator, shown=shown))
    assert [points.shape for points, _ in asked] == [(1, 2, k, 2) for k in (1, 2, 3)]
    assert turns[2].labels.tolist() == [[[1, 0, 0]] * 2] and (turns[2].points[0, :, 1:, 1] >= 4).all()  # all spills
    for _, previous in asked[1:]:
        assert (previous is not None and previous.shape == (1, 2, 1, 4, 4) and (previous == 2).all()) == shown


@pytest.mark.parametrize("shape", [(3, 8, 40), (3, 40, 8)])
def test_orthogonalised_updates_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert (values > 0.5).all() and (values < 1.4).all()


# ---- runs ------------------------------------------------------------------------------------------------------------

SMALL = {"prompts": 2, "corrected": 1, "small_shapes": 1, "large_shapes": 1, "shapes": 2, "stored_views": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory, mallet_views) -> Path:
    """A pool of two shapes that both are the mallet."""
    folder = tmp_path_factory.mktemp("views")
    for seed in range(2):
        save_npy(folder / f"{seed:010d}.npy", mallet_views)
    return folder


def _train(run: Path, data: Path | None, steps: int, changed: dict | None = None, **settings) -> list[str]:
    """The logged loss of every step of a tiny model that is measured by nothing."""
    begun = read_table(run / "log.csv")
    where = RunSettings(run=run, data=data, device="cpu", threads=1, clicks=0, log_every=1, **settings)
    train(where, {**SMALL, "steps": steps, **(changed or {})}, TINY_SAM)
    return [row["loss"] for row in read_table(run / "log.csv")[len(begun) :]]


def _same_weights(*runs: Path) -> bool:
    """Whether two runs ended with the same model, to the last bit."""
    first, second = (torch.load(run / "checkpoint.pth", weights_only=True) for run in runs)
    parts = ("sam", "average", "heads")
    return all(torch.equal(value, second[part][name]) for part in parts for name, value in first[part].items())


def test_the_same_seed_gives_the_same_training_and_another_one_another(data: Path, tmp_path: Path) -> None:
    first = _train(tmp_path / "a", data, 2)
    assert len(first) == 2 and first == _train(tmp_path / "b", data, 2)
    assert _same_weights(tmp_path / "a", tmp_path / "b")
    assert first != _train(tmp_path / "c", data, 2, {"seed": 1})


@pytest.mark.slow
def test_the_same_seed_gives_the_same_first_hundred_losses_from_nothing(tmp_path: Path) -> None:
    first, again = (_train(tmp_path / n, tmp_path / f"views {n}", 100, {"shapes": 8}) for n in ("a", "b"))
    assert len(first) == 100 and first == again


def test_a_stopped_run_goes_on_as_if_never_stopped(data: Path, tmp_path: Path) -> None:
    whole = _train(tmp_path / "a", data, 3, save_every=0)
    assert _train(tmp_path / "b", data, 3, save_every=0, stop_after=0) == whole[:1]
    assert _train(tmp_path / "b", data, 3, save_every=0) == whole[1:]
    assert _same_weights(tmp_path / "a", tmp_path / "b")


@pytest.mark.slow
def test_two_processes_go_on_from_the_mean_of_their_weights(data: Path, tmp_path: Path) -> None:
    _train(tmp_path / "run", data, 4, {"sync_every": 4}, processes=2)
    held = torch.load(tmp_path / "run" / "checkpoint.pth", weights_only=True)
    assert held["step"] == 4 and held["images"] == 4 * 2 * 2


def test_the_steps_that_are_seen_are_logged_and_told(data: Path, tmp_path: Path) -> None:
    steps = []
    settings = RunSettings(run=tmp_path, data=data, device="cpu", threads=1, clicks=0)
    train(settings, {**SMALL, "steps": 2}, TINY_SAM, on_progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [("training", 1, 2), ("training", 2, 2)]


def test_an_interrupted_runs_log_has_every_step_once(tmp_path: Path) -> None:
    for step in (25, 50, 75):
        append_row(tmp_path / "log.csv", {"step": step, "loss": 2.0})
    drop_rows_after(tmp_path / "log.csv", 60)  # the checkpoint is of step 60
    append_row(tmp_path / "log.csv", {"step": 75, "loss": 1.5})
    rows = read_table(tmp_path / "log.csv")
    assert [(row["step"], row["loss"]) for row in rows] == [("25", "2.0"), ("50", "2.0"), ("75", "1.5")]


@pytest.mark.slow
def test_worker_processes_do_not_change_the_losses(tmp_path: Path) -> None:
    alone, beside = (_train(tmp_path / str(n), None, 3, {"shapes": 0}, workers=n) for n in (0, 2))
    assert alone == beside


def test_fresh_data_never_shows_a_shape_twice_and_stored_data_is_made_where_missing(tmp_path: Path) -> None:
    made: list[int] = []

    def make(seed: int, count: int, families: tuple[str, ...] | None) -> np.ndarray:
        made.append(seed)
        return np.ones((count, VIEW_SIZE, VIEW_SIZE, 5), np.uint8)

    sizes = {"steps": 4, "small_shapes": 5, "large_shapes": 3, "views": 1}
    fresh = TrainingViews(TrainConfig(shapes=0, **sizes), 112, None, make=make)
    first = fresh[1].images
    assert torch.equal(fresh[1].images, first)
    made.clear()
    for step in range(4):
        fresh[step]
    assert len(made) == len(set(made)) == 2 * 5 + 2 * 3
    made.clear()
    pool = TrainingViews(TrainConfig(shapes=4, stored_views=2, **sizes), 112, tmp_path, make=make)
    for step in range(4):
        pool[step]
    assert sorted(made) == [0, 1, 2, 3] == sorted(int(p.stem) for p in tmp_path.glob("*.npy"))


def test_families_left_out_are_never_drawn() -> None:
    views = TrainingViews(TrainConfig(leave_out="chair, quadruped", shapes=0), 224, None)
    assert len(views.families) == len(FAMILIES) - 2 and not {"chair", "quadruped"} & set(views.families)
    assert {random_shape(seed, views.families).family for seed in range(4)} <= set(views.families)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--leave_out", "unicorn"], "unknown shape families unicorn"),
        (["--leave_out", ",".join(FAMILIES)], "no shape family is left"),
        (["--shapes", "3"], "--data DIR"),
        (["--small_size", "100", "--shapes", "0"], "a multiple of 16"),
    ],
    ids=["unknown family", "no family", "no folder", "size"],
)
def test_settings_that_make_no_sense_are_named(tmp_path: Path, options: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        train_vit_t.main(["train", "--run", str(tmp_path), *options])


def test_views_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    claim_views(tmp_path, 8, ())
    claim_views(tmp_path, 8, ())
    with pytest.raises(UserError, match="other weights or settings"):
        claim_views(tmp_path, 8, ("chair",))


def test_a_damaged_file_of_views_is_named(tmp_path: Path) -> None:
    (tmp_path / "0000000003.npy").write_bytes(b"not an array")
    with pytest.raises(UserError, match=r"0000000003\.npy is not a readable file of views"):
        stored_views(tmp_path, 3, 2)


def test_the_curve_is_drawn_from_the_tables(tmp_path: Path) -> None:
    for step, size in ((25, 112.0), (50, 224.0)):
        row = {"step": step, "images": 24 * step, "loss": 3 - step / 50, "iou0": step / 100, "size": size}
        append_row(tmp_path / "log.csv", row)
    red = []
    for name in ("early.png", "later.png"):
        plot_curve(tmp_path / "log.csv", tmp_path / "measure.csv", tmp_path / name)
        x = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        red.append(((x[..., 0] > 150) & (x[..., 1] < 90) & (x[..., 2] < 80)).sum())
        append_row(tmp_path / "measure.csv", {"step": 50, "images": 1200, "set": "held_out", "mask0": 0.4})
    assert red[0] == 0 and red[1] > 20  # the measured point


# ---- predicted IoU ---------------------------------------------------------------------------------------------------


def _score_rows(count: int, generator: torch.Generator, shape: int | None = None) -> ScoreData:
    tokens, ids = torch.randn(count, 32, generator=generator), torch.arange(count)
    shapes = ids if shape is None else torch.full_like(ids, shape)
    return ScoreData(tokens, (0.5 + 0.2 * tokens[:, :4]).clamp(0, 1), ids % 3 + 1, shapes)


def test_the_fitted_head_predicts_the_iou_of_shapes_it_has_not_seen(generator: torch.Generator) -> None:
    head = build_vit_t(TINY_SAM).mask_decoder.iou_prediction_head
    rows = _score_rows(3000, generator)
    fitted, errors = fit_head(head, rows, ScoreConfig(epochs=8, batch=64, lr=3e-3))
    assert head_errors(head, rows)["one_click"] > 0.15 and errors["one_click"] < 0.05
    assert head_errors(fitted, _score_rows(500, generator))["one_click"] < 0.05


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    halves = {k: v.half() for k, v in build_vit_t(TINY_SAM).state_dict().items()}
    made = {"model_config": asdict(TINY_SAM), "train_config": {"seed": 0}, "trained": {"images": 1}}
    save_torch(tmp_path / "before.pth", {"kind": "vit_t", **made, "weights": halves})
    return tmp_path / "before.pth"


def test_calibration_changes_scores_and_not_one_bit_of_masks_or_embeddings(tmp_path: Path, weights: Path) -> None:
    config = ScoreConfig(shapes=40, first_shape=80, epochs=3)

    def fit(config: ScoreConfig, output: Path) -> None:
        calibrate(weights, tmp_path / "data", config, output, collect=lambda _, seed, *__: _one_shape_rows(seed))

    fit(config, tmp_path / "after.pth")
    before, after = (torch.load(path, weights_only=True) for path in (weights, tmp_path / "after.pth"))
    assert after["score_config"]["shapes"] == 40 and after["score_errors"]["one_click"] > 0
    assert after["trained"] == before["trained"]
    answers = []
    for stored in (before, after):
        sam = restore_vit_t(stored["model_config"], stored["weights"])
        with torch.no_grad():
            embedding = sam.image_encoder(torch.ones(1, 3, 112, 112))
            decoded = decode_prompts(sam, embedding, torch.full((1, 2, 1, 2), 40.0), torch.ones(1, 2, 1))
        answers.append((embedding, *decoded))
    assert [torch.equal(a, b) for a, b in zip(*answers)] == [True, True, False]
    with pytest.raises(UserError, match="other weights or settings"):
        fit(replace(config, views=5), tmp_path / "other.pth")
    assert not (tmp_path / "other.pth").exists()


def _one_shape_rows(seed: int) -> ScoreData:
    return _score_rows(12, torch.Generator().manual_seed(seed), shape=seed)


def test_calibration_reaches_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no weights of vit_t at"):
        train_vit_t.main(["score", "--data", str(tmp_path), "--weights", str(tmp_path / "none.pth"), "--epochs", "3"])


def test_calibration_data_are_the_ious_of_the_masks_the_tokens_came_with(weights: Path) -> None:
    sam = build_vit_t(replace(TINY_SAM, image_size=224))
    config = ScoreConfig(views=1, prompts=2, published=1.0)
    rows, again = (score_data(sam, 5, config, torch.device("cpu")) for _ in range(2))
    assert rows.clicks.tolist() == [1, 1, 2, 2, 3, 3] and rows.tokens.shape == (6, 32)
    assert torch.equal(rows.tokens, again.tokens) and torch.equal(rows.ious, again.ious)
    # An independent look at the single click: same view, same click, counted pixel by pixel.
    rng = np.random.default_rng([11, 5])
    rng.random()
    batch = make_batch(synthetic_views(5, 1, rng, published=True), 2, 224, rng, published=True)
    teacher = SamTeacher(sam, "test", fast=True)
    points, embedding = batch.points[0][:, None] + 0.5, teacher.embed(batch.images)[0]
    masks = teacher.segment(embedding, points, torch.ones(2, 1), (224, 224)).masks()
    for click, (x, y) in enumerate(batch.points[0].long().tolist()):
        for index, labels in enumerate((batch.group[0], batch.part[0], batch.group[0])):
            mask, truth = masks[click, index].numpy(), (labels == labels[y, x]).numpy()
            expected = (mask & truth).sum() / max((mask | truth).sum(), 1)
            assert rows.ious[click, 1 + index].item() == pytest.approx(expected, abs=0.01)
