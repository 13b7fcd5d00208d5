"""What can be done with every mesh of a collection: one class a work, made once in every worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from models.collection.manifest import Entry, fetched
from models.iseg3d import segmenter as iseg3d
from models.open import open_segmenter
from models.points.embedding import WEIGHTS as POINT_WEIGHTS
from models.prior import segmenter as prior
from models.prior.parts import PARTS_VERSION
from utils.clicks import Clicks
from utils.device import choose_device
from utils.errors import UserError
from utils.files import Recent, digest, json_line
from utils.geometry.mesh import Mesh, load_mesh
from utils.geometry.part_tree import DETAIL, FINEST, PartTree
from utils.output.partition import NamedParts
from utils.segmenter import Segmenter
from utils.viewer.folder import OutputFolder


class MeshWork(ABC):
    """Reads the mesh of an entry, and finds something of it.

    device  of the networks; seed: of what is sampled
    """

    def __init__(self, device: str = "cpu", seed: int = 0) -> None:
        self.device, self.seed = str(choose_device(device)), seed

    def __call__(self, entry: Entry) -> dict[str, Any]:
        with fetched(entry.path) as local:
            try:
                mesh = load_mesh(local)
                about = {"mesh": mesh.digest, "vertices": mesh.num_vertices, "faces": mesh.num_polygons}
                return about | self.find(mesh, entry.clicks)
            except UserError as error:
                raise UserError(str(error).replace(str(local), entry.path)) from error

    @abstractmethod
    def find(self, mesh: Mesh, clicks: str) -> dict[str, Any]:
        """Columns of `rows.COLUMNS`."""


class Parts(MeshWork):
    """The automatic partition. labels: of the file's polygons, from 1, as `scripts/parts.py` writes them; quality: the
    agreement of each part; ladder: the same polygons in the finest pieces; tree: how those join (`joins`)."""

    def __init__(self, detail: float = DETAIL, count: int | None = None, **how: Any) -> None:
        super().__init__(**how)
        self.detail, self.count = detail, count

    def find(self, mesh: Mesh, clicks: str) -> dict[str, Any]:
        segmenter = open_segmenter(mesh, "prior", device=self.device)
        named = NamedParts.of(mesh, segmenter.parts(self.detail, self.count))
        pieces = NamedParts.of(mesh, segmenter.parts(1.0))
        return {
            "parts": len(named.parts),
            "labels": named.labelling(named.labels).polygons(mesh),
            "ladder": pieces.labelling(pieces.labels).polygons(mesh),
            "quality": [round(float(value), 4) for value in named.agreements],
            "tree": json_line(joins(segmenter.part_tree, [part[0] for part in pieces.parts])),
        }


def joins(tree: PartTree, pieces: list[int]) -> list[tuple[int, int, float]]:
    """How pieces 1 to P, nodes of the tree, become one: join k is of two numbers at a height, and has number P + k."""
    number = {node: place for place, node in enumerate(pieces, start=1)}
    found: list[tuple[int, int, float]] = []
    for place in np.flatnonzero(tree.heights > FINEST).tolist():
        first, second = (number.get(node) for node in tree.children_of(tree.num_leaves + place))
        if first is None or second is None:  # no polygon is large enough for one of them
            number |= {tree.num_leaves + place: first or second} if first or second else {}
            continue
        found.append((first, second, round(float(tree.heights[place]), 4)))
        number[tree.num_leaves + place] = len(pieces) + len(found)
    return found


class Answers(MeshWork):
    """Answers to the clicks of the manifest. labels: 1 for the selected vertices of the file; ladder: in how many of
    the nested answers each is; rung: which of them is the answer, from 0; quality: the IoU expected of each."""

    def __init__(self, kind: str = "prior", **how: Any) -> None:
        super().__init__(**how)
        self.kind = kind
        self._held: Recent[Segmenter] = Recent(1)  # lines of one mesh come one after another

    def find(self, mesh: Mesh, clicks: str) -> dict[str, Any]:
        asked = Clicks.from_signed(clicks.split()).validate(mesh.num_vertices)
        segmenter = self._held.get(
            mesh.digest, lambda: open_segmenter(mesh, self.kind, device=self.device, seed=self.seed)
        )
        answer, ladder = segmenter.segment(clicks=asked), segmenter.ladder(asked)
        return {
            "labels": answer.selected,
            "ladder": (ladder.probability > answer.threshold).sum(axis=0),
            "rung": ladder.middle,
            "quality": None if ladder.quality is None else [round(float(value), 4) for value in ladder.quality],
        }


class Ready(MeshWork):
    """Caches, so that the page opens a mesh at once: `interactive.py --out_dir OUT/ready`."""

    def __init__(self, folder: str, **how: Any) -> None:
        super().__init__(**how)
        self.folder = OutputFolder(folder)

    def find(self, mesh: Mesh, clicks: str) -> dict[str, Any]:
        open_segmenter(
            mesh, "prior", device=self.device, cache_dir=self.folder.path(Path(mesh.path or "mesh").stem, "prior")
        )
        return {}


WORKS: dict[str, Callable[..., MeshWork]] = {
    "parts": Parts,
    "answers": Answers,
    "ready": Ready,
    "instant": lambda **how: Answers(kind="instant", **how),
}


def make(work: str, **how: Any) -> MeshWork:
    """The work of a name; how: its arguments."""
    return WORKS[work](**how)


def identity(work: str) -> str:
    """What the answers of a work depend on besides its settings."""
    if work == "instant":
        return digest(iseg3d.WEIGHTS.read_bytes())
    weights = digest(prior.WEIGHTS.read_bytes(), POINT_WEIGHTS.read_bytes())
    return f"{prior.ANSWERS_VERSION} {PARTS_VERSION} {weights}"
