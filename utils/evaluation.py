"""A simulated annotator and the measures of interactive segmentation.

The annotator wants one part. The first click is the face innermost in it; every further click is innermost in the
larger (by area) of the missed and the wrongly included side, positive or negative accordingly (as in RITM and AGILE3D).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from utils.face_graph import FaceGraph
from utils.mesh import Mesh
from utils.psb import area_iou


class PreparedMethod(Protocol):
    """A segmentation method made ready for one mesh."""

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Clicked faces (C,) int64 and their signs (C,) bool -> (F,) float; above 0.5 is selected."""


class Method(Protocol):
    """A segmentation method: `prepare` once a mesh, then any number of click sets."""

    name: str

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> PreparedMethod: ...


@dataclass
class PartRun:
    """What happened while one part was being selected: clicked faces, their signs, and the IoU after each click."""

    faces: list[int] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)


def next_click(graph: FaceGraph, areas: np.ndarray, part: np.ndarray, selected: np.ndarray | None,
               generator: np.random.Generator | None = None) -> tuple[int, bool]:
    """The simulated annotator's next click: a face and whether it is positive.

    part, selected: (F,) bool; None before the first click. With a generator (jitter), the face is drawn from the
    region by area instead of being the innermost: real people do not hit the centre.
    """
    if selected is None:
        region, positive = part, True
    else:
        missed, wrong = part & ~selected, selected & ~part
        positive = bool(areas[missed].sum() >= areas[wrong].sum())
        region = missed if positive else wrong
    candidates = np.flatnonzero(region)
    if len(candidates) == 0:
        raise ValueError("the selection equals the part; there is nothing to click")
    if generator is not None:
        weight = areas[candidates] + 1e-12
        return int(generator.choice(candidates, p=weight / weight.sum())), positive
    depth = graph.depth_inside(region)[candidates]
    return int(candidates[np.argmax(depth)]), positive


def run_part(prepared: PreparedMethod, graph: FaceGraph, areas: np.ndarray, part: np.ndarray, clicks: int = 10, cap: int = 20,
             target: float = 0.9, generator: np.random.Generator | None = None) -> PartRun:
    """Click `clicks` times, then on until IoU `target` or `cap` clicks; the IoU list is `cap` long, its last value repeated.

    A selection that equals the part ends it, and so does a click where one already is: clicking there again changes
    nothing, the method does not obey.
    """
    run, selected = PartRun(), None
    while len(run.iou) < clicks or (len(run.iou) < cap and run.iou[-1] < target):
        if selected is not None and np.array_equal(selected, part):
            break
        face, positive = next_click(graph, areas, part, selected, generator)
        if face in run.faces and generator is None:
            break
        run.faces.append(face)
        run.positive.append(positive)
        selected = prepared.probabilities(np.array(run.faces), np.array(run.positive)) > 0.5
        run.iou.append(area_iou(selected, part, areas))
    run.iou += [run.iou[-1]] * (cap - len(run.iou))
    return run


def clicks_to_reach(iou: list[float], target: float, cap: int = 20) -> int:
    """NoC: the number of clicks after which `target` is first reached; `cap` if never."""
    reached = [index + 1 for index, value in enumerate(iou[:cap]) if value >= target]
    return reached[0] if reached else cap


def bootstrap_interval(groups: list[list[float]], generator: np.random.Generator, draws: int = 1000) -> tuple[float, float]:
    """95 % interval of the mean over all values when whole groups (meshes) are resampled."""
    sums, counts = np.array([np.sum(g) for g in groups]), np.array([len(g) for g in groups])
    picks = generator.integers(0, len(groups), (draws, len(groups)))
    means = sums[picks].sum(1) / np.maximum(counts[picks].sum(1), 1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
