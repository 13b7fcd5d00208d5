"""A query of iSeg3D on the command line: clicks and scribbles on any mesh, with fine-tuning on wish (Sec. 3.2-3.4)."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from models.iseg3d.annotation import AnnotationSettings
from models.iseg3d.online import FineTuning
from models.iseg3d.segmenter import Iseg3dSegmenter
from models.points.clouds import POINTS
from models.points.embedding import WEIGHTS
from utils.device import choose_device
from utils.errors import UserError
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import BACKENDS, SEED, option
from utils.output.query import QuerySettings
from utils.segmenter import answer_query


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(QuerySettings):
    """The mesh, the network, and how clicks become a selection; seed: of the points on the mesh."""

    obj_path: Path | None = option(None, "the mesh: OBJ, PLY, OFF, STL or GLB", group="test: the mesh", metavar="FILE")
    weights: Path = option(WEIGHTS, "network that --mode train exported")
    points: int = option(POINTS, "sampled on the mesh", within="[64, 1000000]")
    renderer: str = option("auto", "of the pictures; auto: kaolin with CUDA, else embree", choices=BACKENDS)
    scribble: tuple[int, ...] = option(
        (),
        "exclude what lies along a line through these vertices, drawn on the surface: a dense set of negative clicks",
        group="annotation",
        metavar="ID",
    )
    radius: float = option(
        AnnotationSettings.radius, "of a positive click in the embedding (Eq. 7)", within="(0, 1000]"
    )
    outlier_removal: bool = option(True, "Algorithm 1")
    smoothing: bool = option(True, "Algorithm 2")
    fine_tune: int = option(
        0, "of online fine-tuning by the clicks before answering (Eq. 9)", within="[0, 100000]", metavar="STEPS"
    )
    seed: int = option(0, "of the points on the mesh", within=SEED, group="options")
    device: str = option("auto", "auto, cpu or cuda")
    save_dir: Path | None = option(None, "of the answers, default experiments/NAME/iseg3d")

    @property
    def annotation(self) -> AnnotationSettings:
        """The printed values, but for what is chosen here."""
        degree = AnnotationSettings.degree if self.outlier_removal else 0
        rounds = AnnotationSettings.smooth_rounds if self.smoothing else 0
        return AnnotationSettings(self.radius, degree=degree, smooth_rounds=rounds)


def answer(settings: AnswerSettings) -> None:
    """Answer one set of clicks and write what it selects. Raises UserError for clicks that cannot be asked."""
    if settings.obj_path is None:
        raise UserError("name the mesh: --obj_path FILE")
    mesh = load_mesh(settings.obj_path)
    asked = settings.clicks
    line = along_surface(mesh, settings.scribble) if settings.scribble else []
    query = replace(
        settings,
        select_vertices=(),
        positive_vertices=tuple(asked.positives.tolist()),
        negative_vertices=(*asked.negatives.tolist(), *line),
    )
    clicks = query.clicks.validate(mesh.num_vertices)
    started = time.perf_counter()
    device = choose_device(settings.device)
    segmenter = Iseg3dSegmenter(mesh, settings.weights, device, settings.points, settings.seed, settings.annotation)
    ready = time.perf_counter()
    if settings.fine_tune:
        tuned = segmenter.fine_tune(clicks, settings=FineTuning(steps=settings.fine_tune))
        said = (
            f"fine-tuned in {time.perf_counter() - ready:.1f} s"
            if tuned
            else "not fine-tuned: no negative click, or all of them are far enough from the positive ones already"
        )
        print(said, file=sys.stderr)
    directory = settings.save_dir or Path("experiments") / settings.obj_path.stem / "iseg3d"
    answer_query(segmenter, query, directory, ready - started, settings.renderer)


def along_surface(mesh: Mesh, vertices: Sequence[int]) -> list[int]:
    """A scribble: the vertices on the shortest paths along edges from each of `vertices` to the next, each once.

    UserError for ids out of range, and for vertices that no path joins.
    """
    for vertex in vertices:
        if not 0 <= vertex < mesh.num_vertices:
            raise UserError(
                f"--scribble: vertex {vertex} does not exist; the mesh has vertices 0 to {mesh.num_vertices - 1}"
            )
    line, edges = [vertices[0]], mesh.edges
    length = np.linalg.norm(mesh.normalized[edges[:, 0]].astype(np.float64) - mesh.normalized[edges[:, 1]], axis=1)
    graph = sp.coo_matrix((np.maximum(length, 1e-12), edges.T), shape=(mesh.num_vertices,) * 2).tocsr()
    for here, end in itertools.pairwise(vertices):
        before = dijkstra(graph, directed=False, indices=end, return_predecessors=True)[1]
        while here != end:
            here = int(before[here])
            if here < 0:
                raise UserError(
                    f"--scribble: no path on the surface joins vertices {line[-1]} and {end}; draw on one piece"
                )
            line.append(here)
    return list(dict.fromkeys(line))
