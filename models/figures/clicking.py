"""Clicks on labelled parts, shared by several figures: single and further clicks, and how effective answers are.

A click on a part may mean the part or the group that it belongs to (a hand, or the arm), so a single click is held
against both and the better counts; further clicks ask for the part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.evaluation.annotator import run_part
from utils.evaluation.method import FaceSegmenter
from utils.progress import track
from utils.selection import iou

CLICKS = 5
METHODS = ("ours", "sam_baseline", "click_channels")
NAMES = {"ours": "iSeg (ours)", "sam_baseline": "SAM baseline", "click_channels": "click channels (as InterObject3D)"}
COMPLETE, PARTIAL, INEFFECTIVE = "complete", "partial", "ineffective"
WHOLE, NOTHING = 0.85, 0.1  # of the region's area, and of the selection's: see `effectiveness`


@dataclass(frozen=True)
class Asked:
    """What became of one part.

    faces, positive  of the clicks; the first is innermost in the part, each further one corrects the answer
    shares           of the mesh's area that each answer selects
    to_part          IoU of each answer with the part
    first            of the first answer, with the better of part and group: IoU, recall, precision
    """

    part: str
    group: str
    faces: list[int]
    positive: list[bool]
    shares: list[float]
    to_part: list[float]
    first: dict[str, float]


def answerer(shop: Workshop, subject: Subject, method: str) -> FaceSegmenter:
    """What answers by one of `METHODS`."""
    if method == "ours":
        return shop.segmenter(subject)
    return shop.baseline(subject) if method == "sam_baseline" else shop.click_channels(subject)


def clicked(shop: Workshop, subject: Subject, method: str = "ours", clicks: int = CLICKS) -> list[Asked]:
    """Every part of at least 1 % of the area, clicked so often (or until it is had); kept for other figures."""
    found = shop.measured(f"clicked {clicks}", method, [subject], lambda: _click_all(shop, subject, method, clicks))
    return [Asked(**held) for held in found]


def _click_all(shop: Workshop, subject: Subject, method: str, clicks: int) -> list[dict[str, Any]]:
    segmenter, areas = answerer(shop, subject, method), subject.areas
    result = []
    for wish in subject.wishes:
        recorder = _Recorder(segmenter, areas)
        run = run_part(recorder, subject.graph, areas, wish.part, clicks=clicks, cap=clicks)
        count = len(run.faces)
        first = max((fit(recorder.answers[0], region, areas) for region in (wish.part, wish.group)), key=_by_iou)
        shares = [float(areas[answer].sum() / areas.sum()) for answer in recorder.answers]
        asked = Asked(wish.name, wish.group_name, run.faces, run.positive, shares, run.iou[:count], first)
        result.append(vars(asked))
    return result


class _Recorder:
    """Remembers what a segmenter answered."""

    def __init__(self, segmenter: FaceSegmenter, areas: np.ndarray) -> None:
        self.segmenter, self.areas = segmenter, areas
        self.answers: list[np.ndarray] = []

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        found = self.segmenter.face_probability(faces, positive)
        self.answers.append(found > 0.5)
        return found

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Any:
        return self.segmenter.face_candidates(faces, positive)

    def face_ladder(self, faces: np.ndarray, positive: np.ndarray) -> Any:
        return self.segmenter.face_ladder(faces, positive)


def fit(selected: np.ndarray, region: np.ndarray, areas: np.ndarray) -> dict[str, float]:
    """IoU of a selection with a region (F,) bool, the share of the region it holds, and of itself inside the region."""
    both = float(areas[selected & region].sum())
    return {
        "iou": iou(selected, region, areas),
        "recall": both / max(float(areas[region].sum()), 1e-12),
        "precision": both / max(float(areas[selected].sum()), 1e-12),
    }


def _by_iou(found: dict[str, float]) -> float:
    return found["iou"]


def effectiveness(first: dict[str, float]) -> str:
    """The perceptual study's scale (Sec. 4.2, appendix B), by rule, of a single click's answer.

    Complete: at least 85 % of the region are selected, and at least 85 % of the selection lie in it. Ineffective: less
    than 10 % of either, which on a picture is nothing where it should be. Partial: all between.
    """
    if min(first["recall"], first["precision"]) >= WHOLE:
        return COMPLETE
    return INEFFECTIVE if min(first["recall"], first["precision"]) < NOTHING else PARTIAL


def rating(first: dict[str, float]) -> float:
    """From 1 to 5 as in the study: 5 for a complete answer, 1 for an ineffective one, and between by its IoU."""
    kind = effectiveness(first)
    return {COMPLETE: 5.0, INEFFECTIVE: 1.0}.get(kind, 1 + 4 * first["iou"])


def by_mesh(
    shop: Workshop, subjects: Sequence[Subject], method: str = "ours", clicks: int = CLICKS
) -> list[list[Asked]]:
    """`clicked` on several meshes, with progress."""
    stage = f"click parts, {NAMES[method]}"
    return [
        clicked(shop, subject, method, clicks) for subject in track(subjects, stage, shop.on_progress, len(subjects))
    ]
