"""The meshes of the figures: one table names them, and where each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from utils.errors import UserError
from utils.evaluation.psb import Part, UnusableShape, load_shape, wanted_parts
from utils.files import load_json
from utils.geometry.face_clicks import FaceClicks
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import FORMATS, Mesh, load_mesh
from utils.output.panels import MeshPictures
from utils.shapes.paper import PAPER_SHAPES
from utils.shapes.samples import SAMPLES, Sample, make_sample, save_sample

MESHES = Path(__file__).resolve().parents[2] / "meshes"
LEAST_SHARE = 0.01  # of the area; smaller parts are not asked for


@dataclass(frozen=True, eq=False)
class Wish:
    """What a click on a part may mean: the part, or the group of parts that it belongs to.

    part, group  (F,) bool; group equals part where the part is a group of its own
    """

    name: str
    group_name: str
    label: int
    part: np.ndarray
    group: np.ndarray


@dataclass(frozen=True, eq=False)
class Subject:
    """A mesh of the figures with its parts.

    labels  (F,) int64 part of each face, or None where no .seg file lies beside the mesh
    names   of parts and groups; group_of_part (P,)
    view    elevation and azimuth, degrees, of the paper-like view; None: chosen by what it shows
    """

    name: str
    mesh: Mesh
    kind: str = ""
    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    group_of_part: tuple[int, ...] = ()
    view: tuple[float, float] | None = None

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.name.removesuffix("_small").replace("_", " ")

    @cached_property
    def graph(self) -> FaceGraph:
        return FaceGraph(self.mesh)

    @cached_property
    def areas(self) -> np.ndarray:
        """(F,) normalised areas."""
        return self.mesh.face_areas

    @cached_property
    def pictures(self) -> MeshPictures:
        return MeshPictures(self.mesh)

    @cached_property
    def face_clicks(self) -> FaceClicks:
        return FaceClicks(self.mesh)

    @cached_property
    def wishes(self) -> list[Wish]:
        """The parts of at least 1 % of the area with the groups that they belong to; UserError without labels."""
        if self.labels is None:
            raise UserError(
                f"{self.mesh.path} has no part labels: put a {self.name}.seg beside it (a part's number a face, a line "
                "each), or give the figure another mesh in scripts/figures/meshes.json"
            )
        parts, _ = wanted_parts(self.labels, self.areas, LEAST_SHARE)
        return [self._wish(part) for part in parts]

    def _wish(self, part: Part) -> Wish:
        group = self.group_of_part[part.label]
        members = [label for label, own in enumerate(self.group_of_part) if own == group]
        name, group_name = self.names[part.label], self.groups[group]
        return Wish(name, group_name, part.label, part.mask, np.isin(np.asarray(self.labels), members))

    def wish(self, name: str) -> Wish:
        """Of the part of a name; UserError if there is none."""
        found = [wish for wish in self.wishes if wish.name == name]
        if not found:
            there = ", ".join(wish.name for wish in self.wishes)
            raise UserError(f"{self.name} has no part '{name}' of at least 1 % of its area; it has {there}")
        return found[0]

    def innermost(self, region: np.ndarray) -> int:
        """The face (F,) bool farthest inside a region."""
        faces = np.flatnonzero(region)
        return int(faces[np.argmax(self.graph.depth_inside(region)[faces])])

    def vertex(self, face: int) -> int:
        """The vertex that stands for a clicked face."""
        return int(self.face_clicks.corners[face, 0])


@dataclass(frozen=True)
class Table:
    """The table of figures and meshes, scripts/figures/meshes.json.

    subjects  name -> where it comes from: "sample" (of meshes/), "paper" (made by utils/shapes/paper.py), or "remade"
              (a sample made anew with so many "vertices"); its "kind"; its "view", degrees of elevation and azimuth
    figures   figure -> names of its meshes; "quick" holds those of a quick run
    """

    path: Path
    subjects: dict[str, dict[str, Any]]
    figures: dict[str, list[str]]
    quick: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Table:
        """UserError where the table does not say where a mesh comes from."""
        held = load_json(path, "table of figures and meshes", dict)
        if not all(isinstance(held.get(key), dict) for key in ("subjects", "figures", "quick")):
            raise UserError(f"{path} needs 'subjects', 'figures' and 'quick'; restore it with git checkout")
        return cls(path, held["subjects"], held["figures"], held["quick"])

    def of(self, figure: str, quick: bool) -> list[str]:
        """Names of the meshes of a figure."""
        names = (self.quick if quick and figure in self.quick else self.figures).get(figure, [])
        return list(names)


def open_subject(name: str, table: Table, mesh_dir: Path | None, made_dir: Path) -> Subject:
    """The mesh of a name: of the person's folder if it is there, else as the table says; made ones are kept in
    `made_dir`. UserError names the file that is missing, and the table."""
    entry = table.subjects.get(name, {})
    path = _own(name, mesh_dir) or _made(name, entry, table, mesh_dir, made_dir)
    mesh = load_mesh(path)
    view = entry.get("view")
    labels, names, groups, group_of_part = _labels(path)
    found = (labels, tuple(names), tuple(groups), tuple(group_of_part))
    return Subject(name, mesh, entry.get("kind", ""), *found, tuple(view) if view else None)


def _own(name: str, mesh_dir: Path | None) -> Path | None:
    """The file of that name in a person's folder."""
    if mesh_dir is None:
        return None
    if not mesh_dir.is_dir():
        raise UserError(f"--mesh_dir {mesh_dir} is no folder; give one with meshes named as in the table of meshes")
    return next((path for ending in FORMATS if (path := mesh_dir / f"{name}{ending}").is_file()), None)


def _made(name: str, entry: dict[str, Any], table: Table, mesh_dir: Path | None, made_dir: Path) -> Path:
    source = entry.get("source")
    sample: Sample | None = {"sample": SAMPLES, "paper": PAPER_SHAPES, "remade": SAMPLES}.get(str(source), {}).get(
        entry.get("of", name)
    )
    if sample is None or (source == "sample" and not (MESHES / f"{name}.obj").is_file()):
        where = mesh_dir or MESHES
        raise UserError(
            f"no mesh {where / name}.obj; put it there (with {name}.seg where parts are needed), or change "
            f"'{name}' in {table.path}"
        )
    if source == "sample":
        return MESHES / f"{name}.obj"
    path = made_dir / f"{name}.obj"
    # The names are written last: without them an interrupted run has not finished.
    if not path.with_suffix(".json").is_file():
        if "vertices" in entry:
            sample = Sample(sample.recipe, int(entry["vertices"]), sample.adaptivity)
        save_sample(made_dir, name, make_sample(sample, name))
    return path


def _labels(path: Path) -> tuple[np.ndarray | None, Sequence[str], Sequence[str], Sequence[int]]:
    """Part of each face, names of parts and groups, group of each part; None and nothing without a .seg file."""
    if not path.with_suffix(".seg").is_file():
        return None, (), (), ()
    try:
        shape = load_shape(path.parent, path.stem, "") if path.suffix == ".obj" else None
    except UnusableShape as reason:
        raise UserError(f"{path.with_suffix('.seg')}: {reason}") from reason
    if shape is None:
        raise UserError(f"{path}: part labels are read beside .obj files only; export the mesh as OBJ")
    labels = shape.segmentations[0]
    count = int(labels.max()) + 1
    if path.with_suffix(".json").is_file():
        held = load_json(path.with_suffix(".json"), "part names", dict)
        if len(held.get("parts", ())) >= count and len(held.get("group_of_part", ())) == len(held["parts"]):
            return labels, held["parts"], held["groups"], held["group_of_part"]
    names = [f"part {label}" for label in range(count)]
    return labels, names, names, range(count)
