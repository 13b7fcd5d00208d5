"""A simulated annotator and the measures of interactive segmentation.

The annotator wants one part. The first click is the face innermost in it; every further click is innermost in the
larger (by area) of the missed and the wrongly included side, positive or negative accordingly (as in RITM and AGILE3D).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from utils.clicks import Clicks
from utils.evaluation.psb import area_iou
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh


class PreparedMethod(Protocol):
    """A segmentation method made ready for one mesh.

    It may also have `seconds` and `cpu_seconds`, what making it ready took when it was not read back from disk (None
    where that is unknown), and `candidates`: as `probabilities`, but (N, F), the alternatives it offers to the clicks.
    """

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Clicked faces (C,) int64 and their signs (C,) bool -> (F,) float; above 0.5 is selected."""


class Method(Protocol):
    """A segmentation method: `prepare` once a mesh, then any number of click sets.

    identity: everything that its answers depend on, as text; results are kept under it.
    """

    name: str
    identity: str

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> PreparedMethod: ...


class OnFaces:
    """A method that works on vertices, for clicks on faces.

    A clicked face becomes the corner that belongs most to it: the one whose vertex normal agrees best with the face's,
    so that a face beside a crease is not clicked on the crease, and of those that agree alike the one nearest to its
    centre. A corner that an earlier click uses with the other sign is passed over; if all three are, the click is left out. The
    probability of a face is the mean of its corners'.
    """

    def __init__(self, mesh: Mesh, segment: Callable[[Clicks], np.ndarray]) -> None:
        self.faces, self.segment = mesh.faces, segment
        corners = mesh.normalized[mesh.faces]
        away = np.linalg.norm(corners - corners.mean(axis=1, keepdims=True), axis=2)
        agreement = np.einsum("fkd,fd->fk", mesh.vertex_normals[mesh.faces], mesh.face_normals)
        order = np.lexsort((away, -np.round(agreement, 1)), axis=1)  # a tenth: about 25 degrees beside a flat vertex
        self.corners = np.take_along_axis(mesh.faces, order, axis=1)

    def clicks(self, faces: np.ndarray, positive: np.ndarray) -> Clicks:
        """Clicked faces (C,) int64 and signs (C,) bool as clicks on vertices."""
        signs: dict[int, bool] = {}
        for face, sign in zip(faces, positive):
            free = [int(vertex) for vertex in self.corners[face] if signs.get(int(vertex), sign) == sign]
            if free:
                signs[free[0]] = bool(sign)
        return Clicks(list(signs), list(signs.values()))

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        return self.on_faces(self.segment(self.clicks(faces, positive)))

    def on_faces(self, values: np.ndarray) -> np.ndarray:
        """Vertex values (..., V) -> (..., F)."""
        return np.asarray(values)[..., self.faces].mean(axis=-1)


@dataclass
class PartRun:
    """What happened while one part was being selected.

    faces, positive       of the clicks
    iou                   after each click
    seconds, cpu_seconds  that the method took over all of them
    selected              (F,) bool at the end
    """

    faces: list[int] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
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


def run_part(
    prepared: PreparedMethod,
    graph: FaceGraph,
    areas: np.ndarray,
    part: np.ndarray,
    clicks: int = 10,
    cap: int = 20,
    target: float = 0.9,
    generator: np.random.Generator | None = None,
) -> PartRun:
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
        wall, processor = time.perf_counter(), time.process_time()
        selected = prepared.probabilities(np.array(run.faces), np.array(run.positive)) > 0.5
        run.seconds += time.perf_counter() - wall
        run.cpu_seconds += time.process_time() - processor
        run.iou.append(area_iou(selected, part, areas))
    run.iou += [run.iou[-1]] * (cap - len(run.iou))
    run.selected = selected
    return run


def stability(
    prepared: PreparedMethod, graph: FaceGraph, areas: np.ndarray, clicks: int, generator: np.random.Generator
) -> list[float]:
    """IoU between a random click's selection and those of clicks on the adjacent faces, a mean per click.

    As Sec. 4.3 of the paper, on faces instead of vertices. Two empty selections differ by nothing: IoU 1.
    """

    def selection(face: int) -> np.ndarray:
        return prepared.probabilities(np.array([face]), np.array([True])) > 0.5

    values = []
    for face in generator.choice(len(areas), size=min(clicks, len(areas)), replace=False):
        touching = graph.pairs[(graph.pairs == face).any(1)]
        neighbours = touching[touching != face]
        if len(neighbours):
            own = selection(int(face))
            others = [selection(int(other)) for other in neighbours]
            values.append(
                float(np.mean([area_iou(own, other, areas) if (own | other).any() else 1.0 for other in others]))
            )
    return values


def clicks_to_reach(iou: list[float], target: float, cap: int = 20) -> int:
    """NoC: the number of clicks after which `target` is first reached; `cap` if never."""
    reached = [index + 1 for index, value in enumerate(iou[:cap]) if value >= target]
    return reached[0] if reached else cap


def bootstrap_interval(
    groups: list[list[float]], generator: np.random.Generator, draws: int = 1000
) -> tuple[float, float]:
    """95 % interval of the mean over all values when whole groups (meshes) are resampled."""
    sums, counts = np.array([np.sum(g) for g in groups]), np.array([len(g) for g in groups])
    picks = generator.integers(0, len(groups), (draws, len(groups)))
    means = sums[picks].sum(1) / np.maximum(counts[picks].sum(1), 1)
    return float(np.quantile(means, 0.025)), float(np.quantile(means, 0.975))
