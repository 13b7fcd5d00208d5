"""iSeg3D, Fig. 3: primitives put together into training shapes whose labels are known."""

from __future__ import annotations

import time

import numpy as np

from models.figures.figure import AGREES, Figure, Measure, Outcome
from models.figures.workshop import Workshop
from models.iseg3d.reshuffle import FEWEST, MOST, own_primitive, reshuffled
from utils.geometry.mesh import Mesh
from utils.output.panels import MeshPictures, Panel, Sheet
from utils.output.plots import HUES

SHOWN, SIDE, ANGLE = 5, 190, (20.0, 40.0)


def make(shop: Workshop) -> Outcome:
    rng, count = shop.rng("reshuffle"), shop.pick(60, 4)
    started, numbers = time.perf_counter(), []
    for _ in range(count):
        numbers.append(len(np.unique(reshuffled(rng)[2])))
    seconds = (time.perf_counter() - started) / count
    measures = [
        Measure("primitives of a shape, mean", float(np.mean(numbers)), count=count),
        Measure(
            "share of shapes of at least two labelled primitives", float(np.mean(np.array(numbers) >= 2)), count=count
        ),
        Measure("seconds to make one", seconds, count=count),
    ]
    why = (
        f"{FEWEST} to {MOST} primitives, their mirrored and turned copies counted in; every face knows its primitive, "
        f"so labels cost nothing. The "
        "primitives are our generator's solids; with --abc_dir of iseg3d.py --mode generate they are surfaces of ABC "
        "models, as in the paper."
    )
    primitives = [_plain(own_primitive(rng)) for _ in range(SHOWN)]
    shapes = [_colored(reshuffled(rng)) for _ in range(2 * SHOWN)]
    rows = [
        ("primitives", primitives),
        ("reshuffled shapes, a colour a primitive", shapes[:SHOWN]),
        ("", shapes[SHOWN:]),
    ]
    return Outcome(
        measures,
        AGREES,
        why,
        Sheet(rows, "", SIDE),
        "The paper's left column, ABC models, is not shown: they are not part of this repository.",
    )


def _plain(primitive) -> Panel:
    return Panel(MeshPictures(Mesh(primitive.vertices, primitive.faces)).picture(ANGLE, side=SIDE), primitive.kind)


def _colored(shape: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Panel:
    vertices, faces, labels = shape
    colors = np.array([[int(hue[k : k + 2], 16) / 255 for k in (1, 3, 5)] for hue in HUES])
    return Panel(MeshPictures(Mesh(vertices, faces)).face_picture(ANGLE, colors[labels % len(colors)], SIDE))


FIGURE = Figure(
    "iseg3d_fig3_reshuffle",
    ("iseg3d:3",),
    "reshuffled primitives",
    "primitives of ABC models are put together at random into numerous training shapes with labels for free.",
    1,
    make,
)
