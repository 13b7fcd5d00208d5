"""What answers clicks, as everything that asks sees it: one base class for all systems, and the answers they give."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.clicks import Clicks
from utils.errors import UserError
from utils.geometry.face_clicks import FaceClicks
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import DETAIL, Partition, PartTree
from utils.selection import CALIBRATED_THRESHOLD, otsu_threshold

if TYPE_CHECKING:  # it draws: imported where it is used
    from utils.output.query import Look, QuerySettings


@dataclass(frozen=True, eq=False)
class Candidates:
    """Nested answers to one set of clicks, from finer to coarser; the default one is in the middle.

    probability  (K, N) float32 of being selected, ascending along the first axis; K is 3, or 1 for a segmenter that
                 gives one answer; N vertices, or faces
    quality      (K,) float32 in [0, 1], the IoU expected of each with what the person wants; None: not judged
    default      the row that answers; None: the middle one
    """

    probability: np.ndarray
    quality: np.ndarray | None = None
    default: int | None = None

    @property
    def middle(self) -> int:
        """The row that answers."""
        return len(self.probability) // 2 if self.default is None else self.default

    def distinct(self) -> Candidates:
        """Without the rows, but the default one, that select what the row before or the default one selects."""
        selected, default = self.probability > 0.5, self.middle
        kept = (selected != selected[default]).any(axis=1)
        kept[1:] &= (selected[1:] != selected[:-1]).any(axis=1)
        kept[default] = True
        quality = None if self.quality is None else self.quality[kept]
        return Candidates(self.probability[kept], quality, int(kept[:default].sum()))

    def step(self, rung: int) -> np.ndarray:
        """(N,) the answer so many rows above the default one (below 0: under it), as far as there are such."""
        return self.probability[min(max(self.middle + rung, 0), len(self.probability) - 1)]


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer to clicks on a mesh.

    probability  (V,) float32 of being selected, in the file's vertex order
    threshold    above it a vertex is selected
    """

    mesh: Mesh
    clicks: Clicks
    probability: np.ndarray
    threshold: float

    @property
    def selected(self) -> np.ndarray:
        """(V,) bool."""
        return self.probability > self.threshold

    def save(
        self, directory: str | Path, formats: Sequence[str] = ("npy", "ply", "glb", "seg"), look: Look | None = None
    ) -> list[Path]:
        """Write the answer into a folder; returns the paths. See `utils.output.query.save_answer` for the formats."""
        from utils.output.query import Look, save_answer

        return save_answer(directory, self.mesh, self.clicks, self.probability, self.threshold, formats, look or Look())


class Segmenter(ABC):
    """Answers clicks on one mesh. Opened by `models.open.open_segmenter`.

    kind       "prior", "trained" or "instant"
    label      a few words for people
    identity   digest of everything that the answers depend on besides the mesh
    threshold  from which a vertex is selected; None: Otsu's threshold of each answer (the paper's appendix A)
    nested     whether it gives finer and coarser candidates, between which `granularity` moves
    learns     whether `fine_tune` can change its answers
    sources    the files that it was made from, by role ("checkpoint", "features"), and other plain values
    """

    kind: str = ""
    label: str = ""
    identity: str = ""
    threshold: float | None = CALIBRATED_THRESHOLD
    nested: bool = False
    learns: bool = False

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.sources: dict[str, str] = {}

    @property
    def num_vertices(self) -> int:
        return self.mesh.num_vertices

    # --- answers ---------------------------------------------------------------------------------

    def segment(
        self,
        positive: Iterable[int] = (),
        negative: Iterable[int] = (),
        *,
        clicks: Clicks | None = None,
        granularity: float | None = None,
        threshold: float | None = None,
        rung: int = 0,
    ) -> Answer:
        """The answer to clicks on vertices: ids of the mesh file to include and to exclude, or `clicks`.

        granularity: see `probability`; threshold: instead of the segmenter's own; rung: so many steps up the `ladder`
        from the default answer, below 0 down. Raises UserError for clicks that cannot be asked of this mesh
        (`Clicks.validate`).
        """
        clicks = Clicks.from_lists(positive, negative) if clicks is None else clicks
        probability = self.ladder(clicks).step(rung) if rung else self.probability(clicks, granularity)
        if threshold is None:
            threshold = otsu_threshold(probability) if self.threshold is None else self.threshold
        return Answer(self.mesh, clicks, probability, threshold)

    @abstractmethod
    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32 of being selected, in the mesh's vertex order.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser, continuous between; only where `nested`. Raises
        UserError for clicks that cannot be asked of this mesh.
        """

    def candidates(self, clicks: Clicks) -> Candidates:
        """The nested answers to clicks on vertices; see `probability` for errors."""
        return Candidates(self.probability(clicks)[None])

    def ladder(self, clicks: Clicks) -> Candidates:
        """What the clicks may mean, step by step from small to large: up to six nested answers, the default among them.

        Where a segmenter knows no more than its `candidates`, these. See `probability` for errors.
        """
        return self.candidates(clicks)

    def face_ladder(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """As `ladder`, for clicks on faces, on faces."""
        return self.face_candidates(faces, positive)

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(F,) float32 for clicks on faces (C,) int64 with signs (C,) bool."""
        found = self.face_candidates(faces, positive).probability
        return found[len(found) // 2]

    def face_candidates(self, faces: np.ndarray, positive: np.ndarray) -> Candidates:
        """The nested answers to clicks on faces, on faces."""
        found = self.candidates(self._face_clicks.on_vertices(faces, positive))
        return Candidates(self._face_clicks.on_faces(found.probability), found.quality)

    @cached_property
    def _face_clicks(self) -> FaceClicks:
        return FaceClicks(self.mesh)

    # --- parts without a click -------------------------------------------------------------------

    @property
    def part_tree(self) -> PartTree:
        """Nested parts of the whole mesh; UserError from segmenters that propose none."""
        raise UserError(f"the {self.label} proposes no parts: open the mesh with the prior")

    def parts(self, detail: float = DETAIL, count: int | None = None) -> Partition:
        """The whole mesh in parts, before any click: at a level of detail from 0 to 1, or so many.

        UserError for a detail outside of that, and for more parts than the mesh can be divided into.
        """
        tree = self.part_tree
        partition = Partition.of(tree, tree.cut(detail) if count is None else tree.cut_into(count))
        if count is not None and len(partition.parts) < count:
            raise UserError(
                f"only {len(partition.parts)} of {count} parts would hold a face of the mesh: ask for fewer"
            )
        return partition

    # --- learning --------------------------------------------------------------------------------

    def fine_tune(self, clicks: Clicks, others: Sequence[Clicks] = ()) -> bool:
        """Learn from clicks while answers to `others` stay; whether anything changed. Only where `learns`."""
        return False

    def undo_fine_tuning(self) -> bool:
        """Take the last `fine_tune` back; False if there was none."""
        return False


def answer_query(
    segmenter: Segmenter, query: QuerySettings, directory: str | Path, ready_seconds: float, renderer: str = "auto"
) -> Answer:
    """Answer a query of the command line: write its files into a folder, and say on the terminal what was done."""
    clicks = query.clicks.validate(segmenter.num_vertices)
    started = time.perf_counter()
    how = {"granularity": query.granularity, "threshold": query.threshold, "rung": query.rung}
    answer = segmenter.segment(clicks=clicks, **how)
    print(
        f"query: {1000 * (time.perf_counter() - started):.1f} ms for {len(clicks)} click{'s' * (len(clicks) != 1)} on "
        f"{segmenter.num_vertices} vertices ({segmenter.label}, ready after {ready_seconds:.1f} s)"
    )
    written = answer.save(directory, query.formats, replace(query, renderer=renderer))
    if query.hard:
        count = int(answer.selected.sum())
        print(f"selection: {count} of {segmenter.num_vertices} vertices above {answer.threshold:.3f}")
    for path in written:
        print(f"written: {path}")
    return answer
