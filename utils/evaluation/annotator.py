"""A simulated annotator and the measures of interactive segmentation.

The annotator wants one part. The first click is the face innermost in it; every further click is innermost in the
larger (by area) of the missed and the wrongly included side, positive or negative accordingly (as in RITM and AGILE3D).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.evaluation.method import FaceSegmenter, Stopwatch
from utils.geometry.face_graph import FaceGraph
from utils.selection import iou

CAP = 20  # clicks; a part that never gets there counts as 20 (RITM, AGILE3D)


@dataclass
class PartRun:
    """What happened while one part was being selected.

    faces, positive  of the clicks
    iou              after each click
    watch            what the method took over all of them
    selected         (F,) bool at the end
    """

    faces: list[int] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)
    selected: np.ndarray | None = None


def next_click(
    graph: FaceGraph,
    areas: np.ndarray,
    part: np.ndarray,
    selected: np.ndarray | None,
    generator: np.random.Generator | None = None,
) -> tuple[int, bool]:
    """The simulated annotator's next click: a face and whether it is positive.

    part, selected: (F,) bool; None before the first click. With a generator (jitter), the face is drawn from the
    region by area instead of being the innermost: real people do not hit the centre.
    """
    region, positive = part, True
    if selected is not None:
        missed, wrong = part & ~selected, selected & ~part
        positive = bool(areas[missed].sum() >= areas[wrong].sum())
        region = missed if positive else wrong
    faces = np.flatnonzero(region)
    if len(faces) == 0:
        raise ValueError("the selection equals the part; there is nothing to click")
    if generator is not None:
        weight = areas[faces] + 1e-12
        return int(generator.choice(faces, p=weight / weight.sum())), positive
    return int(faces[np.argmax(graph.depth_inside(region)[faces])]), positive


def run_part(
    segmenter: FaceSegmenter,
    graph: FaceGraph,
    areas: np.ndarray,
    part: np.ndarray,
    clicks: int = 10,
    cap: int = CAP,
    target: float = 0.9,
    generator: np.random.Generator | None = None,
) -> PartRun:
    """Click `clicks` times, then on until IoU `target` or `cap` clicks; `iou` is `cap` long, its last value repeated.

    A selection that equals the part ends it, and so does a click where one already is: clicking there again changes
    nothing, the method does not obey.
    """
    run = PartRun()
    while len(run.iou) < clicks or (len(run.iou) < cap and run.iou[-1] < target):
        if run.selected is not None and np.array_equal(run.selected, part):
            break
        face, positive = next_click(graph, areas, part, run.selected, generator)
        if face in run.faces and generator is None:
            break
        run.faces.append(face)
        run.positive.append(positive)
        with run.watch:
            run.selected = segmenter.face_probability(np.array(run.faces), np.array(run.positive)) > 0.5
        run.iou.append(iou(run.selected, part, areas))
    run.iou += [run.iou[-1]] * (cap - len(run.iou))
    return run


def stability(
    segmenter: FaceSegmenter, graph: FaceGraph, areas: np.ndarray, clicks: int, generator: np.random.Generator
) -> list[float]:
    """IoU between a random click's selection and those of clicks on the adjacent faces, a mean per click.

    As Sec. 4.3 of the paper, on faces instead of vertices. Two empty selections differ by nothing: IoU 1.
    """

    def selection(face: int) -> np.ndarray:
        return segmenter.face_probability(np.array([face]), np.array([True])) > 0.5

    values = []
    for face in generator.choice(len(areas), size=min(clicks, len(areas)), replace=False):
        touching = graph.pairs[(graph.pairs == face).any(1)]
        own, others = selection(int(face)), [selection(int(other)) for other in touching[touching != face]]
        if others:
            values.append(float(np.mean([iou(own, o, areas) if (own | o).any() else 1.0 for o in others])))
    return values


def clicks_to_reach(curve: Sequence[float], target: float, cap: int = CAP) -> int:
    """NoC: the number of clicks after which an IoU of `target` is first reached; `cap` if never."""
    reached = [count for count, value in enumerate(curve[:cap], start=1) if value >= target]
    return reached[0] if reached else cap


def bootstrap_interval(
    groups: Sequence[Sequence[float]], generator: np.random.Generator, draws: int = 1000
) -> tuple[float, float]:
    """95 % interval of the mean over all values when whole groups (meshes) are resampled."""
    sums, counts = np.array([np.sum(g) for g in groups]), np.array([len(g) for g in groups])
    return ratio_interval(sums, counts, generator, draws)


def ratio_interval(
    sums: np.ndarray, totals: np.ndarray, generator: np.random.Generator, draws: int = 1000
) -> tuple[float, float]:
    """95 % interval of the sum of `sums` over that of `totals`, (groups,) each, when groups are resampled."""
    picks = generator.integers(0, len(sums), (draws, len(sums)))
    weight = totals[picks].sum(1)
    means = sums[picks].sum(1) / np.where(weight > 0, weight, 1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
