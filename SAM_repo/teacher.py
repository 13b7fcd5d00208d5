"""Any `segment_anything` model as the pipeline's teacher: the official checkpoints and the embedded `vit_t`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from SAM_repo.fast_decoder import decode_prompts
from SAM_repo.networks import Sam, sam_model_registry
from SAM_repo.vit_t import build_vit_t, restore_vit_t
from utils.device import fast_autocast
from utils.errors import UserError
from utils.files import load_torch
from utils.shipped import check_shipped
from utils.teacher import Teacher, TeacherMasks

CHECKPOINT_DIR = Path(__file__).resolve().parent / "model_checkpoints"
OFFICIAL = {
    "vit_h": "sam_vit_h_4b8939.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_b": "sam_vit_b_01ec64.pth",
}  # largest first
EMBEDDED = "vit_t.pth"


class SamTeacher(Teacher):
    """A `Sam` that embeds images once and answers many prompts at once (`utils.teacher.Teacher`).

    name: see there. fast: matrix products in bfloat16 where the device is faster in it; results are float32 either way.
    """

    def __init__(self, sam: Sam, name: str, fast: bool = True) -> None:
        self.sam, self.name, self.fast = sam.eval().requires_grad_(False), name, fast
        self.image_size: int = sam.image_encoder.img_size
        self.embedding_shape = (sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size)

    @property
    def device(self) -> torch.device:
        return self.sam.device

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Square images (B, H, H, 3) uint8 RGB -> embeddings (B, D, h, w) float32 on the teacher's device."""
        if images.shape[1] != images.shape[2]:
            raise ValueError(f"images must be square, got {tuple(images.shape)}")
        pixels = images.to(self.device).permute(0, 3, 1, 2).float()
        if pixels.shape[-1] != self.image_size:
            pixels = interpolate(pixels, (self.image_size,) * 2, mode="bilinear", align_corners=False, antialias=True)
        with fast_autocast(self.device, self.fast):
            return self.sam.image_encoder(self.sam.preprocess(pixels)).float()

    @torch.no_grad()
    def segment(
        self,
        embedding: Tensor,
        points: Tensor,
        labels: Tensor,
        image_size: tuple[int, int],
        previous: Tensor | None = None,
    ) -> TeacherMasks:
        """Prompt one embedding (D, h, w) with P click sets at once.

        points    (P, K, 2) float, xy in the image of `image_size`, pixel centres at +0.5 as `Cameras.project` has them
        labels    (P, K): 1 include, 0 exclude, -1 padding
        previous  (P, 1, 4h, 4w) low-resolution logits of an earlier answer, or None
        """
        before = None if previous is None else previous[None].to(self.device).float()
        logits, scores = self._decode(embedding[None], points[None], labels[None], image_size, before)
        return TeacherMasks(logits[0], scores[0], image_size)

    @torch.no_grad()
    def segment_each(
        self, embeddings: Tensor, points: Tensor, labels: Tensor, image_size: tuple[int, int]
    ) -> TeacherMasks:
        """Prompt each of B embeddings (B, D, h, w) with one click set: points (B, K, 2), labels (B, K)."""
        logits, scores = self._decode(embeddings, points[:, None], labels[:, None], image_size, None)
        return TeacherMasks(logits[:, 0], scores[:, 0], image_size)

    def _decode(
        self, embeddings: Tensor, points: Tensor, labels: Tensor, image_size: tuple[int, int], previous: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The three masks of `decode_prompts` for points in the image of `image_size`."""
        scale = points.new_tensor([self.image_size / image_size[1], self.image_size / image_size[0]])
        # SAM counts a pixel by its index and adds the half itself.
        indices = points.to(self.device) * scale.to(self.device) - 0.5
        embeddings, labels = embeddings.to(self.device).float(), labels.to(self.device)
        with fast_autocast(self.device, self.fast):
            logits, scores = decode_prompts(self.sam, embeddings, indices, labels, previous)
        return logits[:, :, 1:].float(), scores[:, :, 1:].float()


def load_teacher(
    sam: str = "auto",
    checkpoint_dir: Path = CHECKPOINT_DIR,
    device: str | torch.device = "cpu",
    random_weights: bool = False,
) -> SamTeacher:
    """The teacher of a model type; "auto" takes the largest official checkpoint present, else the embedded vit_t.

    random_weights builds an untrained model, for timing alone. Raises UserError if the weights are missing or damaged.
    """
    if sam == "auto":
        present = [name for name, file in OFFICIAL.items() if (checkpoint_dir / file).is_file()]
        sam = present[0] if present else "vit_t"
    if sam not in (*OFFICIAL, "vit_t"):
        raise UserError(f"unknown teacher '{sam}'; choose auto, {', '.join(OFFICIAL)} or vit_t")
    if random_weights:
        model = build_vit_t() if sam == "vit_t" else sam_model_registry[sam]()
        return SamTeacher(model.to(device), f"{sam}-random")
    path = checkpoint_dir / (EMBEDDED if sam == "vit_t" else OFFICIAL[sam])
    if not path.is_file():
        if sam == "vit_t":
            raise UserError(
                f"the embedded teacher's weights are missing at {path}; restore them with: git checkout {path.name}"
            )
        raise UserError(
            f"no weights of {sam} at {path}; fetch them with: bash scripts/download_sam.sh {sam}, "
            "or use the embedded teacher: --SAM vit_t"
        )
    check_shipped(path)
    weights = load_torch(path, what=f"SAM checkpoint ({sam})", kind=dict)
    try:
        if sam == "vit_t":
            model = restore_vit_t(weights["model_config"], weights["weights"])
        else:
            model = sam_model_registry[sam]()
            model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} does not hold the weights of {sam}; fetch them again") from error
    sha = hashlib.sha256(np.memmap(path, mode="r").data).hexdigest()
    return SamTeacher(model.to(device), f"{sam}-{sha[:8]}")
