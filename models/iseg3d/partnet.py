"""PartNet: shapes with fine-grained parts, as point clouds in HDF5 and as the folders of the annotation.

K. Mo et al.: PartNet: A Large-Scale Benchmark for Fine-Grained and Hierarchical Part-Level 3D Object Understanding,
CVPR 2019. Written after the authors' repositories, by which all formats below were checked; the dataset itself was not
at hand:

- daerduoCarey/partnet_dataset: the README for the folders; scripts/gen_h5_ins_seg_after_merging.py for `ins_seg_h5` and
  the columns of the text files, and for the ids that label points: those of the leaves in result.json; issue 26: some
  leaves have no points.
- daerduoCarey/partnet_seg_exps: exps/ins_seg_detection/prepare_train_val_data.py for `ins_seg_h5_for_detection`,
  exps/utils/prepare_gt_h5.py for `ins_seg_h5_gt`, exps/sem_seg_pointcnn/data_utils.py for `sem_seg_h5`; label 0 there
  is what belongs to no part of the level (erictuanle/GoingDeeperwPointNetworks#7).
- Genesis-Embodied-AI/Genesis: genesis/assets/urdf/3763 is a bottle of PartNet-Mobility with the same files. Its normals
  point to either side of the surface, since ShapeNet's surfaces are often double.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from utils.errors import UserError
from utils.files import load_json

POINTS = "sample-points-all-pts-nor-rgba-10000.txt"
LABELS = "sample-points-all-label-10000.txt"
LEAVES, KINDS = ("pts", "label"), ("data", "label_seg")
LAYOUTS = (("pts", "gt_mask", "gt_valid"), ("pts", "gt_mask", "gt_mask_valid"), LEAVES, KINDS)  # which tell files apart
EXTRAS = ("nor", "data_num")  # datasets that they may have besides
BLOCK = 32  # shapes read from HDF5 at a time: its compressed chunks span several, and 200 masks of a shape take 2 MB
AGAIN = "download the file again"


@dataclass(frozen=True, eq=False)
class PartNetShape:
    """A labelled point cloud.

    name     the annotation's id; where an HDF5 has no list of them beside it, the file's name and the shape's number
    points   (N, 3) float32
    normals  (N, 3) float32, or None if the file has none
    labels   (N,) int64 part of each point, from 0; -1 in no part
    """

    name: str
    points: np.ndarray
    normals: np.ndarray | None
    labels: np.ndarray


# --- HDF5 ---------------------------------------------------------------------------------------


def read_h5(path: str | Path) -> Iterator[PartNetShape]:
    """The shapes of an HDF5 file of the release, in their order; which kind it is shows in the names of its datasets.

    ins_seg_h5                pts, label (nor)             a part is a leaf of the annotation, in the order of their ids
    ins_seg_h5_for_detection  pts, gt_mask, gt_valid       a part is a mask of the level that the file is for
    ins_seg_h5_gt             pts, gt_mask, gt_mask_valid  the same
    sem_seg_h5                data, label_seg (data_num)   a part is a kind of part, all instances of it together

    Labels of ins_seg_* count the parts that have points; a point in two masks is in the first. The `.json` beside a
    file, which has the shapes' names, is used where it is there. UserError comes with the first shape, or where a file
    is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no HDF5 file at {path}; give the path of one of PartNet's .h5 files")
    try:
        with h5py.File(path, "r") as file:
            layout = _layout(path, file)
            found = _datasets(path, file, layout)
            shapes = len(found[layout[0]])
            names = _names(path, shapes)
            for start in range(0, shapes, BLOCK):
                block = {key: data[start : start + BLOCK] for key, data in found.items()}
                for row in range(len(block[layout[0]])):
                    values = {key: rows[row] for key, rows in block.items()}
                    yield _shape(path, names[start + row], layout, values)
    except (OSError, RuntimeError, KeyError) as error:  # what h5py raises for damaged files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise UserError(f"{path} is not a readable HDF5 file: {reason}; download it again") from error


def _layout(path: Path, file: h5py.File) -> tuple[str, ...]:
    for layout in LAYOUTS:
        if all(name in file for name in layout):
            return layout
    raise UserError(
        f"{path} has the datasets {', '.join(sorted(file)) or 'none'}; expected pts and label, pts, gt_mask and "
        "gt_valid (both ins_seg_h5), or data and label_seg (sem_seg_h5)"
    )


def _datasets(path: Path, file: h5py.File, layout: tuple[str, ...]) -> dict[str, h5py.Dataset]:
    """Those that are read, which are arrays of numbers and agree on the numbers of shapes and of points."""
    found: dict[str, h5py.Dataset] = {}
    for name in (*layout, *EXTRAS):
        if name in file:
            data = file[name]
            if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
                raise UserError(f"{path}: {name} is not an array of numbers; {AGAIN}")
            found[name] = data
    sizes = {name: data.shape for name, data in found.items()}
    points, target = layout[:2]
    if len(sizes[points]) != 3 or sizes[points][2] != 3 or 0 in sizes[points]:
        raise UserError(f"{path}: {points} has the shape {sizes[points]}; expected (shapes, points, 3)")
    shapes, count, _ = sizes[points]
    masks = sizes["gt_mask"][1:2] if "gt_mask" in layout else ()
    valid = (shapes, *masks)
    expected = {"gt_valid": valid, "gt_mask_valid": valid, "nor": (shapes, count, 3), "data_num": (shapes,)}
    expected |= {points: sizes[points], target: (shapes, *masks, count)}
    for name, size in sizes.items():
        if size != expected[name]:
            raise UserError(
                f"{path}: {name} has the shape {size}, which does not fit {points} of shape {sizes[points]}"
            )
    return found


def _names(path: Path, shapes: int) -> list[str]:
    """The annotations' ids, of which there is a list beside the file, or the file's name with numbers."""
    beside = path.with_suffix(".json")
    records = load_json(beside, "list of shapes") if beside.is_file() else [{}] * shapes
    listed = isinstance(records, list) and all(isinstance(record, dict) for record in records)
    if not listed or len(records) != shapes:
        raise UserError(f"{beside} is not the list of the {shapes} shapes in {path.name}; download both again")
    return [str(record.get("anno_id", f"{path.stem}-{index}")) for index, record in enumerate(records)]


def _shape(path: Path, name: str, layout: tuple[str, ...], values: dict[str, np.ndarray]) -> PartNetShape:
    """One shape from its rows of the datasets."""
    points, target = _float32(values[layout[0]]), values[layout[1]]
    if not np.isfinite(points).all():
        raise UserError(f"{path}: shape {name} has a NaN or infinite coordinate; {AGAIN}")
    if layout == KINDS:
        labels = target.astype(np.int64) - 1
    elif layout == LEAVES:
        labels = np.unique(target, return_inverse=True)[1].reshape(-1).astype(np.int64)
    else:
        masks = target.astype(bool) & values[layout[2]].astype(bool)[:, None]
        first = np.where(masks.any(axis=0), masks.argmax(axis=0), -1)
        labels = np.where(first >= 0, np.searchsorted(np.unique(first[first >= 0]), first), -1).astype(np.int64)
    count = int(values.get("data_num", len(points)))
    if not 0 < count <= len(points):
        raise UserError(f"{path}: shape {name} says it uses {count} of {len(points)} points; {AGAIN}")
    normals = _float32(values["nor"][:count]) if "nor" in values else None
    return PartNetShape(name, points[:count], normals, labels[:count])


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large is infinite, and reported as such
        return values.astype(np.float32)


# --- folders of the annotation ------------------------------------------------------------------


def read_folder(folder: str | Path) -> PartNetShape:
    """The 10,000 labelled points of one shape's folder (`data/42`).

    A part is a leaf of result.json, in the file's order; leaves without points keep their number. Points in no leaf
    have -1.
    """
    folder, again = Path(folder), "download the folder again"
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}; give the folder of one shape, which holds result.json, objs/ and point_sample/"
        )
    leaves = _leaves(folder / "result.json")
    files = [folder / "point_sample" / name for name in (POINTS, LABELS)]
    table = _float32(_numbers(files[0], "point file", np.float64))
    ids = _numbers(files[1], "label file", np.int64)
    if table.shape[1] != 3 and table.shape[1] < 6:
        raise UserError(f"{files[0]} has {table.shape[1]} columns; expected x y z nx ny nz r g b a")
    if ids.shape != (len(table), 1):
        raise UserError(f"{files[1]} has {ids.size} labels for {len(table)} points; {again}")
    if not np.isfinite(table).all():
        raise UserError(f"{files[0]} has a NaN or infinite value; {again}")
    values, inverse = np.unique(ids, return_inverse=True)
    label = {leaf: index for index, leaf in enumerate(leaves)}
    if not label.keys() & set(values.tolist()):
        raise UserError(f"{folder}: none of the labels {values[:5].tolist()} is a leaf of result.json; {again}")
    labels = np.array([label.get(value, -1) for value in values.tolist()], dtype=np.int64)[inverse.reshape(-1)]
    normals = table[:, 3:6].copy() if table.shape[1] >= 6 else None
    return PartNetShape(folder.resolve().name, table[:, :3].copy(), normals, labels)


def _leaves(path: Path) -> list[int]:
    """The ids of a hierarchy's leaves, in the file's order."""
    leaves: list[int] = []
    seen: set[int] = set()

    def visit(node: dict[str, Any]) -> None:
        number = int(node["id"])
        if number in seen:
            raise UserError(f"{path} has two nodes with the id {number}; download the folder again")
        seen.add(number)
        for child in node.get("children") or ():
            visit(child)
        if not node.get("children"):
            leaves.append(number)

    try:
        for root in load_json(path, "part hierarchy"):
            visit(root)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a hierarchy of parts (id, children); download the folder again") from error
    if not leaves:
        raise UserError(f"{path} has no parts; download the folder again")
    return leaves


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
