"""Panels of answers, as the figures show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from models.figures.subjects import Subject
from utils.clicks import Clicks
from utils.output.panels import Angle, Panel
from utils.output.plots import HUES
from utils.segmenter import Segmenter

SIDE = 250  # of a panel, pixels


def click(subject: Subject, positive: Sequence[int] = (), negative: Sequence[int] = ()) -> Clicks:
    """Clicks on faces as clicks on vertices."""
    faces = np.array([*positive, *negative], dtype=np.int64)
    return subject.face_clicks.on_vertices(faces, np.arange(len(faces)) < len(positive))


def answer_panel(
    subject: Subject, segmenter: Segmenter, clicks: Clicks, label: str, angle: Angle | None = None, side: int = SIDE
) -> Panel:
    """What a segmenter answers, from the angle or from where clicks and answer show best."""
    return vertices_panel(subject, segmenter.probability(clicks), clicks, label, angle, side)


def vertices_panel(
    subject: Subject, probability: np.ndarray, clicks: Clicks, label: str, angle: Angle | None = None, side: int = SIDE
) -> Panel:
    """Values (V,) in [0, 1] on a mesh."""
    angle = angle or best_angles(subject, clicks, probability)[0]
    return Panel(subject.pictures.picture(angle, probability, clicks, side), label)


def faces_panel(
    subject: Subject, selected: np.ndarray, clicks: Clicks, label: str, angle: Angle | None = None, side: int = SIDE
) -> Panel:
    """A selection (F,), bool or in [0, 1], on a mesh."""
    return vertices_panel(subject, on_vertices(subject, selected), clicks, label, angle, side)


def best_angles(subject: Subject, clicks: Clicks, probability: np.ndarray, count: int = 1) -> list[Angle]:
    """The table's view of a mesh, or its mirror image, where it shows the clicks; else what shows them best."""
    if subject.view is not None and count == 1:
        elevation, azimuth = subject.view
        for angle in ((elevation, azimuth), (elevation, -azimuth)):
            if subject.pictures.sees(angle, clicks):
                return [angle]
    return subject.pictures.angles(clicks, probability, count)


def on_vertices(subject: Subject, values: np.ndarray) -> np.ndarray:
    """(V,) means of values (F,) over the faces at each vertex, by area."""
    mesh, weight = subject.mesh, np.repeat(subject.areas, 3)
    total = np.bincount(
        mesh.faces.ravel(), weight * np.repeat(np.asarray(values, dtype=np.float64), 3), mesh.num_vertices
    )
    return total / np.maximum(np.bincount(mesh.faces.ravel(), weight, mesh.num_vertices), 1e-12)


def bars(axes: Axes, names: Sequence[str], values: Sequence[float], paper: Sequence[float] = ()) -> None:
    """A bar each, with its value, and a dashed line where the paper's is."""
    for index, value in enumerate(values):
        axes.bar(index, value, 0.62, color=HUES[index % len(HUES)])
        axes.text(index, value + 0.015 * max(values), f"{value:.2f}", ha="center", va="bottom", fontsize=9)
    for index, value in enumerate(paper):
        axes.hlines(value, index - 0.36, index + 0.36, color="#222222", linestyle=(0, (3, 2)), linewidth=1.2)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(0, 1.15 * max([*values, *paper, 1e-6]))
