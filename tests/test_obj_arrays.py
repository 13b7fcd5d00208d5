"""An OBJ read as arrays is the one read word by word."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.test_golden import MESHES, NAMES
from utils.geometry.obj import surface_of, text_of
from utils.geometry.obj_arrays import read_arrays


def assert_same(data: bytes) -> bool:
    """Whether it is read as arrays; then both must say the same."""
    found = read_arrays(data)
    if found is None:
        return False
    try:
        words = surface_of(text_of(data))
    except (ValueError, OverflowError) as error:
        raise AssertionError(f"words refuse it: {data!r}") from error
    for name in ("vertices", "faces", "face_polygon", "colors", "piece"):
        one, other = getattr(found, name), getattr(words, name)
        assert (one is None) == (other is None), name
        assert one is None or (np.array_equal(one, other) and one.dtype == other.dtype), name
    assert (found.num_polygons, found.names) == (words.num_polygons, words.names)
    return True


USUAL = (
    b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0.5\nf 1 2 3\nf 2 4 3\n",
    b"# made by hand\r\nmtllib .\\a.mtl\r\nv 0 0 0\r\nv 1e-3 +2.5 -.5\r\nv 0 1 0\r\nf 1/1 2/2/3 3//1\r\n",
    b"o first\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\ng\nf 1 2 3\ng a b\nf 1 2 4 3\ns off\n"
    b"o first\nf 2 3 4\nf 1 2\ng\nf 3 2 1",
    b"v 0 0 0 1 0 0\nv 1 0 0 0 255 0\nv 0 1 0 0 0 1\nvt 0 0\nvn 0 0 1\nf  1  2   3 \n\nusemtl x\nf 3 2 1\n",
)
UNUSUAL = (
    b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 -1\n",
    b"v 0 0 0\nv 1 0 0\nv 0 1 0 # here\nf 1 2 3\n",
    b"v 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n",
    b"v 0 0 0\nv 1 0 1.2.3\nv 0 1 0\nf 1 2 3\n",
    b"v 0 0 0\n v 1 0 0\nv\t0 1 0\nf 1 2 3\n",
    b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 \\\n3\n",
    b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 /3\n",
    b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf\n",
    b"",
)


@pytest.mark.parametrize("data", USUAL)
def test_usual_texts_are_read_as_arrays(data):
    assert assert_same(data)


@pytest.mark.parametrize("data", UNUSUAL)
def test_unusual_texts_are_left_to_words(data):
    assert read_arrays(data) is None


@pytest.mark.parametrize("name", NAMES)
def test_our_meshes_are_read_as_arrays(name):
    assert assert_same((MESHES / f"{name}.obj").read_bytes())


def test_what_was_damaged_is_read_alike_or_left_to_words():
    generator, read = random.Random(0), 0
    for _ in range(1500):
        data = bytearray(generator.choice(USUAL))
        for _ in range(generator.randrange(1, 4)):
            data[generator.randrange(len(data))] = generator.choice(b"0123456789 \n\n/.-+efvgo#\\\r\t")
        read += assert_same(bytes(data))
    assert read > 200
