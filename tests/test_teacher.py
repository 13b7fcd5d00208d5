"""Teachers: the batched decoder against the stock one, loading, and the embedded vit_t."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from SAM_repo import teacher as teacher_module
from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.teacher import CHECKPOINT_DIR, EMBEDDED, OFFICIAL, SamTeacher, load_teacher
from SAM_repo.vit_t import build_vit_t, set_image_size
from tests.fakes import TINY_SAM
from utils.errors import UserError
from utils.files import save_torch
from utils.rendering.cameras import orbit_cameras
from utils.rendering.rasterize import Rasterizer
from utils.rendering.shading import shade, to_uint8
from utils.selection import iou

TINY = replace(TINY_SAM, image_size=64)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tiny() -> Sam:
    torch.manual_seed(0)
    sam = build_vit_t(TINY)
    with torch.no_grad():  # biases too, that no term of the decoder is zero by its initialisation
        for parameter in sam.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return sam


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def _with_image(sam: Sam, image: np.ndarray) -> SamPredictor:
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    return predictor


def test_embedding_is_sampredictors(tiny: Sam, image: np.ndarray) -> None:
    ours = SamTeacher(tiny, "tiny-0", fast=False).embed(torch.from_numpy(image)[None])
    torch.testing.assert_close(ours, _with_image(tiny, image).get_image_embedding(), atol=1e-5, rtol=1e-5)


# SAM counts pixels by index, the pipeline by coordinates with centres at +0.5.
def test_one_click_gives_sampredictors_masks_and_scores(tiny: Sam, image: np.ndarray) -> None:
    _expect_sampredictors_answer(tiny, image, np.array([[10.0, 40.0]]), np.array([1]), None)


def test_clicks_with_a_previous_mask_give_sampredictors_masks(tiny: Sam, image: np.ndarray) -> None:
    previous = 4 * torch.randn(1, 32, 32, generator=torch.Generator().manual_seed(1))
    clicks = np.array([[10.0, 40.0], [30.0, 5.0], [60.0, 61.0]])
    _expect_sampredictors_answer(tiny, image, clicks, np.array([1, 0, 1]), previous)


def _expect_sampredictors_answer(tiny: Sam, image: np.ndarray, clicks, labels, previous: torch.Tensor | None) -> None:
    predictor, teacher = _with_image(tiny, image), SamTeacher(tiny, "tiny-0", fast=False)
    _, scores, logits = predictor.predict(clicks, labels, mask_input=None if previous is None else previous.numpy())
    points, signs = torch.from_numpy(clicks)[None] + 0.5, torch.from_numpy(labels)[None]
    before = None if previous is None else previous[None]
    ours = teacher.segment(predictor.features[0], points, signs, (64, 64), before)
    each = teacher.segment_each(predictor.features, points, signs, (64, 64))
    torch.testing.assert_close(ours.logits[0], torch.from_numpy(logits), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.scores[0], torch.from_numpy(scores), atol=1e-4, rtol=1e-4)
    if previous is None:
        assert torch.equal(each.logits, ours.logits) and torch.equal(each.scores, ours.scores)


def test_full_size_masks_are_sampredictors(tiny: Sam, image: np.ndarray) -> None:
    predictor = _with_image(tiny, image)
    masks, _, _ = predictor.predict(np.array([[20.0, 20.0]]), np.array([1]))
    teacher, click = SamTeacher(tiny, "tiny-0", fast=False), torch.tensor([[[20.5, 20.5]]])
    ours = teacher.segment(predictor.features[0], click, torch.ones(1, 1), (64, 64)).masks()
    assert masks.any() and not masks.all()
    assert (ours[0].numpy() != masks).mean() < 1e-3


def test_clicks_scale_with_the_image(tiny: Sam, image: np.ndarray) -> None:
    teacher = SamTeacher(tiny, "tiny-0", fast=False)
    embedding = teacher.embed(torch.from_numpy(image)[None])[0]
    small = teacher.segment(embedding, torch.tensor([[[10.0, 40.0]]]), torch.ones(1, 1), (64, 64))
    large = teacher.segment(embedding, torch.tensor([[[20.0, 80.0]]]), torch.ones(1, 1), (128, 128))
    torch.testing.assert_close(small.logits, large.logits)
    wide = teacher.segment(embedding, torch.tensor([[[20.0, 40.0]]]), torch.ones(1, 1), (64, 128))  # height, width
    torch.testing.assert_close(small.logits, wide.logits)
    assert large.masks().shape == (1, 3, 128, 128) and large.masks(1).shape == (1, 128, 128)


def _stock_style_sam() -> Sam:
    """Prompt encoder and decoder with the official activations and attention; the encoder is not used."""
    torch.manual_seed(1)
    encoder = nn.Identity()
    encoder.img_size = 64
    prompts = PromptEncoder(embed_dim=32, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=32, num_heads=4, mlp_dim=64)
    sam = Sam(encoder, prompts, MaskDecoder(transformer_dim=32, transformer=transformer))
    return sam.eval()


@pytest.mark.parametrize("with_previous", [False, True])
def test_batched_decoder_is_the_stock_decoder(with_previous: bool) -> None:
    sam = _stock_style_sam()
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(2, 32, 4, 4, generator=generator)
    points = 64 * torch.rand(2, 3, 2, 2, generator=generator)
    labels = torch.tensor([[[1, 0], [1, -1], [0, 1]], [[1, 1], [-1, -1], [0, 0]]])
    previous = torch.randn(2, 3, 1, 16, 16, generator=generator) if with_previous else None
    with torch.no_grad():
        logits, scores = decode_prompts(sam, embeddings, points, labels, previous)
        for i in range(2):
            sparse, dense = sam.prompt_encoder((points[i], labels[i]), None, None if previous is None else previous[i])
            expected = sam.mask_decoder.predict_masks(
                embeddings[i : i + 1], sam.prompt_encoder.get_dense_pe(), sparse, dense
            )
            torch.testing.assert_close(logits[i], expected[0], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(scores[i], expected[1], atol=1e-5, rtol=1e-4)


def test_gradients_through_the_batched_decoder_are_the_stock_ones() -> None:
    sam = _stock_style_sam()
    embeddings = torch.randn(1, 32, 4, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    points, labels = torch.tensor([[[[10.0, 20.0]], [[50.0, 5.0]]]]), torch.ones(1, 2, 1)
    weight = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(4))
    parameter = sam.mask_decoder.transformer.layers[1].cross_attn_image_to_token.q_proj.bias
    ours = torch.autograd.grad(
        (decode_prompts(sam, embeddings, points, labels)[0][0] * weight).sum(), [embeddings, parameter]
    )
    sparse, dense = sam.prompt_encoder((points[0], labels[0]), None, None)
    stock, _ = sam.mask_decoder.predict_masks(embeddings, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    expected = torch.autograd.grad((stock * weight).sum(), [embeddings, parameter])
    for a, b in zip(ours, expected):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)


def test_the_model_takes_other_image_sizes(tiny: Sam) -> None:
    set_image_size(tiny, 96)
    teacher = SamTeacher(tiny, "tiny-0")
    embedding = teacher.embed(torch.zeros(2, 96, 96, 3, dtype=torch.uint8))
    assert embedding.shape == (2, 32, 12, 12) == (2, *teacher.embedding_shape)
    answer = teacher.segment(embedding[0], torch.zeros(5, 1, 2), torch.ones(5, 1), (96, 96))
    assert answer.logits.shape == (5, 3, 48, 48)


def test_missing_official_weights_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_teacher("vit_h", tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(tmp_path / OFFICIAL["vit_h"]), "scripts/download_sam.sh", "--SAM vit_t"):
        assert part in message


def test_unknown_teacher_is_refused_with_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vit_t"):
        load_teacher("vit_x", tmp_path)


@pytest.fixture
def tiny_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Official model types built in tiny sizes."""
    monkeypatch.setattr(teacher_module, "sam_model_registry", {name: lambda: build_vit_t(TINY) for name in OFFICIAL})


def test_auto_takes_the_largest_official_checkpoint_present(tmp_path: Path, tiny_registry: None) -> None:
    for name in ("vit_b", "vit_l"):
        save_torch(tmp_path / OFFICIAL[name], build_vit_t(TINY).state_dict())
    assert load_teacher("auto", tmp_path).name.startswith("vit_l-")


def test_auto_without_official_checkpoints_is_the_embedded_teacher(tmp_path: Path) -> None:
    save_torch(tmp_path / EMBEDDED, {"model_config": asdict(TINY), "weights": build_vit_t(TINY).half().state_dict()})
    assert load_teacher("auto", tmp_path).name.startswith("vit_t-")


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, tiny_registry: None) -> None:
    save_torch(tmp_path / OFFICIAL["vit_b"], {"encoder.weight": torch.zeros(3)})
    with pytest.raises(UserError, match="does not hold the weights of vit_b"):
        load_teacher("vit_b", tmp_path)


def test_names_differ_with_the_weights(tmp_path: Path, tiny_registry: None) -> None:
    names = set()
    for i in range(2):
        save_torch(tmp_path / OFFICIAL["vit_b"], {k: v + i for k, v in build_vit_t(TINY).state_dict().items()})
        names.add(load_teacher("vit_b", tmp_path).name)
    assert len(names) == 2


def test_random_weights_need_no_checkpoint(tmp_path: Path) -> None:
    assert load_teacher("vit_t", tmp_path, random_weights=True).name == "vit_t-random"


@pytest.mark.slow
def test_vit_h_can_be_built_with_random_weights(tmp_path: Path) -> None:
    teacher = load_teacher("vit_h", tmp_path, random_weights=True)
    assert teacher.image_size == 1024 and teacher.embedding_shape == (256, 64, 64)


def test_download_refuses_and_removes_a_file_with_the_wrong_checksum(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / OFFICIAL["vit_b"]).write_text("not a checkpoint")
    folders = {"SAM_CHECKPOINT_DIR": str(tmp_path / "got"), "SAM_DOWNLOAD_BASE": (tmp_path / "served").as_uri()}
    command = ["bash", "scripts/download_sam.sh", "vit_b"]
    env = {"PATH": "/usr/bin:/bin:/usr/local/bin", **folders}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.returncode == 2 and "checksum" in done.stderr
    assert not any((tmp_path / "got").iterdir())


# ---- the embedded weights --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded() -> SamTeacher:
    return load_teacher("vit_t")


@pytest.fixture(scope="module")
def mallet_view(two_boxes):
    cameras = orbit_cameras(torch.tensor([0.3]), torch.tensor([0.9]))
    raster = Rasterizer(two_boxes)(cameras)
    return to_uint8(shade(two_boxes, cameras, raster)), raster


def test_embedded_weights_fit_in_25_megabytes_and_say_how_they_were_trained() -> None:
    path = CHECKPOINT_DIR / EMBEDDED
    assert path.stat().st_size <= 25e6
    stored = torch.load(path, weights_only=True)
    assert stored["trained"]["images"] > 0 and "seed" in stored["train_config"] and stored["score_config"]["shapes"] > 0


def test_embedding_values_fit_the_feature_fields_tanh(embedded: SamTeacher, mallet_view) -> None:
    embedding = embedded.embed(mallet_view[0])
    assert embedding.shape == (1, 256, 28, 28) and embedding.dtype == torch.float32
    assert (embedding.abs() < 1).float().mean() > 0.97


@pytest.mark.parametrize("head", [True, False], ids=["head", "handle"])
def test_one_click_segments_the_part_of_a_mallet(
    embedded: SamTeacher, mallet_view, two_boxes, two_boxes_head, head: bool
) -> None:
    images, raster = mallet_view
    face_in_head = torch.from_numpy(two_boxes_head[two_boxes.faces[:, 0]])
    truth = (face_in_head[raster.face_ids[0].clamp_min(0)] == head) & raster.covered[0]
    pixels = truth.nonzero().float()
    y, x = pixels[(pixels - pixels.mean(0)).norm(dim=1).argmin()].tolist()
    click = torch.tensor([[[x + 0.5, y + 0.5]]])
    mask = embedded.segment(embedded.embed(images)[0], click, torch.ones(1, 1), (224, 224)).masks(0)[0]
    assert iou(mask.numpy(), truth.numpy()) > 0.7


def test_fast_arithmetic_changes_masks_little(embedded: SamTeacher, mallet_view) -> None:
    exact = SamTeacher(embedded.sam, embedded.name, fast=False)
    rows, columns = torch.nonzero(mallet_view[1].covered[0], as_tuple=True)
    clicks = torch.stack([columns, rows], 1)[:: len(rows) // 16, None].float() + 0.5
    labels = torch.ones(len(clicks), 1)
    fast, slow = (t.segment(t.embed(mallet_view[0])[0], clicks, labels, (224, 224)).masks(0) for t in (embedded, exact))
    assert (fast == slow).float().mean() > 0.995


@pytest.mark.slow
def test_the_stock_automatic_mask_generator_finds_the_parts(embedded: SamTeacher, mallet_view) -> None:
    thresholds = {"pred_iou_thresh": 0.6, "stability_score_thresh": 0.7}
    generator = SamAutomaticMaskGenerator(embedded.sam, points_per_side=16, **thresholds)
    assert len(generator.generate(mallet_view[0][0].numpy())) >= 2
