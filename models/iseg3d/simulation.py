"""The greedy annotator of the paper (Sec. 4.1): always the click that raises the IoU most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from models.iseg3d.annotation import Annotator

TRIED = 8  # of the best candidates by Eq. 6-8 alone, for which the post-processing is computed as well


@dataclass
class GreedyRun:
    """Clicks (points) with their signs, and the IoU after each."""

    clicks: list[int] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)

    def of(self, positive: bool) -> np.ndarray:
        """(C,) int64, the clicks of one sign."""
        return np.array([c for c, p in zip(self.clicks, self.positive) if p == positive], dtype=np.int64)


def iou_of(selected: np.ndarray, target: np.ndarray) -> float:
    """Of two (N,) bool."""
    return float((selected & target).sum() / max((selected | target).sum(), 1))


def greedy_clicks(
    annotator: Annotator,
    target: np.ndarray,
    clicks: int,
    rng: np.random.Generator,
    candidates: int = 1024,
    after_click: Callable[[GreedyRun], None] | None = None,
) -> GreedyRun:
    """Select target (N,) bool by at most `clicks` clicks, each the best for the IoU.

    Candidates are at most `candidates` points of each sign, drawn at random: positive ones in what is missed, negative ones in what
    is wrongly selected. All are compared by Eq. 6-8, exactly; the best `TRIED` of them with the post-processing too. The IoU of the
    last click holds on where no further click can be made. `after_click` may change the annotator's embedding (fine-tuning).
    """
    if not target.any():
        raise ValueError("nothing is wanted: the target is empty")
    run = GreedyRun()
    selected = np.zeros(len(target), dtype=bool)
    while len(run.clicks) < clicks:
        best = _best_click(annotator, target, selected, run, rng, candidates)
        if best is None:
            run.iou += [run.iou[-1]] * (clicks - len(run.iou))
            break
        run.clicks.append(best[0])
        run.positive.append(best[1])
        if after_click is not None:
            after_click(run)
        selected = annotator.annotate(run.of(True), run.of(False))
        run.iou.append(iou_of(selected, target))
    return run


def _best_click(
    annotator: Annotator,
    target: np.ndarray,
    selected: np.ndarray,
    run: GreedyRun,
    rng: np.random.Generator,
    candidates: int,
) -> tuple[int, bool] | None:
    positives, negatives = run.of(True), run.of(False)
    scored: list[tuple[float, int, bool]] = []
    for sign, region in ((True, target & ~selected), (False, selected & ~target)):
        points = np.setdiff1d(np.flatnonzero(region), run.clicks)
        if len(points) == 0 or (not sign and len(positives) == 0):
            continue
        points = rng.permutation(points)[:candidates]
        score = (
            score_positive(annotator, target, positives, negatives, points)
            if sign
            else score_negative(annotator, target, positives, negatives, points)
        )
        scored += [(float(value), int(point), sign) for value, point in zip(score, points)]
    if not scored:
        return None
    best, best_iou = None, -1.0
    for _, point, sign in sorted(scored, reverse=True)[:TRIED]:
        included = np.append(positives, point) if sign else positives
        excluded = negatives if sign else np.append(negatives, point)
        iou = iou_of(annotator.annotate(included, excluded), target)
        if iou > best_iou:
            best, best_iou = (point, sign), iou
    return best


def score_positive(
    annotator: Annotator, target: np.ndarray, positives: np.ndarray, negatives: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """(C,) IoU with target (N,) by Eq. 6-8 after one more positive click at each of points (C,)."""
    held = annotator.within(positives, negatives)
    z = annotator.embedding
    distance = _pairwise(z[points], z)
    radius = np.full(len(points), annotator.settings.radius)
    if len(negatives):
        radius = np.minimum(radius, distance[:, negatives].min(axis=1))
    inside = distance < radius[:, None]
    return _iou_of_rows(inside | held, target)


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


def _pairwise(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))


def _iou_of_rows(inside: np.ndarray, target: np.ndarray) -> np.ndarray:
    both = inside[:, target].sum(axis=1)
    return both / np.maximum(inside.sum(axis=1) + target.sum() - both, 1)


def greedy_by_asking(
    select: Callable[[np.ndarray, np.ndarray], np.ndarray],
    target: np.ndarray,
    clicks: int,
    rng: np.random.Generator,
    candidates: int = 8,
) -> GreedyRun:
    """`greedy_clicks` for any method: `select` (positives (P,), negatives (Q,)) -> (N,) bool is asked for every candidate.

    Where an answer takes a network's time, few can be tried: `candidates` points drawn at random from what is missed and what is
    wrongly selected, in proportion.
    """
    if not target.any():
        raise ValueError("nothing is wanted: the target is empty")
    run = GreedyRun()
    selected = np.zeros(len(target), dtype=bool)
    while len(run.clicks) < clicks:
        wrong = np.setdiff1d(np.flatnonzero(selected != target), run.clicks)
        if len(wrong) == 0:
            run.iou += [run.iou[-1]] * (clicks - len(run.iou))
            break
        best, best_iou = None, -1.0
        for point in rng.permutation(wrong)[:candidates]:
            sign = bool(target[point])
            positives, negatives = run.of(True), run.of(False)
            if not sign and len(positives) == 0:
                continue
            answer = (
                select(np.append(positives, point), negatives)
                if sign
                else select(positives, np.append(negatives, point))
            )
            iou = iou_of(answer, target)
            if iou > best_iou:
                best, best_iou, selected_then = (int(point), sign), iou, answer
        run.clicks.append(best[0])
        run.positive.append(best[1])
        run.iou.append(best_iou)
        selected = selected_then
    return run
