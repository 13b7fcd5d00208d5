"""Prompting the teacher with clicks: masks of single clicks, and second clicks that change them (paper Sec. 3.3).

Everything here works on one view, for all of its clicks at once. Clicked vertices are numbered 0..C-1 by their place in
the list of sampled vertices; pixels are (x, y) integers, column and row, of the image the masks are drawn on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.files import digest
from utils.teacher import Teacher, TeacherMasks

PROMPTS_AT_ONCE = 64  # bounds the memory of a call to the teacher
KEPT_MASK = 0  # of the three that SAM gives; the smallest part, as published


@dataclass(frozen=True, eq=False)
class ClickMasks:
    """The teacher's answer to P prompts in one view.

    masks   (P, H, W) bool on the CPU; pixels clicked to include are on, those clicked to exclude are off
    scores  (P,) float32 on the CPU, the teacher's own estimate of IoU
    best    (P, 1, h, w) low-resolution logits of the mask of three that scored best, on the teacher's device
    """

    masks: Tensor
    scores: Tensor
    best: Tensor


def prompt_clicks(
    teacher: Teacher,
    embedding: Tensor,
    pixels: Tensor,
    labels: Tensor,
    size: tuple[int, int],
    first: Tensor | None = None,
    refinements: int = 1,
) -> ClickMasks:
    """Segment one view from P prompts of K clicks each.

    embedding    (D, h, w), the view's
    pixels       (P, K, 2) int64; labels (P, K) int64, 1 include, 0 exclude
    first        (P, 1, h, w) logits of an earlier mask to start from, or None
    refinements  calls; each after the first starts from the best-scored low-resolution mask of the one before

    The prompt is the pixel's centre. Forcing the clicked pixels is published for the click of a single; here it holds
    for every click.
    """
    parts = []
    for start in range(0, len(pixels), PROMPTS_AT_ONCE):
        chunk = slice(start, start + PROMPTS_AT_ONCE)
        previous = None if first is None else first[chunk]
        for _ in range(refinements):
            answer = teacher.segment(embedding, pixels[chunk].float() + 0.5, labels[chunk], size, previous)
            previous = _best_logits(answer)
        parts.append((answer.masks(KEPT_MASK).cpu(), answer.scores[:, KEPT_MASK].float().cpu(), previous))
    if not parts:
        return ClickMasks(torch.zeros((0, *size), dtype=torch.bool), torch.zeros(0), torch.zeros((0, 1, 1, 1)))
    masks, scores, best = (torch.cat(part) for part in zip(*parts))
    prompt = torch.arange(len(masks))[:, None].expand(labels.shape)
    masks[prompt, pixels[..., 1], pixels[..., 0]] = labels == 1
    return ClickMasks(masks, scores, best)


def _best_logits(answer: TeacherMasks) -> Tensor:
    """(P, 1, h, w): the mask with the highest score of each prompt."""
    chosen = answer.scores.argmax(dim=1)
    return answer.logits[torch.arange(len(chosen), device=chosen.device), chosen][:, None]


def inside_mask(masks: Tensor, pixels: Tensor) -> Tensor:
    """(n, C) bool: which of C pixels (C, 2) each of n masks (n, H, W) covers."""
    return masks[:, pixels[:, 1], pixels[:, 0]]


def nearer_half(eligible: Tensor, squared_distance: Tensor) -> Tensor:
    """(n, C) bool: the eligible vertices nearer than half, in squared distance, of the farthest eligible one.

    eligible (n, C) bool; squared_distance (n, C) from the first click to every sampled vertex.
    """
    if eligible.shape[1] == 0:
        return eligible
    farthest = torch.where(eligible, squared_distance, squared_distance.new_zeros(())).amax(dim=1, keepdim=True)
    return eligible & (squared_distance < 0.5 * farthest)


def draw_columns(eligible: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw up to `count` of the True columns of every row of (n, C), without replacement.

    Returns the rows and the columns drawn, (P,) int64 each, in order of rows, then columns.
    """
    rows, columns = lowest_columns(eligible, torch.rand(eligible.shape, generator=generator), count).nonzero().T
    return rows, columns


def lowest_columns(eligible: Tensor, keys: Tensor, count: int) -> Tensor:
    """(..., C) bool: up to `count` of the True entries along the last dimension, those with the lowest keys.

    keys: in [0, 1), of a shape that broadcasts with `eligible`.
    """
    order = torch.where(eligible, keys, 2.0).argsort(dim=-1, stable=True)[..., :count]
    return torch.zeros_like(eligible).scatter_(-1, order, True) & eligible


def seeded(*parts: str | int) -> torch.Generator:
    """A generator of its own for whatever `parts` name, on the CPU: the same draws on every machine."""
    return torch.Generator().manual_seed(int(digest(*parts), 16))


def changes_enough(first: Tensor, second: Tensor, positive: Tensor, max_iou: float = 0.9) -> Tensor:
    """(P,) bool: is the mask after the second click worth keeping? (Published: IoU at most 0.9, and the area grew after
    a positive click or shrank after a negative one.)

    first, second: (P, H, W) bool; positive: (P,) bool.
    """
    intersection, before, after = _areas(first & second), _areas(first), _areas(second)
    differs = intersection <= max_iou * (before + after - intersection)
    return differs & torch.where(positive, after > before, after < before)


def _areas(masks: Tensor) -> Tensor:
    """(P,) int64 pixels of (P, H, W) bool; NumPy counts a mask some forty times faster than torch sums it."""
    return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)
