"""PartNet: shapes with fine-grained parts, as point clouds in HDF5 and as the folders of the annotation.

K. Mo et al.: PartNet: A Large-Scale Benchmark for Fine-Grained and Hierarchical Part-Level 3D Object Understanding, CVPR 2019.

Written after the authors' repositories, by which all formats below were checked; the dataset itself was not at hand:

- daerduoCarey/partnet_dataset: the README for the folders; scripts/gen_h5_ins_seg_after_merging.py for `ins_seg_h5` and
  the columns of the text files, and for the ids that label points: those of the leaves in result.json;
  scripts/merge_result_json.py for result_after_merging.json (new ids, the old one as `ori_id`); issue 19: a shape's mesh
  is its parts' meshes put together; issue 26: some leaves have no points; issue 33: merging leaves some meshes out.
- daerduoCarey/partnet_seg_exps: exps/ins_seg_detection/prepare_train_val_data.py for `ins_seg_h5_for_detection`,
  exps/utils/prepare_gt_h5.py for `ins_seg_h5_gt`, exps/sem_seg_pointcnn/data_utils.py for `sem_seg_h5`; label 0 there is
  what belongs to no part of the level (erictuanle/GoingDeeperwPointNetworks#7).
- Genesis-Embodied-AI/Genesis: genesis/assets/urdf/3763 is a bottle of PartNet-Mobility, with the same two hierarchies and
  point files. Its normals point to either side of the surface, since ShapeNet's surfaces are often double.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from utils.errors import UserError
from utils.files import load_json
from utils.geometry.mesh import load_mesh

POINTS = "sample-points-all-pts-nor-rgba-10000.txt"
LABELS = "sample-points-all-label-10000.txt"
LEAVES, KINDS = ("pts", "label"), ("data", "label_seg")
LAYOUTS = (
    ("pts", "gt_mask", "gt_valid"),
    ("pts", "gt_mask", "gt_mask_valid"),
    LEAVES,
    KINDS,
)  # what tells the files apart
EXTRAS = ("nor", "data_num")  # those it may have besides
BLOCK = 32  # shapes read from HDF5 at a time: its compressed chunks span several, and 200 masks of a shape take 2 MB


@dataclass(frozen=True, eq=False)
class PartNetShape:
    """A labelled point cloud.

    name     the annotation's id; where an HDF5 has no list of them beside it, the file's name and the shape's number
    points   (N, 3) float32
    normals  (N, 3) float32, or None if the file has none
    labels   (N,) int64 part of each point, from 0; -1 in no part
    parts    the name of each label, from the root down ("chair/chair_back"); empty if the file does not say
    """

    name: str
    points: np.ndarray
    normals: np.ndarray | None
    labels: np.ndarray
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class PartNetMesh:
    """A labelled mesh.

    name      the annotation's id
    vertices  (V, 3) float64
    faces     (F, 3) int64
    labels    (F,) int64 part of each face, from 0; -1 in no part
    parts     the name of each label, from the root down
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    labels: np.ndarray
    parts: tuple[str, ...]


# --- HDF5 ---------------------------------------------------------------------------------------


def read_h5(path: str | Path, level: Collection[str] | None = None) -> Iterator[PartNetShape]:
    """The shapes of an HDF5 file of the release, in their order; which kind it is shows in the names of its datasets.

    ins_seg_h5                pts, label (nor)             a part is a leaf of the annotation, in the order of their ids;
                                                           with `level`, an instance of one of the parts so named
    ins_seg_h5_for_detection  pts, gt_mask, gt_valid       a part is a mask of the level that the file is for
    ins_seg_h5_gt             pts, gt_mask, gt_mask_valid  the same
    sem_seg_h5                data, label_seg (data_num)   a part is a kind of part, all instances of it together

    Labels of ins_seg_* count the parts that have points. `level` is for ins_seg_h5 alone, which holds every level: see
    `read_level`. The `.json` beside a file, which has the shapes' names, is used where it is there; `level` needs it.
    A point in two masks or instances is in the first. UserError comes with the first shape, or where a file is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no HDF5 file at {path}; give the path of one of PartNet's .h5 files")
    try:
        with h5py.File(path, "r") as file:
            layout = _layout(path, file)
            if level is not None and layout != LEAVES:
                raise UserError(f"{path} holds one level of parts only; choose levels from the files of ins_seg_h5")
            shapes = _check_sizes(path, file, layout)
            records = _records(path, shapes, needed=level is not None)
            for start in range(0, shapes, BLOCK):
                block = {name: file[name][start : start + BLOCK] for name in (*layout, *EXTRAS) if name in file}
                for row in range(len(block[layout[0]])):
                    index = start + row
                    record = records[index] if records else {}
                    name = str(record.get("anno_id", f"{path.stem}-{index}"))
                    yield _shape(path, name, layout, {key: values[row] for key, values in block.items()}, record, level)
    except (OSError, RuntimeError, KeyError) as error:  # what h5py raises for damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{path} is not a readable HDF5 file: {reason}; download it again") from error


def read_level(path: str | Path) -> list[str]:
    """Part names of a level, from a file such as stats/after_merging_label_ids/Chair-level-1.txt: number, name, type a line."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no level file at {path}; they are in stats/after_merging_label_ids/ of partnet_dataset")
    try:
        lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file; give a file such as Chair-level-1.txt") from error
    if not lines or not all(len(line) >= 2 and line[0].isdigit() for line in lines):
        raise UserError(
            f"{path} is not a list of parts (number and name on each line); give a file such as Chair-level-1.txt"
        )
    return [line[1] for line in lines]


def _layout(path: Path, file: h5py.File) -> tuple[str, ...]:
    for layout in LAYOUTS:
        if all(name in file for name in layout):
            return layout
    raise UserError(
        f"{path} has the datasets {', '.join(sorted(file)) or 'none'}; expected pts and label, pts, gt_mask and "
        "gt_valid (both ins_seg_h5), or data and label_seg (sem_seg_h5)"
    )


def _check_sizes(path: Path, file: h5py.File, layout: tuple[str, ...]) -> int:
    """The number of shapes, once all datasets are arrays of numbers that agree on it and on the number of points."""
    found = {name: file[name] for name in (*layout, *EXTRAS) if name in file}
    for name, data in found.items():
        if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
            raise UserError(f"{path}: {name} is not an array of numbers; download the file again")
    sizes = {name: data.shape for name, data in found.items()}
    points, target = layout[:2]
    if len(sizes[points]) != 3 or sizes[points][2] != 3 or 0 in sizes[points]:
        raise UserError(f"{path}: {points} has the shape {sizes[points]}; expected (shapes, points, 3)")
    shapes, count, _ = sizes[points]
    masks = sizes["gt_mask"][1:2] if "gt_mask" in layout else ()
    expected = {
        target: (shapes, *masks, count),
        "gt_valid": (shapes, *masks),
        "gt_mask_valid": (shapes, *masks),
        "nor": (shapes, count, 3),
        "data_num": (shapes,),
    }
    for name, size in sizes.items():
        if name != points and size != expected[name]:
            raise UserError(
                f"{path}: {name} has the shape {size}, which does not fit {points} of shape {sizes[points]}"
            )
    return shapes


def _records(path: Path, shapes: int, needed: bool) -> list[dict]:
    """What the list beside the file says of each shape; nothing if it is not there and not needed."""
    beside = path.with_suffix(".json")
    if not needed and not beside.is_file():
        return []
    records = load_json(beside, "list of shapes")
    if (
        not isinstance(records, list)
        or not all(isinstance(record, dict) for record in records)
        or len(records) != shapes
    ):
        raise UserError(f"{beside} is not the list of the {shapes} shapes in {path.name}; download both again")
    return records


def _shape(
    path: Path,
    name: str,
    layout: tuple[str, ...],
    values: dict[str, np.ndarray],
    record: dict,
    level: Collection[str] | None,
) -> PartNetShape:
    """One shape from its rows of the datasets."""
    points, target = _float32(values[layout[0]]), values[layout[1]]
    if not np.isfinite(points).all():
        raise UserError(f"{path}: shape {name} has a NaN or infinite coordinate; download the file again")
    parts: tuple[str, ...] = ()
    if layout == KINDS:
        labels = target.astype(np.int64) - 1
    elif layout != LEAVES:
        labels, _ = _first_of(target.astype(bool) & values[layout[2]].astype(bool)[:, None])
    elif level is None:
        labels = np.unique(target, return_inverse=True)[1].reshape(-1).astype(np.int64)
    else:
        instances = _instances(path, record, level)
        labels, used = _first_of(
            np.array([np.isin(target, leaves) for _, leaves in instances]).reshape(-1, len(target))
        )
        parts = tuple(instances[index][0] for index in used)
    count = int(values.get("data_num", len(points)))
    if not 0 < count <= len(points):
        raise UserError(f"{path}: shape {name} says it uses {count} of {len(points)} points; download the file again")
    normals = _float32(values["nor"][:count]) if "nor" in values else None
    return PartNetShape(name, points[:count], normals, labels[:count], parts)


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large is infinite, and reported as such
        return values.astype(np.float32)


def _first_of(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int64 labels from masks (K, N) bool: the first mask that has a point; and the masks (L,) that labels stand for."""
    if len(masks) == 0:
        return np.full(masks.shape[1], -1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first = np.where(masks.any(axis=0), masks.argmax(axis=0), -1)
    used = np.unique(first[first >= 0])
    return np.where(first >= 0, np.searchsorted(used, first), -1).astype(np.int64), used


def _instances(path: Path, record: dict, level: Collection[str]) -> list[tuple[str, list[int]]]:
    """Name and leaf ids of the instances whose part is in the level."""
    try:
        return [
            (part["part_name"], [int(leaf) for leaf in part["leaf_id_list"]])
            for part in record["ins_seg"]
            if part["part_name"] in level
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path.with_suffix('.json')} does not say which leaves a part has (ins_seg, part_name, leaf_id_list); "
            "download it again"
        ) from error


# --- folders of the annotation ------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A leaf of a hierarchy: its id, the id before merging, its name from the root down and its meshes."""

    id: int
    original: int | None
    name: str
    objs: tuple[str, ...]


def read_folder(folder: str | Path, merged: bool = False) -> PartNetShape:
    """The 10,000 labelled points of one shape's folder (`data/42`).

    A part is a leaf of result.json; with `merged`, of result_after_merging.json, whose parts have the names that all
    shapes of a category share. Parts without points keep their label. Points in no part have -1.
    """
    folder = Path(folder)
    leaves, parts, part_of = _parts(folder, merged)
    table = _float32(_numbers(folder / "point_sample" / POINTS, "point file", np.float64))
    ids = _numbers(folder / "point_sample" / LABELS, "label file", np.int64)
    if table.shape[1] != 3 and table.shape[1] < 6:
        raise UserError(
            f"{folder / 'point_sample' / POINTS} has {table.shape[1]} columns; expected x y z nx ny nz r g b a"
        )
    if ids.shape != (len(table), 1):
        raise UserError(
            f"{folder / 'point_sample' / LABELS} has {ids.size} labels for {len(table)} points; "
            "download the folder again"
        )
    if not np.isfinite(table).all():
        raise UserError(f"{folder / 'point_sample' / POINTS} has a NaN or infinite value; download the folder again")
    label = {leaf.id: part_of[index] for index, leaf in enumerate(leaves)}
    values, inverse = np.unique(ids, return_inverse=True)
    if not label.keys() & set(values.tolist()):
        raise UserError(
            f"{folder}: none of the labels {values[:5].tolist()} is a leaf of result.json; download the folder again"
        )
    labels = np.array([label.get(value, -1) for value in values.tolist()], dtype=np.int64)[inverse.reshape(-1)]
    normals = table[:, 3:6].copy() if table.shape[1] >= 6 else None
    return PartNetShape(folder.resolve().name, table[:, :3].copy(), normals, labels, tuple(part.name for part in parts))


def read_mesh(folder: str | Path, merged: bool = False) -> PartNetMesh:
    """The mesh of one shape's folder: the meshes of all leaves of result.json one after the other, none twice.

    Parts and labels are those of `read_folder`. Vertices are not shared between meshes.
    """
    folder = Path(folder)
    leaves, parts, part_of = _parts(folder, merged)
    owner: dict[str, int] = {}
    for index, leaf in enumerate(leaves):
        for obj in leaf.objs:
            owner.setdefault(obj, part_of[index])
    if not owner:
        raise UserError(f"{folder / 'result.json'} names no meshes (objs); download the folder again")
    vertices, faces, labels, count = [], [], [], 0
    for obj, part in owner.items():
        mesh = load_mesh(folder / "objs" / f"{obj}.obj")
        vertices.append(mesh.vertices)
        faces.append(mesh.faces + count)
        labels.append(np.full(mesh.num_faces, part, dtype=np.int64))
        count += mesh.num_vertices
    return PartNetMesh(
        folder.resolve().name,
        np.concatenate(vertices),
        np.concatenate(faces),
        np.concatenate(labels),
        tuple(part.name for part in parts),
    )


def _parts(folder: Path, merged: bool) -> tuple[list[_Part], list[_Part], list[int]]:
    """The leaves of result.json, the parts asked for, and the part that each leaf is in (-1: none)."""
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}; give the folder of one shape, which holds result.json, objs/ and point_sample/"
        )
    leaves, below = _hierarchy(folder / "result.json")
    if not merged:
        return leaves, leaves, list(range(len(leaves)))
    parts, _ = _hierarchy(folder / "result_after_merging.json")
    part_of = {}
    for index, part in enumerate(parts):
        if part.original not in below:
            raise UserError(
                f"{folder / 'result_after_merging.json'}: part {part.id} has the ori_id {part.original}, which "
                "result.json has not; download the folder again"
            )
        for leaf in below[part.original]:
            part_of.setdefault(leaf, index)
    return leaves, parts, [part_of.get(leaf.id, -1) for leaf in leaves]


def _hierarchy(path: Path) -> tuple[list[_Part], dict[int, list[int]]]:
    """The leaves in the file's order, and the leaf ids at or below each node."""
    roots = load_json(path, "part hierarchy")
    leaves: list[_Part] = []
    below: dict[int, list[int]] = {}

    def visit(node: dict, above: str) -> list[int]:
        name = f"{above}/{node['name']}" if above else str(node["name"])
        number, original = int(node["id"]), int(node["ori_id"]) if "ori_id" in node else None
        if number in below:
            raise UserError(f"{path} has two nodes with the id {number}; download the folder again")
        below[number] = []  # taken, for the nodes below too
        if node.get("children"):
            below[number] = [leaf for child in node["children"] for leaf in visit(child, name)]
        else:
            leaves.append(_Part(number, original, name, tuple(str(obj) for obj in node.get("objs", ()))))
            below[number] = [number]
        return below[number]

    try:
        for root in roots:
            visit(root, "")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is not a hierarchy of parts (id, name, children or objs); download the folder again"
        ) from error
    if not leaves:
        raise UserError(f"{path} has no parts; download the folder again")
    return leaves, below


def _numbers(path: Path, what: str, dtype: type) -> np.ndarray:
    """(N, C) numbers of a text file; C = 1 for one number a line."""
    if not path.is_file():
        raise UserError(f"no {what} at {path}; give a shape's folder as it was downloaded")
    try:
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        table = np.array(rows, dtype=dtype)
    except (ValueError, OverflowError) as error:  # UnicodeDecodeError is one
        raise UserError(f"{path} is not a table of numbers; download the folder again") from error
    if not rows:
        raise UserError(f"{path} is empty; download the folder again")
    return table
