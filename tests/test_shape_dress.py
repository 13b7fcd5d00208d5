"""Promises of nested labels, of hollow solids and of the dresses of shapes."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.spatial import KDTree

from models.prior.data import labelled_shape
from tests.golden.shapes import shape_digest
from tests.labelled import assert_consistent
from utils.shapes import Builder, compose, random_shape
from utils.shapes.combinators import ball
from utils.shapes.containers import hollow
from utils.shapes.dress import SHARES, dressed
from utils.shapes.generate import assembly

NEW = ("container", "cabinet", "gadget", "grille", "body")


@cache
def drawn(seed: int, family: str):
    """A shape that several tests look at, and none changes."""
    return random_shape(seed, [family])


@pytest.fixture(scope="module")
def arm():
    """Five balls, the labels of which are as deep as five levels and as shallow as one."""
    b = Builder(np.random.default_rng(0))
    paths = ["head", "arm/upper", "arm/lower/fore", "arm/lower/hand/palm", "arm/lower/hand/thumb"]
    for i, path in enumerate(paths):
        ball(b, path, (i, 0, 0), 0.6)
    return compose(b, 30, "arm")


@pytest.fixture(scope="module")
def shapes():
    """One shape of each of four families."""
    return {family: random_shape(3, [family]) for family in ("container", "gadget", "chair", "body")}


def parts_of(shape, level, name) -> set[str]:
    """Names of the parts that a label of a level above the groups holds."""
    chosen = shape.above[level] == shape.names["above"].index(name)
    return {shape.names["part"][i] for i in np.unique(shape.part[chosen])}


def test_labels_nest_as_deep_as_paths_name_them(arm):
    assert_consistent(arm)
    assert len(arm.above) == 2
    assert parts_of(arm, 0, "lower") == {"fore", "palm", "thumb"}
    assert parts_of(arm, 1, "arm") == {"upper", "fore", "palm", "thumb"}
    assert parts_of(arm, 0, "head") == parts_of(arm, 1, "head") == {"head"}


def test_two_shapes_together_keep_their_levels(arm, shapes):
    for seed in range(4):
        for first, second in ((arm, shapes["chair"]), (shapes["chair"], arm)):
            both = assembly(first, second, np.random.default_rng(seed))
            assert_consistent(both)
            assert len(both.above) >= 2
            assert any(name.endswith("lower") for name in both.names["above"])


def test_faces_that_go_take_their_labels_with_them(arm):
    kept = arm.part != arm.names["part"].index("upper")
    rest = arm.of_faces(arm.vertices, arm.faces[kept], np.flatnonzero(kept))
    assert_consistent(rest)
    assert "upper" not in rest.names["part"] and parts_of(rest, 1, "arm") == {"fore", "palm", "thumb"}


@pytest.mark.parametrize("family", NEW)
def test_new_families_give_consistent_shapes_of_several_parts(family):
    for seed in range(20, 26):
        shape = drawn(seed, family)
        assert_consistent(shape)
        assert len(shape.names["part"]) > 1 and np.isfinite(shape.vertices).all()


def test_limbs_of_bodies_nest_four_deep():
    depth = []
    for seed in range(20, 26):
        shape = drawn(seed, "body")
        depth.append(len(shape.above))
        arms = {"arm", "leg"} & {name.split()[-1] for name in (*shape.names["group"], *shape.names.get("above", ()))}
        assert arms == {"arm", "leg"} or arms == {"leg"}
    assert max(depth) >= 2


@pytest.mark.parametrize("core", [None, (0.2, 0.1)])
def test_a_vessel_is_its_outside_and_its_inside_however_it_was_built(core):
    inner, outer = [], []
    for seed in range(12):
        b = Builder(np.random.default_rng(seed))
        hollow(b, "body", [(0.3, 0), (0.4, 0.5)], 0.03, core)
        shape = compose(b, 40, "vessel")
        middle = shape.vertices[shape.faces].mean(axis=1)
        wall = (middle[:, 1] > 0.1) & (middle[:, 1] < 0.45)
        flat = middle[:, [0, 2]]
        way = flat - np.clip(flat, -np.array(core or (0, 0)), core or (0, 0))
        normal = np.cross(*np.diff(shape.vertices[shape.faces], axis=1).transpose(1, 0, 2))
        side = (normal[:, [0, 2]] * way).sum(axis=1)[wall]
        outer.append((side > 0).sum())
        inner.append((side < 0).sum())
        assert len(shape.names["part"]) == 1
    assert min(outer) > 0 and min(inner) > 0


@pytest.mark.parametrize("dress", SHARES)
def test_a_dressed_face_has_the_label_of_the_nearest_face_before(shapes, dress):
    for family, shape in shapes.items():
        before = shape_digest(shape)
        result = dressed(shape, np.random.default_rng(1), dress)
        assert shape_digest(shape) == before, "a dress changes a copy"
        assert_consistent(result)
        names = np.array(result.names["part"])[result.part]
        rng = np.random.default_rng(0)
        weight = rng.dirichlet((1, 1, 1), 40_000)
        areas = np.linalg.norm(np.cross(*np.diff(shape.vertices[shape.faces], axis=1).transpose(1, 0, 2)), axis=1)
        source = rng.choice(len(areas), 40_000, p=areas / areas.sum())
        points = np.einsum("nc,ncd->nd", weight, shape.vertices[shape.faces[source]])
        asked = rng.choice(len(names), min(len(names), 10_000), replace=False)
        near = KDTree(points).query(result.vertices[result.faces[asked]].mean(axis=1), k=8)[1]
        known = np.array(shape.names["part"])[shape.part[source]]
        right = (known[near] == names[asked, None]).any(axis=1).mean()
        assert right > (0.8 if dress in ("blob", "decimated") else 0.93), f"{family}: {right:.2f}"


def test_the_same_seed_gives_the_same_dress(shapes):
    for dress in SHARES:
        pair = [dressed(shapes["chair"], np.random.default_rng(5), dress) for _ in range(2)]
        assert shape_digest(pair[0]) == shape_digest(pair[1]), dress
    assert shape_digest(labelled_shape(11)) == shape_digest(labelled_shape(11))


def test_dresses_do_what_they_are_called(shapes):
    shape = shapes["chair"]

    def faces(dress: str, seed: int = 0) -> int:
        return len(dressed(shape, np.random.default_rng(seed), dress).faces)

    soup = dressed(shape, np.random.default_rng(0), "unwelded")
    assert len(soup.vertices) == 3 * len(soup.faces) == 3 * len(shape.faces)
    assert faces("decimated") < 0.5 * len(shape.faces) and faces("decimated") < 2500
    assert faces("even") > 25_000 and faces("slivers") > len(shape.faces)
    assert faces("unclosed") < len(shape.faces)
    assert max(faces("flipped", seed) for seed in range(6)) > len(shape.faces)
