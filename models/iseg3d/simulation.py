"""The greedy annotator of the paper (Sec. 4.1): always the click that raises the IoU most."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from models.iseg3d.annotation import Annotator
from utils.selection import iou

TRIED = 8  # of the best candidates by Eq. 6-8 alone, for which the post-processing is computed as well
Select = Callable[[np.ndarray, np.ndarray], np.ndarray]  # positives (P,), negatives (Q,) -> (N,) bool


@dataclass
class GreedyRun:
    """Clicks (points) with their signs, and the IoU after each."""

    clicks: list[int] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)

    def of(self, positive: bool) -> np.ndarray:
        """(C,) int64, the clicks of one sign."""
        return np.array([c for c, p in zip(self.clicks, self.positive) if p == positive], dtype=np.int64)

    def with_click(self, point: int, sign: bool) -> tuple[np.ndarray, np.ndarray]:
        """Positive (P,) and negative (Q,) clicks, one more among them."""
        positives, negatives = self.of(True), self.of(False)
        return (np.append(positives, point), negatives) if sign else (positives, np.append(negatives, point))


def _greedy(
    select: Select,
    propose: Callable[[GreedyRun, np.ndarray], Iterable[tuple[int, bool]]],
    target: np.ndarray,
    clicks: int,
    after_click: Callable[[GreedyRun], None] | None = None,
) -> GreedyRun:
    """Select target (N,) bool by clicks, each the best for the IoU of those that `propose` says of what is selected."""
    if not target.any():
        raise ValueError("nothing is wanted: the target is empty")
    run, selected = GreedyRun(), np.zeros(len(target), dtype=bool)
    while len(run.clicks) < clicks:
        best = None
        for point, sign in propose(run, selected):
            answer = select(*run.with_click(point, sign))
            value = iou(answer, target)
            if best is None or value > best[0]:
                best = value, point, sign, answer
        if best is None:  # no further click can be made
            break
        value, point, sign, selected = best
        run.clicks.append(point)
        run.positive.append(sign)
        if after_click is not None:
            after_click(run)
            selected = select(run.of(True), run.of(False))
            value = iou(selected, target)
        run.iou.append(value)
    run.iou += run.iou[-1:] * (clicks - len(run.iou))
    return run


def greedy_clicks(
    annotator: Annotator,
    target: np.ndarray,
    clicks: int,
    rng: np.random.Generator,
    candidates: int = 1024,
    after_click: Callable[[GreedyRun], None] | None = None,
) -> GreedyRun:
    """Select target (N,) bool by at most `clicks` clicks, each the best for the IoU.

    Candidates are at most `candidates` points of each sign, drawn at random: positive ones in what is missed, negative
    ones in what is wrongly selected. All are compared by Eq. 6-8, exactly; the best `TRIED` with the post-processing
    too. The last IoU holds on where no further click can be made. `after_click` may change the annotator's embedding.
    """

    def propose(run: GreedyRun, selected: np.ndarray) -> list[tuple[int, bool]]:
        held = run.of(True), run.of(False)
        scored: list[tuple[float, int, bool]] = []
        for sign, region in ((True, target & ~selected), (False, selected & ~target)):
            points = np.setdiff1d(np.flatnonzero(region), run.clicks)
            if len(points) == 0 or (not sign and len(held[0]) == 0):
                continue
            points = rng.permutation(points)[:candidates]
            score = (score_positive if sign else score_negative)(annotator, target, *held, points)
            scored += [(float(value), int(point), sign) for value, point in zip(score, points)]
        return [(point, sign) for _, point, sign in sorted(scored, reverse=True)[:TRIED]]

    return _greedy(annotator.annotate, propose, target, clicks, after_click)


def greedy_by_asking(
    select: Select, target: np.ndarray, clicks: int, rng: np.random.Generator, candidates: int = 8
) -> GreedyRun:
    """`greedy_clicks` for any method; `select` is asked for every candidate.

    Where an answer takes a network's time, few can be tried: `candidates` points drawn at random from what is missed
    and what is wrongly selected, in proportion.
    """

    def propose(run: GreedyRun, selected: np.ndarray) -> list[tuple[int, bool]]:
        wrong = np.setdiff1d(np.flatnonzero(selected != target), run.clicks)
        drawn = rng.permutation(wrong)[:candidates]
        return [(int(point), bool(target[point])) for point in drawn if target[point] or any(run.positive)]

    return _greedy(select, propose, target, clicks)


def score_positive(
    annotator: Annotator, target: np.ndarray, positives: np.ndarray, negatives: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """(C,) IoU with target (N,) by Eq. 6-8 after one more positive click at each of points (C,)."""
    z = annotator.embedding
    squared = (z[points] ** 2).sum(axis=1)[:, None] + (z**2).sum(axis=1) - 2 * z[points] @ z.T
    distance = np.sqrt(np.maximum(squared, 0))
    radius = np.minimum(np.float64(annotator.settings.radius), distance[:, negatives].min(axis=1, initial=np.inf))
    return _iou_of_rows((distance < radius[:, None]) | annotator.within(positives, negatives), target)


def score_negative(
    annotator: Annotator, target: np.ndarray, positives: np.ndarray, negatives: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """(C,) IoU with target (N,) by Eq. 6-8 after one more negative click at each of points (C,)."""
    inside = np.zeros((len(points), len(target)), dtype=bool)
    for click in positives:
        distance = annotator.distances(int(click))
        radius = min(annotator.settings.radius, distance[negatives].min(initial=np.inf))
        inside |= distance < np.minimum(radius, distance[points])[:, None]
    return _iou_of_rows(inside, target)


def _iou_of_rows(inside: np.ndarray, target: np.ndarray) -> np.ndarray:
    both = inside[:, target].sum(axis=1)
    return both / np.maximum(inside.sum(axis=1) + target.sum() - both, 1)
