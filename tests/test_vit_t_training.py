"""Training vit_t: its views are the pipeline's, its losses are what they say, a run repeats and resumes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.teacher import SamTeacher
from SAM_repo.training.config import ScoreConfig, TrainConfig
from SAM_repo.training.losses import corrective_clicks, hard_iou, mask_loss, part_boundaries
from SAM_repo.training.optimiser import orthogonalise
from SAM_repo.training.plot import plot_curve
from SAM_repo.training.score import ScoreData, fit_head, head_errors, score_data
from SAM_repo.training.tables import append_row, drop_rows_after
from SAM_repo.training.trainer import RunSettings, train
from SAM_repo.training.views import (
    VIEW_SIZE,
    TrainingViews,
    claim_views,
    draw_clicks,
    light_view,
    make_batch,
    mirror,
    shape_views,
    soft_masks,
    stored_views,
)
from SAM_repo.vit_t import VitTConfig, build_vit_t
from scripts import train_vit_t
from utils.errors import UserError
from utils.files import save_npy, save_torch
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade
from utils.shapes import FAMILIES, random_shape


@pytest.fixture(scope="module")
def mallet_views(two_boxes, two_boxes_head) -> np.ndarray:
    """Two views of the mallet, part 1 the handle and 2 the head, all one group."""
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    return shape_views(two_boxes, part, np.zeros_like(part), 2, np.random.default_rng(3), published=True)


def test_training_images_are_the_pipelines(monkeypatch, two_boxes, two_boxes_head) -> None:
    cameras = orbit_cameras(torch.tensor([0.4, -0.2]), torch.tensor([0.7, 3.0]), size=(VIEW_SIZE, VIEW_SIZE))
    monkeypatch.setattr("SAM_repo.training.views.random_cameras", lambda *_: cameras)
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    views = shape_views(two_boxes, part, part, 2, np.random.default_rng(0), published=True)
    images = make_batch(views, 1, VIEW_SIZE, np.random.default_rng(0), published=True).images
    expected = shade(two_boxes, cameras, Rasterizer(two_boxes)(cameras))
    assert (images / 255 - expected).abs().max() < 3 / 255  # the stored normals have eight bits


def test_a_mirrored_view_is_the_view_of_a_mirrored_shape(mallet_views) -> None:
    light = np.zeros(9)
    light[0], light[1] = 1.0, 1.0  # from the right

    def brightness(view):
        normals = torch.from_numpy(view[..., :3].view(np.int8).astype(np.float32) / 127)
        return torch.from_numpy(view[..., 3] > 0), normals

    covered, normals = brightness(mallet_views[0])
    mirrored_covered, mirrored = brightness(mirror(mallet_views[0]))
    assert torch.equal(mirrored_covered, covered.flip(1))
    torch.testing.assert_close(mirrored * torch.tensor([-1.0, 1, 1]), normals.flip(1))


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


def test_an_image_without_noise_keeps_its_background(mallet_views) -> None:
    normals = torch.from_numpy(mallet_views[0, ..., :3].view(np.int8).astype(np.float32) / 127)
    covered = torch.from_numpy(mallet_views[0, ..., 3] > 0)
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


@pytest.mark.parametrize("shape", [(3, 8, 40), (3, 40, 8)])
def test_orthogonalised_updates_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert (values > 0.5).all() and (values < 1.4).all()


# ---- runs ----------------------------------------------------------------------------------------------------------------------

TINY = VitTConfig(
    image_size=112,
    stem_width=16,
    stem_blocks=1,
    mid_width=16,
    mid_blocks=1,
    dim=32,
    depth=1,
    head_dim=16,
    embed_dim=32,
    fuse_blocks=1,
    decoder_heads=2,
    decoder_mlp=32,
    mask_in_chans=8,
)
SMALL = {"prompts": 2, "corrected": 1, "small_shapes": 1, "large_shapes": 1, "shapes": 2, "stored_views": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory, mallet_views) -> Path:
    """A pool of two shapes that both are the mallet."""
    folder = tmp_path_factory.mktemp("views")
    for seed in range(2):
        save_npy(folder / f"{seed:010d}.npy", mallet_views)
    return folder


def _train(run: Path, data: Path | None, steps: int, changed: dict | None = None, **settings) -> list[str]:
    """Every digit of the loss of every step of a tiny model that is measured by nothing."""
    losses: list[str] = []
    train(
        RunSettings(run=run, data=data, device="cpu", threads=1, clicks=0, **settings),
        {**SMALL, "steps": steps, **(changed or {})},
        TINY,
        on_step=lambda values: losses.append(repr(values["loss"])),
    )
    return losses


def test_the_same_seed_gives_the_same_losses_and_another_one_others(data: Path, tmp_path: Path) -> None:
    first = _train(tmp_path / "a", data, 2)
    assert len(first) == 2 and first == _train(tmp_path / "b", data, 2)
    assert first != _train(tmp_path / "c", data, 2, {"seed": 1})


@pytest.mark.slow
def test_the_same_seed_gives_the_same_first_hundred_losses_from_nothing(tmp_path: Path) -> None:
    first, again = (_train(tmp_path / n, tmp_path / f"views {n}", 100, {"shapes": 8}) for n in ("a", "b"))
    assert len(first) == 100 and first == again


def test_a_stopped_run_goes_on_as_if_never_stopped(data: Path, tmp_path: Path) -> None:
    whole = _train(tmp_path / "a", data, 3, save_every=0)
    assert _train(tmp_path / "b", data, 3, save_every=0, stop_after=0) == whole[:1]
    assert _train(tmp_path / "b", data, 3, save_every=0) == whole[1:]
    ended = [torch.load(tmp_path / run / "checkpoint.pth", weights_only=True) for run in ("a", "b")]
    for part in ("sam", "average", "heads"):
        assert all(torch.equal(value, ended[1][part][name]) for name, value in ended[0][part].items())


@pytest.mark.slow
def test_two_processes_go_on_from_the_mean_of_their_weights(data: Path, tmp_path: Path) -> None:
    _train(tmp_path / "run", data, 4, {"sync_every": 4}, processes=2)
    held = torch.load(tmp_path / "run" / "checkpoint.pth", weights_only=True)
    assert held["step"] == 4 and held["images"] == 4 * 2 * 2


def test_the_steps_that_are_seen_are_logged_and_told(data: Path, tmp_path: Path) -> None:
    steps = []
    settings = RunSettings(run=tmp_path, data=data, device="cpu", threads=1, clicks=0)
    train(settings, {**SMALL, "steps": 2}, TINY, on_progress=steps.append)
    assert [(step.stage, step.done, step.total) for step in steps] == [("training", 1, 2), ("training", 2, 2)]


def test_an_interrupted_runs_log_has_every_step_once(tmp_path: Path) -> None:
    for step in (25, 50, 75):
        append_row(tmp_path / "log.csv", {"step": step, "loss": 2.0})
    drop_rows_after(tmp_path / "log.csv", 60)  # the checkpoint is of step 60
    append_row(tmp_path / "log.csv", {"step": 75, "loss": 1.5})
    with open(tmp_path / "log.csv") as file:
        assert [(row["step"], row["loss"]) for row in csv.DictReader(file)] == [
            ("25", "2.0"),
            ("50", "2.0"),
            ("75", "1.5"),
        ]


@pytest.mark.slow
def test_worker_processes_do_not_change_the_losses(tmp_path: Path) -> None:
    alone, beside = (_train(tmp_path / str(n), None, 3, {"shapes": 0}, workers=n) for n in (0, 2))
    assert alone == beside


def test_fresh_data_never_shows_a_shape_twice_and_stored_data_is_made_where_missing(
    monkeypatch, tmp_path: Path, mallet_views
) -> None:
    made: list[int] = []
    monkeypatch.setattr("SAM_repo.training.views.views_of_seed", lambda seed, *_: made.append(seed) or mallet_views)
    fresh = TrainingViews(TrainConfig(steps=10, shapes=0), 224, None)
    assert torch.equal(fresh[3].images, fresh[3].images)
    made.clear()
    for step in range(10):
        fresh[step]
    assert len(made) == len(set(made)) == 5 * 12 + 5 * 6
    made.clear()
    pool = TrainingViews(TrainConfig(steps=10, shapes=4), 224, tmp_path)
    for step in range(10):
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
    with pytest.raises(UserError, match="0000000003.npy is not a readable file of views"):
        stored_views(tmp_path, 3, 2)


def test_the_curve_is_drawn_from_the_tables(tmp_path: Path) -> None:
    for step in (25, 50):
        append_row(
            tmp_path / "log.csv",
            {
                "step": step,
                "images": 24 * step,
                "loss": 3 - step / 50,
                "iou0": step / 100,
                "size": 112.0 if step < 50 else 224.0,
            },
        )
    plot_curve(tmp_path / "log.csv", tmp_path / "measure.csv", tmp_path / "early.png")
    append_row(tmp_path / "measure.csv", {"step": 50, "images": 1200, "set": "held_out", "mask0": 0.4})
    plot_curve(tmp_path / "log.csv", tmp_path / "measure.csv", tmp_path / "later.png")
    early, later = (
        np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int) for name in ("early.png", "later.png")
    )
    red = [((x[..., 0] > 150) & (x[..., 1] < 90) & (x[..., 2] < 80)).sum() for x in (early, later)]
    assert red[0] == 0 and red[1] > 20  # the measured point


# ---- predicted IoU -------------------------------------------------------------------------------------------------------------


def _score_rows(count: int, generator: torch.Generator, slope: float = 0.2) -> ScoreData:
    tokens = torch.randn(count, 32, generator=generator)
    ious = (0.5 + slope * tokens[:, :4]).clamp(0, 1)
    return ScoreData(tokens, ious, torch.arange(count) % 3 + 1, torch.arange(count))


def test_the_fitted_head_predicts_the_iou_of_shapes_it_has_not_seen(generator: torch.Generator) -> None:
    head = build_vit_t(TINY).mask_decoder.iou_prediction_head
    rows = _score_rows(3000, generator)
    before = head_errors(head, rows)["one_click"]
    fitted, errors = fit_head(head, rows, ScoreConfig(epochs=8, batch=64, lr=3e-3))
    assert (
        before > 0.15
        and errors["one_click"] < 0.05
        and head_errors(fitted, _score_rows(500, generator))["one_click"] < 0.05
    )


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    sam = build_vit_t(TINY)
    save_torch(
        tmp_path / "before.pth",
        {
            "kind": "vit_t",
            "model_config": TINY.to_dict(),
            "train_config": {"seed": 0},
            "trained": {"images": 1},
            "weights": {k: v.half() for k, v in sam.state_dict().items()},
        },
    )
    return tmp_path / "before.pth"


def test_calibration_changes_scores_and_not_one_bit_of_masks_or_embeddings(
    monkeypatch, tmp_path: Path, weights: Path
) -> None:
    monkeypatch.setattr("SAM_repo.training.score.score_data", lambda sam, seed, *_: _one_shape_rows(seed))
    options = [
        "score",
        "--data",
        str(tmp_path / "data"),
        "--weights",
        str(weights),
        "--shapes",
        "40",
        "--first_shape",
        "80",
        "--epochs",
        "3",
    ]
    train_vit_t.main([*options, "--output", str(tmp_path / "after.pth")])
    before, after = (torch.load(path, weights_only=True) for path in (weights, tmp_path / "after.pth"))
    assert (
        after["score_config"]["shapes"] == 40
        and after["score_errors"]["one_click"] > 0
        and after["trained"] == before["trained"]
    )
    answers = []
    for stored in (before, after):
        sam = build_vit_t(TINY)
        sam.load_state_dict({k: v.float() for k, v in stored["weights"].items()})
        with torch.no_grad():
            embedding = sam.image_encoder(torch.ones(1, 3, 112, 112))
            answers.append(
                (embedding, *decode_prompts(sam, embedding, torch.full((1, 2, 1, 2), 40.0), torch.ones(1, 2, 1)))
            )
    assert torch.equal(answers[0][0], answers[1][0]) and torch.equal(answers[0][1], answers[1][1])
    assert not torch.equal(answers[0][2], answers[1][2])
    with pytest.raises(UserError, match="other weights or settings"):
        train_vit_t.main([*options, "--views", "5", "--output", str(tmp_path / "other.pth")])
    assert not (tmp_path / "other.pth").exists()


def _one_shape_rows(seed: int) -> ScoreData:
    rows = _score_rows(12, torch.Generator().manual_seed(seed))
    return ScoreData(rows.tokens, rows.ious, rows.clicks, torch.full((12,), seed))


def test_calibration_data_are_the_ious_of_the_masks_the_tokens_came_with(weights: Path) -> None:
    sam = build_vit_t(VitTConfig(**{**TINY.to_dict(), "image_size": 224}))
    config = ScoreConfig(views=1, prompts=2, published=1.0)
    rows = score_data(sam, 5, config, torch.device("cpu"))
    assert rows.clicks.tolist() == [1, 1, 2, 2, 3, 3] and rows.tokens.shape == (6, 32)
    again = score_data(sam, 5, config, torch.device("cpu"))
    assert torch.equal(rows.tokens, again.tokens) and torch.equal(rows.ious, again.ious)
    # An independent look at the single click: same view, same click, counted pixel by pixel.
    shape, rng = random_shape(5), np.random.default_rng([11, 5])
    rng.random()
    views = shape_views(Mesh(shape.vertices, shape.faces), shape.part, shape.group, 1, rng, published=True)
    batch = make_batch(views, 2, 224, rng, published=True)
    with torch.no_grad():
        teacher = SamTeacher(sam, "test", fast=True)
        masks = teacher.segment(
            teacher.embed(batch.images)[0], batch.points[0][:, None] + 0.5, torch.ones(2, 1), (224, 224)
        ).masks()
    for click in range(2):
        x, y = batch.points[0, click].long().tolist()
        for index, labels in ((0, batch.group[0]), (1, batch.part[0]), (2, batch.group[0])):
            mask, truth = masks[click, index].numpy(), (labels == labels[y, x]).numpy()
            assert rows.ious[click, 1 + index].item() == pytest.approx(
                (mask & truth).sum() / max((mask | truth).sum(), 1), abs=0.01
            )


def test_measurements_are_written_as_a_table(tmp_path: Path) -> None:
    append_row(tmp_path / "log.csv", {"step": 1, "loss": 2.0})
    append_row(tmp_path / "log.csv", {"step": 2, "loss": 1.5})
    with open(tmp_path / "log.csv") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["2.0", "1.5"]
