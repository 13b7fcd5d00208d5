"""A partition of a mesh as files: labels, parts as GLB and OBJ, the tree, and a picture."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import save_json, save_npz
from utils.geometry.cutting import CutMesh, cap_parts, cut_smooth
from utils.geometry.mesh import Mesh
from utils.geometry.part_tree import FINEST, Partition
from utils.geometry.textures import Textures, read_textures
from utils.output.export import BASE_COLOR
from utils.output.parts import REST, Labelling, save_glb, save_obj, save_seg
from utils.rendering.rasterize import Rasterizer

CUTS, CLOSINGS = ("faces", "smooth"), ("open", "caps")


@dataclass(frozen=True, eq=False)
class NamedParts:
    """A partition whose parts are numbered from 1 by area, the largest first, as people see it.

    labels  (F,) int64 place of each triangle's part, 0 to P - 1; polygons are whole
    parts, areas, agreements, vertices   of each: nodes of the tree, share of the surface, and what `NodeInfo` says
    """

    mesh: Mesh
    partition: Partition
    labels: np.ndarray
    parts: list[tuple[int, ...]]
    areas: list[float]
    agreements: list[float]
    vertices: list[int]

    @classmethod
    def of(cls, mesh: Mesh, partition: Partition) -> NamedParts:
        labels = partition.on_polygons(mesh)
        area = np.bincount(labels, mesh.face_areas, len(partition.parts)) / mesh.face_areas.sum()
        used = [place for place in np.argsort(-area, kind="stable").tolist() if (labels == place).any()]
        number = np.zeros(len(partition.parts), dtype=np.int64)
        number[used] = np.arange(len(used))
        parts = [partition.parts[place] for place in used]
        infos = [[partition.tree.info(node) for node in part] for part in parts]
        agreements = [float(np.average([i.agreement for i in each], weights=[i.area for i in each])) for each in infos]
        inmost = [max(each, key=lambda info: info.area).vertex for each in infos]
        return cls(mesh, partition, number[labels], parts, area[used].tolist(), agreements, inmost)

    @property
    def names(self) -> list[str]:
        return [f"part {number}" for number in range(1, len(self.parts) + 1)]

    def labelling(self, labels: np.ndarray) -> Labelling:
        """Of triangles (F',) with places of parts: part k is number k + 1, nothing is the rest."""
        colors = [part_color(place) for place in range(len(self.parts))]
        return Labelling(labels.astype(np.int32) + 1, [REST, *self.names], [BASE_COLOR, *colors])


def part_color(place: int) -> tuple[float, float, float]:
    """RGB of a part; neighbouring numbers are a golden-ratio turn of the hue apart."""
    return colorsys.hsv_to_rgb((0.58 + 0.618034 * place) % 1.0, (0.6, 0.4, 0.8)[place % 3], 0.92)


def save_partition(
    directory: str | Path,
    mesh: Mesh,
    partition: Partition,
    cut: str = "faces",
    close: str = "open",
    renderer: str = "auto",
) -> list[Path]:
    """Write a partition into a folder; returns the paths.

    labels.seg, labels.npz   part of each polygon of the file, from 1: always along the faces
    parts.glb, parts.obj     named parts; `cut` "smooth" draws their borders across the triangles, `close` "caps" closes
                             the holes that parts leave in each other
    parts.png, tree.json     a picture, and the nested parts that this is one cut of
    """
    if cut not in CUTS or close not in CLOSINGS:
        raise UserError(f"cut is one of {', '.join(CUTS)}; close one of {', '.join(CLOSINGS)}")
    named, folder = NamedParts.of(mesh, partition), Path(directory)
    labelling = named.labelling(named.labels)
    save_seg(folder / "labels.seg", mesh, labelling)
    arrays = {"labels": labelling.polygons(mesh), "area": np.array(named.areas), "vertex": np.array(named.vertices)}
    save_npz(folder / "labels.npz", **arrays, agreement=np.array(named.agreements))
    save_json(folder / "tree.json", tree_record(named))
    shown, labels, textures = mesh, named.labels, read_textures(mesh)
    if cut == "smooth":
        found = cut_smooth(mesh, labels, partition.tree.membership(named.parts))
        shown, labels, textures = found.mesh, found.labels, cut_textures(mesh, found, textures)
    save_picture(folder / "parts.png", shown, named, labels, renderer)
    if close == "caps":
        closed, of_caps = cap_parts(shown, labels)
        textures = textures and with_plain_polygons(textures, closed, shown)
        shown, labels = closed, of_caps
    written = save_glb(folder / "parts.glb", shown, named.labelling(labels), textures=textures)
    written += save_obj(folder / "parts.obj", shown, named.labelling(labels), textures=textures)
    return [*(folder / name for name in ("labels.seg", "labels.npz", "parts.png", "tree.json")), *written]


def tree_record(named: NamedParts) -> dict:
    """The tree as plain values: every node down to the finest cut and to the parts, by number, and the parts."""
    tree = named.partition.tree
    root, shown, waiting = 2 * tree.num_leaves - 2, [], [2 * tree.num_leaves - 2]
    wanted = {node for part in named.parts for node in part}
    above = {root}
    for node in range(root, tree.num_leaves - 1, -1):  # ancestors of the parts, from the top
        if any(leaf in wanted for leaf in tree.children_of(node)):
            above.add(node)
    while waiting:
        node = waiting.pop()
        shown.append(node)
        if node >= tree.num_leaves and (node in above or tree.heights[node - tree.num_leaves] > FINEST):
            waiting += tree.children_of(node)
    nodes = {}
    for node in sorted(shown):
        info = tree.info(node)
        nodes[str(node)] = {
            "area": info.area,
            "agreement": info.agreement,
            "vertex": info.vertex,
            "children": [child for child in info.children if child in shown],
            "height": float(tree.heights[node - tree.num_leaves]) if node >= tree.num_leaves else 0.0,
        }
    parts = [
        {"name": name, "nodes": list(part), "area": area, "agreement": agreement, "vertex": vertex}
        for name, part, area, agreement, vertex in zip(
            named.names, named.parts, named.areas, named.agreements, named.vertices
        )
    ]
    return {"root": root, "parts": parts, "nodes": nodes}


def cut_textures(mesh: Mesh, cut: CutMesh, textures: Textures | None) -> Textures | None:
    """What decorates the triangles of a cut mesh: texture coordinates and colours in between are interpolated."""
    if textures is None:
        return None
    parent, opens = cut.parent, cut.mesh.opens_polygon
    of_polygon = mesh.face_polygon[parent[opens]].tolist()
    named = {
        key: [getattr(textures, key)[p] for p in of_polygon]
        for key in ("materials", "groups")
        if getattr(textures, key)
    }
    changes: dict = {"lines": [], "normal_lines": [], "normal_corners": [], **named}
    if textures.colors is not None:
        colors = np.zeros((cut.mesh.num_vertices, 3))
        of_corners = np.einsum("fij,fjk->fik", cut.weights, textures.colors[mesh.faces[parent]])
        colors[cut.mesh.faces.ravel()] = of_corners.reshape(-1, 3)
        colors[: mesh.num_vertices] = textures.colors
        changes["colors"] = colors
    if len(textures.coordinates):
        ids = textures.of_triangles(mesh)[parent]
        there = (ids >= 0).all(axis=1)
        points = np.einsum("fij,fjk->fik", cut.weights, textures.coordinates[np.maximum(ids, 0)])
        known, number = np.unique(points[there].reshape(-1, 2), axis=0, return_inverse=True)
        of_triangle = np.full((len(parent), 3), -1, dtype=np.int64)
        of_triangle[there] = number.reshape(-1, 3)
        corners: list[list[int]] = [[] for _ in range(cut.mesh.num_polygons)]
        for polygon, opening, each in zip(cut.mesh.face_polygon.tolist(), opens.tolist(), of_triangle.tolist()):
            corners[polygon].extend(each if opening else each[2:])
        changes |= {"coordinates": known, "corners": corners}
    return replace(textures, **changes)


def with_plain_polygons(textures: Textures, closed: Mesh, before: Mesh) -> Textures:
    """The same where polygons of three corners and vertices were added at the end: they are not decorated."""
    count = closed.num_polygons - before.num_polygons
    changes: dict = {
        key: [*getattr(textures, key), *[""] * count] for key in ("materials", "groups") if getattr(textures, key)
    }
    for key in ("corners", "normal_corners"):
        if getattr(textures, key):
            changes[key] = [*getattr(textures, key), *[[-1, -1, -1]] * count]
    if textures.colors is not None:
        extra = closed.num_vertices - before.num_vertices
        changes["colors"] = np.concatenate([textures.colors, np.full((extra, 3), 0.7)])
    return replace(textures, **changes)


def save_picture(path: Path, shown: Mesh, named: NamedParts, labels: np.ndarray, renderer: str = "auto") -> None:
    """Draw the parts in their colours from four sides; labels (F,) of the triangles of the mesh that is shown."""
    from utils.output.figures import save_parts_picture  # labels need no matplotlib

    colors = np.array([part_color(place) for place in range(len(named.parts))], dtype=np.float32)
    words = [f"{name}: {area:.0%}" for name, area in zip(named.names, named.areas)]
    save_parts_picture(path, Rasterizer(shown, renderer), colors[labels], colors, words)
