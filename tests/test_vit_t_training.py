"""Training vit_t: its views are the pipeline's, its losses are what they say, a run repeats and resumes."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from SAM_repo.vit_t_data import VIEW_SIZE, draw_clicks, light_view, make_batch, mirror, shape_views, soft_masks, write_shape
from SAM_repo.vit_t_training import corrective_clicks, hard_iou, mask_loss, orthogonalise, part_boundaries
from scripts import train_vit_t
from utils.cameras import orbit_cameras
from utils.rasterize import rasterize
from utils.shading import shade


@pytest.fixture(scope="module")
def mallet_views(two_boxes, two_boxes_head) -> np.ndarray:
    """Two views of the mallet, part 1 the handle and 2 the head, all one group."""
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    return shape_views(two_boxes, part, np.zeros_like(part), 2, np.random.default_rng(3), published=True)


def test_training_images_are_the_pipelines(monkeypatch, two_boxes, two_boxes_head) -> None:
    cameras = orbit_cameras(torch.tensor([0.4, -0.2]), torch.tensor([0.7, 3.0]), size=(VIEW_SIZE, VIEW_SIZE))
    monkeypatch.setattr("SAM_repo.vit_t_data.random_cameras", lambda *_: cameras)
    part = two_boxes_head[two_boxes.faces[:, 0]].astype(np.int64)
    views = shape_views(two_boxes, part, part, 2, np.random.default_rng(0), published=True)
    images = make_batch(views, 1, VIEW_SIZE, np.random.default_rng(0), published=True).images
    expected = shade(two_boxes, cameras, rasterize(two_boxes, cameras))
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


@pytest.fixture(scope="module")
def data(tmp_path_factory, mallet_views) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for seed in range(2):
        write_shape(folder, seed, mallet_views)
    return folder


def _train(data: Path, run: Path, steps: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Losses of a run of a few steps on single images, without measurements."""
    losses: list[str] = []
    original = train_vit_t.Trainer.train_step

    def record(self, files, fraction):
        values = original(self, files, 0.5)
        losses.append(repr(values["loss"]))
        return values

    monkeypatch.setattr(train_vit_t.Trainer, "train_step", record)
    monkeypatch.setattr(train_vit_t, "held_out_set", lambda *_: None)
    monkeypatch.setattr(train_vit_t, "measure_run", lambda *_: None)
    train_vit_t.main(["train", "--data", str(data), "--run", str(run), "--steps", str(steps), "--device", "cpu", "--prompts", "2", "--corrected", "1",
                      "--small_shapes", "1", "--large_shapes", "1", "--small_until", "1", "--threads", "1"])
    monkeypatch.undo()
    return losses


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _train(data, tmp_path / "a", 2, monkeypatch) == _train(data, tmp_path / "b", 2, monkeypatch)


@pytest.mark.slow
def test_a_resumed_run_goes_on_as_if_never_stopped(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _train(data, tmp_path / "a", 3, monkeypatch)
    _train(data, tmp_path / "b", 2, monkeypatch)
    assert _train(data, tmp_path / "b", 3, monkeypatch) == whole[2:]


def test_measurements_are_written_as_a_table(tmp_path: Path) -> None:
    train_vit_t.append_row(tmp_path / "log.csv", dict(step=1, loss=2.0))
    train_vit_t.append_row(tmp_path / "log.csv", dict(step=2, loss=1.5))
    with open(tmp_path / "log.csv") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["2.0", "1.5"]
