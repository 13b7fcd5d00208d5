"""Readers of ABC and PartNet, on small files in the formats of the two datasets."""

import copy
import itertools
import json

import h5py
import numpy as np
import pytest
import yaml

from models.iseg3d.abc import read_model, read_repository
from models.iseg3d.partnet import read_folder, read_h5
from utils.errors import UserError

# --- ABC ----------------------------------------------------------------------------------------

ABC_NAME = "00000050_80d90bfdd2e74e709956122a"
SIDES = 6  # of the cylinder


def abc_model():
    """A cube of side 2 with a cylinder on top: vertices, and the faces of each surface with its type."""
    cube = np.array([[x, y, z] for z in (0, 2) for y in (0, 2) for x in (0, 2)], dtype=float)
    quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
    surfaces = [("Plane", [(a, b, c), (a, c, d)]) for a, b, c, d in quads]
    angles = 2 * np.pi * np.arange(SIDES) / SIDES
    ring = np.stack([1 + 0.5 * np.cos(angles), 1 + 0.5 * np.sin(angles)], axis=1)
    rings = [np.column_stack([ring, np.full(SIDES, z)]) for z in (2.0, 3.0)]
    low, high = 8, 8 + SIDES
    side = [(low + i, low + (i + 1) % SIDES, high + i) for i in range(SIDES)]
    side += [(low + (i + 1) % SIDES, high + (i + 1) % SIDES, high + i) for i in range(SIDES)]
    surfaces += [("Cylinder", side), ("Plane", [(high, high + i, high + i + 1) for i in range(1, SIDES - 1)])]
    return np.concatenate([cube, *rings]), surfaces


def write_abc(folder, name=ABC_NAME, variant="000", obj_folder="", feat_folder="", edit=None):
    """Write the model with its faces shuffled: OBJ, YAML, corners of the faces (F, 3, 3), faces of each surface."""
    vertices, surfaces = abc_model()
    faces = np.array([face for _, patch in surfaces for face in patch])
    order = np.random.default_rng(4).permutation(len(faces))  # line i of the OBJ is face order[i]
    line_of = np.argsort(order)
    starts = np.cumsum([0] + [len(patch) for _, patch in surfaces])
    indices = [sorted(line_of[a:b].tolist()) for a, b in itertools.pairwise(starts)]
    obj, yml = (
        folder / obj_folder / f"{name}_trimesh_{variant}.obj",
        folder / feat_folder / f"{name}_features_{variant}.yml",
    )
    obj.parent.mkdir(parents=True, exist_ok=True)
    yml.parent.mkdir(parents=True, exist_ok=True)
    lines = (
        ["# a comment"]
        + [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
        + ["vn 0.0 0.0 1.0", "vn 1.0 0.0 0.0"]
    )
    lines += ["f " + " ".join(f"{corner + 1}//{1 + i % 2}" for corner in faces[index]) for i, index in enumerate(order)]
    obj.write_text("\n".join(lines) + "\n")
    description = {
        "curves": [
            {
                "type": "Line",
                "sharp": True,
                "vert_indices": [0, 1],
                "vert_parameters": [0.0, 2.0],
                "location": [0.0, 0.0, 0.0],
                "direction": [1.0, 0.0, 0.0],
            }
        ],
        "surfaces": [
            {
                "type": kind,
                "face_indices": chosen,
                "coefficients": [0.0, 0.0, 1.0, -2.0],
                "location": [1.0, 1.0, 0.0],
                "vert_indices": sorted({corner for face in patch for corner in face}),
                "vert_parameters": [[0.5, -1.5], [2.220446049250313e-13, 1.0]],
            }
            for (kind, patch), chosen in zip(surfaces, indices)
        ],
    }
    if edit:
        edit(description)
    yml.write_text(yaml.safe_dump(description, default_flow_style=None))
    return obj, yml, vertices[faces[order]], indices


def test_each_surface_of_an_abc_model_becomes_one_patch_of_its_own_faces(tmp_path):
    obj, yml, corners, indices = write_abc(tmp_path)
    patches = read_model(obj, yml)
    assert [patch.kind for patch in patches] == ["Plane"] * 6 + ["Cylinder", "Plane"]
    assert [patch.faces.shape for patch in patches] == [(2, 3)] * 6 + [(12, 3), (4, 3)]
    assert [len(patch.vertices) for patch in patches] == [4] * 6 + [12, 6]
    for patch, chosen in zip(patches, indices):
        assert patch.vertices.dtype == np.float64 and patch.faces.dtype == np.int64
        np.testing.assert_array_equal(
            patch.vertices[patch.faces], corners[chosen]
        )  # the file's faces, order and winding
        assert sorted(set(patch.faces.ravel().tolist())) == list(range(len(patch.vertices)))


def test_a_polygon_of_an_abc_obj_is_one_face_to_the_description(tmp_path):
    obj, yml = tmp_path / "a.obj", tmp_path / "a.yml"
    obj.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 0 0 1\nf 1 2 3 4\nf 1 2 5\n")
    yml.write_text("surfaces:\n- {type: Cone, face_indices: [1]}\n- {type: Plane, face_indices: [0]}\n")
    assert [(patch.kind, len(patch.faces)) for patch in read_model(obj, yml)] == [("Cone", 1), ("Plane", 2)]


def test_a_surface_without_faces_gives_no_patch(tmp_path):
    obj, yml, *_ = write_abc(
        tmp_path, edit=lambda text: text["surfaces"].insert(0, {"type": "Sphere", "face_indices": []})
    )
    assert [patch.kind for patch in read_model(obj, yml)][:2] == ["Plane", "Plane"]


def move(text, change):
    for surface in text["surfaces"]:
        surface["face_indices"] = [index + change for index in surface["face_indices"]]


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda text: move(text, 1), "has face 28, but the OBJ has the faces 0 to 27"),
        (lambda text: move(text, -1), "has face -1, but the OBJ has the faces 0 to 27"),
        (lambda text: text["surfaces"].pop(), "the surfaces have 24 of the OBJ's 28 faces"),
        (
            lambda text: text["surfaces"].append(copy.deepcopy(text["surfaces"][0])),
            "surface 8 has a face that is listed twice",
        ),
        (lambda text: text["surfaces"][0].update(face_indices=[3, 3]), "surface 0 has a face that is listed twice"),
        (lambda text: text["surfaces"].clear(), "describes no surfaces"),
        (lambda text: text.pop("surfaces"), "describes no surfaces"),
        (lambda text: text["surfaces"][2].pop("type"), "surface 2 has no type"),
        (lambda text: text["surfaces"][1].pop("face_indices"), "surface 1 has no face_indices"),
        (lambda text: text["surfaces"][1].update(face_indices=7), "expected a list of face_indices in line"),
        (lambda text: text["surfaces"][1].update(face_indices=["x"]), "invalid literal"),
        (lambda text: text["surfaces"][1].update(face_indices=[10**30]), "is not a readable features file"),
        (lambda text: text.update(surfaces="none"), "expected a list of surfaces in line"),
    ],
)
def test_a_description_that_does_not_fit_its_abc_mesh_is_named(tmp_path, edit, message):
    obj, yml, *_ = write_abc(tmp_path, edit=edit)
    with pytest.raises(UserError, match=message) as error:
        read_model(obj, yml)
    assert str(yml) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe\x80",
        b"[1, 2",
        b"hello",
        b"- 1\n",
        b"surfaces:\n- {type: Plane, f",
        b"surfaces: &a [*a]",
        b"{? [1]: 2}",
        b"surfaces:\n- type: [Plane\n",
    ],
)
def test_garbage_in_place_of_a_description_is_one_line(tmp_path, content):
    obj, yml, *_ = write_abc(tmp_path)
    yml.write_bytes(content)
    with pytest.raises(UserError, match="is not a readable features file") as error:
        read_model(obj, yml)
    assert "\n" not in str(error.value)


def test_a_description_cannot_run_anything(tmp_path):
    obj, yml, *_ = write_abc(tmp_path)
    target = tmp_path / "made"
    yml.write_text(f"evil: !!python/object/apply:os.mkdir ['{target}']\n" + yml.read_text())
    assert len(read_model(obj, yml)) == 8
    yml.write_text(f"surfaces:\n- face_indices: !!python/object/apply:os.mkdir ['{target}']\n  type: Plane\n")
    with pytest.raises(UserError):
        read_model(obj, yml)
    assert not target.exists()


def test_a_missing_file_of_an_abc_model_is_named(tmp_path):
    obj, yml, *_ = write_abc(tmp_path)
    with pytest.raises(UserError, match=r"no features file at .*b.yml"):
        read_model(obj, tmp_path / "b.yml")
    with pytest.raises(UserError, match=r"no mesh at .*b.obj"):
        read_model(tmp_path / "b.obj", yml)


@pytest.mark.parametrize(
    "layout", [("obj/{0}", "feat/{0}"), ("", ""), ("abc_0000_obj_v00/{0}", "abc_0000_feat_v00/{0}")]
)
def test_a_repository_is_read_in_either_layout(tmp_path, layout):
    names = ["00000050_80d90bfdd2e74e709956122a", "00000007_b33a147f86da49879455d286"]
    for name in names:
        folders = [part.format(name[:8]) for part in layout]
        write_abc(tmp_path, name, "000" if name[7] == "0" else "012", *folders)
    repository = read_repository(tmp_path)
    assert list(repository.models) == [names[1] + "_012", names[0] + "_000"]
    assert [len(patches) for patches in repository.models.values()] == [8, 8] and len(repository.patches) == 16
    assert repository.left_out == {} and repository.summary() == "2 models"


def test_what_a_repository_leaves_out_is_named_and_counted(tmp_path):
    def hash_of(number):
        return f"{number:08d}_{'a' * 24}"

    for number in range(8):
        folders = f"obj/{number:08d}", f"feat/{number:08d}"
        edit = (lambda text: text["surfaces"].pop()) if number == 4 else None
        obj, yml, *_ = write_abc(tmp_path, hash_of(number), "001", *folders, edit)
        if number == 1:
            yml.unlink()
        elif number == 2:
            obj.unlink()
        elif number == 3:
            obj.write_text("this is no mesh")
        elif number == 5:
            (tmp_path / obj.name).write_bytes(obj.read_bytes())
        elif number == 6:
            yml.rename(yml.with_name(yml.name.replace("_001", "_002")))
    repository = read_repository(tmp_path)
    assert list(repository.models) == [f"{hash_of(0)}_001", f"{hash_of(7)}_001"]
    reasons = {name[7] + name[-1]: reason for name, reason in repository.left_out.items()}
    assert sorted(reasons) == ["11", "21", "31", "41", "51", "61", "62"]
    assert reasons["11"] == "no features file" and reasons["21"] == "no OBJ file"
    assert reasons["61"] == "no features file" and reasons["62"] == "no OBJ file"
    assert "is it an OBJ file?" in reasons["31"] and "24 of the OBJ's 28 faces" in reasons["41"]
    assert reasons["51"].startswith("more than one 00000005")
    assert repository.summary().startswith("2 models, 7 left out: 00000001_") and repository.summary().endswith(
        "and 2 more"
    )


def test_a_folder_without_abc_models_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*nowhere"):
        read_repository(tmp_path / "nowhere")
    (tmp_path / "cube.obj").write_text("v 0 0 0\n")
    with pytest.raises(UserError, match="has no files named like 00000050_"):
        read_repository(tmp_path)


# --- PartNet: HDF5 --------------------------------------------------------------------------------

POINTS = 40


def clouds(shapes, seed=0):
    return np.random.default_rng(seed).normal(size=(shapes, POINTS, 3)).astype(np.float32)


def write_h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file.create_dataset(name, data=data, compression="gzip", compression_opts=4)
    return path


def leaf_file(tmp_path, shapes=3):
    """As ins_seg_h5: leaf ids 7, 9, 12 and 30."""
    leaves = np.random.default_rng(1).choice([7, 9, 12, 30], size=(shapes, POINTS)).astype(np.int32)
    leaves[:, :4] = [7, 9, 12, 30]
    pts, nor = clouds(shapes), clouds(shapes, 1)
    path = write_h5(
        tmp_path / "train-00.h5",
        pts=pts,
        nor=nor,
        rgb=np.zeros((shapes, POINTS, 3), np.uint8),
        opacity=np.ones((shapes, POINTS), np.float32),
        label=leaves,
    )
    record = [{"anno_id": str(2458 + i), "model_id": "225e"} for i in range(shapes)]
    path.with_suffix(".json").write_text(json.dumps(record))
    return path, pts, nor, leaves


def test_ins_seg_h5_gives_the_leaves_as_parts(tmp_path):
    path, pts, nor, leaves = leaf_file(tmp_path)
    shapes = list(read_h5(path))
    assert [shape.name for shape in shapes] == ["2458", "2459", "2460"]
    for index, shape in enumerate(shapes):
        np.testing.assert_array_equal(shape.points, pts[index])
        np.testing.assert_array_equal(shape.normals, nor[index])
        np.testing.assert_array_equal(shape.labels, np.searchsorted([7, 9, 12, 30], leaves[index]))
        assert (shape.points.dtype, shape.normals.dtype, shape.labels.dtype) == (np.float32, np.float32, np.int64)


@pytest.mark.parametrize("valid_name", ["gt_valid", "gt_mask_valid"])
def test_masks_of_an_instance_file_become_labels(tmp_path, valid_name):
    masks = np.zeros((2, 200, POINTS), dtype=bool)
    masks[0, 0, :10] = masks[0, 1, 5:20] = masks[0, 3, 30:] = True  # mask 2 is empty, mask 1 overlaps mask 0
    masks[1, 0, :] = True
    valid = np.zeros((2, 200), dtype=bool)
    valid[0, :4] = True  # nothing is valid in the second shape
    path = write_h5(
        tmp_path / "val-00.h5",
        pts=clouds(2),
        gt_mask=masks,
        gt_label=np.zeros((2, POINTS), np.uint8),
        gt_other_mask=np.zeros((2, POINTS), bool),
        **{valid_name: valid},
    )
    first, second = read_h5(path)
    assert (first.name, second.name) == ("val-00-0", "val-00-1")
    assert first.labels.tolist() == [0] * 10 + [1] * 10 + [-1] * 10 + [2] * 10
    assert (second.labels == -1).all() and first.normals is None


def test_sem_seg_h5_gives_kinds_of_parts_from_0(tmp_path):
    kinds = np.tile([0, 1, 3, 3], (2, POINTS // 4)).astype(np.uint8)
    path = write_h5(tmp_path / "test-00.h5", data=clouds(2), label_seg=kinds, data_num=np.array([POINTS, 8], np.int32))
    first, second = read_h5(path)
    assert first.labels[:4].tolist() == [-1, 0, 2, 2] and first.labels.dtype == np.int64
    assert (len(first.points), len(second.points), len(second.labels)) == (POINTS, 8, 8)


def test_files_longer_than_one_block_come_in_order(tmp_path):
    pts = clouds(70)
    path = write_h5(tmp_path / "train-01.h5", pts=pts, label=np.zeros((70, POINTS), np.int32))
    np.testing.assert_array_equal(np.stack([shape.points for shape in read_h5(path)]), pts)


@pytest.mark.parametrize(
    "datasets, message",
    [
        ({"pts": clouds(2)}, "has the datasets pts; expected pts and label"),
        ({}, "has the datasets none"),
        (
            {"pts": clouds(2), "label": np.zeros((2, POINTS - 1), int)},
            r"label has the shape \(2, 39\), which does not fit pts",
        ),
        (
            {"pts": clouds(2)[0], "label": np.zeros((2, POINTS), int)},
            r"pts has the shape \(40, 3\); expected \(shapes, points, 3\)",
        ),
        ({"pts": clouds(2), "label": np.zeros((2, POINTS), int), "nor": clouds(1)}, r"nor has the shape \(1, 40, 3\)"),
        (
            {"pts": clouds(2), "gt_mask": np.zeros((2, 5, POINTS), bool)},
            "expected pts and label, pts, gt_mask and gt_valid",
        ),
        (
            {"pts": clouds(2), "gt_mask": np.zeros((2, 5, 9), bool), "gt_valid": np.zeros((2, 5), bool)},
            r"shape \(2, 5, 9\), which",
        ),
        (
            {"pts": clouds(2), "gt_mask": np.zeros((2, 5, POINTS), bool), "gt_valid": np.zeros((2, 6), bool)},
            "gt_valid has the",
        ),
        (
            {"pts": np.full((1, 4, 3), np.nan), "label": np.zeros((1, 4), int)},
            "shape train-9-0 has a NaN or infinite coordinate",
        ),
        (
            {"data": clouds(1), "label_seg": np.zeros((1, POINTS), int), "data_num": np.array([41])},
            "uses 41 of 40 points",
        ),
        ({"pts": clouds(1), "label": np.full((1, POINTS), b"arm")}, "label is not an array of numbers"),
    ],
)
def test_an_hdf5_file_that_does_not_fit_is_named(tmp_path, datasets, message):
    path = write_h5(tmp_path / "train-9.h5", **datasets)
    with pytest.raises(UserError, match=message) as error:
        list(read_h5(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_missing_and_damaged_hdf5_files_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no HDF5 file at .*x.h5"):
        next(read_h5(tmp_path / "x.h5"))
    path, *_ = leaf_file(tmp_path)
    content = path.read_bytes()
    for damaged in (b"", b"not HDF5 at all", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="is not a readable HDF5 file") as error:
            next(read_h5(path))
        assert "\n" not in str(error.value)


def test_the_list_beside_an_hdf5_file_is_checked(tmp_path):
    path, *_ = leaf_file(tmp_path)
    beside = path.with_suffix(".json")
    record = json.loads(beside.read_text())
    beside.write_text(json.dumps(record[:2]))
    with pytest.raises(UserError, match=r"train-00.json is not the list of the 3 shapes in train-00.h5"):
        next(read_h5(path))
    beside.write_text("3")
    with pytest.raises(UserError, match="is not the list of the 3 shapes"):
        next(read_h5(path))
    beside.unlink()
    assert next(read_h5(path)).name == "train-00-0"


# --- PartNet: folders -----------------------------------------------------------------------------


def node(id, name, children=None, **more):
    return {"id": id, "name": name, "text": name.title(), **({"children": children} if children else {}), **more}


def write_shape(folder):
    """As data/42: a mug of a body, a handle, a lid of two leaves and a logo."""
    lid = node(4, "lid", [node(5, "knob", objs=["new-2"]), node(6, "plate", objs=["new-1"])])
    result = [node(0, "mug", [node(1, "body"), node(2, "handle", objs=["new-0"]), lid, node(8, "logo")])]
    (folder / "point_sample").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    ids = [6, 6, 1, 2, 5, 1, 8, 3]  # 3 is no leaf
    table = [f"0.{i} -0.5 0.25 0.0 0.6 -0.8 {i} 20 255 1.0" for i in range(len(ids))]
    (folder / "point_sample" / "sample-points-all-pts-nor-rgba-10000.txt").write_text("\n".join(table) + "\n")
    (folder / "point_sample" / "sample-points-all-label-10000.txt").write_text("\n".join(map(str, ids)) + "\n")
    return folder


def test_points_of_a_shape_have_the_leaf_they_are_in(tmp_path):
    shape = read_folder(write_shape(tmp_path / "8625"))
    assert shape.name == "8625"
    assert shape.labels.tolist() == [3, 3, 0, 1, 2, 0, 4, -1]
    np.testing.assert_allclose(shape.points[3], [0.3, -0.5, 0.25])
    np.testing.assert_allclose(shape.normals[3], [0, 0.6, -0.8], rtol=1e-6)
    assert (shape.points.dtype, shape.normals.dtype, shape.labels.dtype) == (np.float32, np.float32, np.int64)


def test_points_without_normals_have_none(tmp_path):
    folder = write_shape(tmp_path / "1")
    table = folder / "point_sample" / "sample-points-all-pts-nor-rgba-10000.txt"
    table.write_text("\n".join(" ".join(line.split()[:3]) for line in table.read_text().splitlines()))
    assert read_folder(folder).normals is None


def spoil(path, content):
    return lambda folder: (folder / path).unlink() if content is None else (folder / path).write_text(content)


PTS, IDS = (f"point_sample/sample-points-all-{name}-10000.txt" for name in ("pts-nor-rgba", "label"))


@pytest.mark.parametrize(
    "change, message",
    [
        (spoil("result.json", None), "no part hierarchy at .*result.json"),
        (spoil("result.json", "{"), "result.json is not a readable part hierarchy"),
        (spoil("result.json", '[{"id": "a", "name": "mug"}]'), "result.json is not a hierarchy of parts"),
        (spoil("result.json", "3"), "result.json is not a hierarchy of parts"),
        (spoil("result.json", '["mug"]'), "result.json is not a hierarchy of parts"),
        (spoil("result.json", "[]"), "result.json has no parts"),
        (
            spoil("result.json", json.dumps([node(1, "a", [node(2, "b"), node(2, "c")])])),
            "result.json has two nodes with the id 2",
        ),
    ],
)
def test_a_wrong_hierarchy_is_named(tmp_path, change, message):
    folder = write_shape(tmp_path / "1")
    change(folder)
    with pytest.raises(UserError, match=message) as error:
        read_folder(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (spoil(PTS, None), "no point file at"),
        (spoil(IDS, None), "no label file at"),
        (spoil(PTS, "1 2 x\n"), "rgba-10000.txt is not a table of numbers"),
        (spoil(PTS, "1 2 3\n1 2\n"), "rgba-10000.txt is not a table of numbers"),
        (spoil(PTS, "1 2\n" * 8), "has 2 columns; expected x y z nx ny nz r g b a"),
        (spoil(PTS, ""), "rgba-10000.txt is empty"),
        (spoil(PTS, "1 2 nan\n" * 8), "has a NaN or infinite value"),
        (spoil(PTS, "1 2 1e40\n" * 8), "has a NaN or infinite value"),
        (spoil(IDS, "1\n" * 7), "has 7 labels for 8 points"),
        (spoil(IDS, "1.5\n" * 8), "label-10000.txt is not a table of numbers"),
        (spoil(IDS, "99\n" * 8), r"none of the labels \[99\] is a leaf of result.json"),
    ],
)
def test_wrong_points_are_named(tmp_path, change, message):
    folder = write_shape(tmp_path / "1")
    change(folder)
    with pytest.raises(UserError, match=message) as error:
        read_folder(folder)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no folder .*42; give the folder of one shape"):
        read_folder(tmp_path / "42")
