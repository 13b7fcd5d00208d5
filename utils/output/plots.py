"""Pictures (PNG) of benchmark results: IoU over clicks, bars by category, and parts as people and methods see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from utils.clicks import Clicks
from utils.files import atomic_path
from utils.geometry.mesh import Mesh
from utils.output.canvas import INK, QUIET_INK, Canvas
from utils.output.colors import BASE_COLOR, SELECTION_COLOR
from utils.output.painter import Frame, MeshPainter, telling_angles
from utils.rendering.rasterize import Rasterizer

# Of the methods, in their order.
HUES = ["#0b6e99", "#d9730d", "#4b8a3f", "#8e4ba8", "#b3342c", "#7a6a52", "#1fa7a0", "#c46a9a", "#b59a00"]
DOT_COUNT = "5"  # clicks of the dots above the bars


def save_click_plot(path: str | Path, results: dict) -> None:
    """IoU over clicks of every method of a results file (scripts/evaluate.py) with 95 % bands and the human level."""
    figure, axes = _axes(7.2, 4.6)
    ends = []
    for color, (name, entry) in zip(_hues(results), results["methods"].items()):
        iou, band = np.array(entry["curve"]["iou"]), np.array(entry["curve"]["interval"])
        clicks = np.arange(1, len(iou) + 1)
        axes.fill_between(clicks, band[:, 0], band[:, 1], color=color, alpha=0.13, linewidth=0)
        axes.plot(clicks, iou, color=color, linewidth=1.8, marker="o", markersize=3.5)
        ends.append((iou[-1], name, color))
    if results["human"] is not None:
        axes.axhline(results["human"], color=QUIET_INK, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.text(1, results["human"] + 0.008, "another person's part", color=QUIET_INK, fontsize=8.5)
    # Names beside the ends of the lines, pushed apart where they would overlap.
    height = -np.inf
    low = min(np.array(entry["curve"]["interval"])[:, 0].min() for entry in results["methods"].values())
    step = 0.045 * (1 - low)
    for value, name, color in sorted(ends):
        height = max(value, height + step)
        axes.text(10.25, height, name, color=color, fontsize=9.5, va="center")
    axes.set(xlabel="clicks", ylabel="IoU, mean over parts", xlim=(0.7, 10.1), xticks=range(1, 11))
    axes.set_title(_title(results), fontsize=10, color=INK, loc="left")
    _save(figure, path)


def save_category_plot(path: str | Path, results: dict) -> None:
    """A bar for every method's IoU after one click, a dot for that after five, and the human level, by category."""
    categories = list(next(iter(results["methods"].values()))["by_category"])
    figure, axes = _axes(max(7.2, 0.75 * len(categories) + 1.5), 4.4)
    count, place = len(results["methods"]), np.arange(len(categories))
    width = 0.8 / count
    for index, (color, (name, entry)) in enumerate(zip(_hues(results), results["methods"].items())):
        x = place - 0.4 + (index + 0.5) * width
        after = {k: [entry["by_category"][category]["iou_at"][k] for category in categories] for k in ("1", DOT_COUNT)}
        axes.bar(x, after["1"], 0.92 * width, color=color, alpha=0.85, label=name)
        dots = {"linestyle": "none", "marker": "o", "markersize": 3.2, "markerfacecolor": "white"}
        axes.plot(x, after[DOT_COUNT], markeredgecolor=color, **dots)
    for x, category in zip(place, categories):
        human = results["human_by_category"][category]
        if human is not None:
            dashed = {"color": QUIET_INK, "linestyle": (0, (4, 2)), "linewidth": 1.1}
            label = "another person's part" if x == 0 else None
            axes.plot([x - 0.42, x + 0.42], [human, human], label=label, **dashed)
    axes.set(
        xticks=place,
        ylim=(0, 1),
        xlim=(-0.6, len(categories) - 0.4),
        ylabel=f"IoU: bar 1 click, dot {DOT_COUNT} clicks",
    )
    axes.set_xticklabels(categories, rotation=35, ha="right", fontsize=9)
    axes.set_title(_title(results), fontsize=10, color=INK, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.24), ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def save_greedy_plot(path: str | Path, results: dict) -> None:
    """mIoU over clicks of every method of a results file of the iSeg3D evaluation, and thinly of its first method each
    category (Fig. 6 of the iSeg3D paper)."""
    figure, axes = _axes(7.2, 4.6)
    first = next(iter(results["methods"].values()))
    for entry in first["by_category"].values():
        axes.plot(range(1, len(entry["curve"]) + 1), entry["curve"], color=HUES[0], linewidth=0.7, alpha=0.35)
    for color, (name, entry) in zip(_hues(results), results["methods"].items()):
        clicks = range(1, len(entry["curve"]) + 1)
        axes.plot(clicks, entry["curve"], color=color, linewidth=1.9, marker="o", markersize=3.2, label=name)
    axes.set(xlabel="greedy clicks", ylabel="IoU, mean over parts", ylim=(0, 1))
    title = f"{first['parts']} parts of {len(results['shapes'])} shapes; thin: each category of the first method"
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    _save(figure, path)


def save_training_plot(path: str | Path, log: Sequence[dict], smooth: int = 25) -> None:
    """Every recorded quantity over the steps of a training (`models.iseg3d.training`), as running means of `smooth`."""
    figure, axes = _axes(7.2, 3.6)
    steps = np.array([record["step"] for record in log])
    for color, key in zip(HUES, [key for key in log[0] if key not in ("step", "norm")]):
        values = np.array([record[key] for record in log])
        window = min(smooth, len(values))
        mean = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], mean, color=color, linewidth=1.4, label=key)
    axes.set(xlabel="step", ylim=(0, None))
    axes.legend(loc="upper right", frameon=False, fontsize=9)
    _save(figure, path)


def save_scale_plot(path: str | Path, lines: dict[str, dict[int, float]], title: str) -> None:
    """Seconds over the number of faces, both by powers of ten; lines: name -> faces -> seconds."""
    figure, axes = _axes(8.4, 4.6)
    for color, (name, values) in zip(HUES, lines.items()):
        axes.plot(
            list(values), list(values.values()), color=color, linewidth=1.6, marker="o", markersize=3.5, label=name
        )
    axes.set(xscale="log", yscale="log", xlabel="faces", ylabel="seconds")
    axes.set_title(title, fontsize=10, color=INK, loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)  # no line runs under it
    _save(figure, path)


def _hues(results: dict) -> list[str]:
    return [HUES[index % len(HUES)] for index in range(len(results["methods"]))]


def _title(results: dict) -> str:
    parts = next(iter(results["methods"].values()))["parts"]
    where = "clicks anywhere in the region" if results["settings"]["jitter"] else "clicks in the middle of the region"
    return f"{parts} parts of {len(results['shapes'])} meshes, {where}"


def _axes(width: float, height: float):
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: str | Path) -> None:
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight")


# --- gallery --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PartPictures:
    """A row of the gallery.

    mesh      of the part
    title     what part it is
    part      (F,) bool, what the human marked
    columns   for each method its name, what it selected (F,) bool, the clicks, and a note
    """

    mesh: Mesh
    title: str
    part: np.ndarray
    columns: Sequence[tuple[str, np.ndarray, Clicks, str]]


def save_gallery(path: str | Path, rows: Sequence[PartPictures], side: int = 300) -> None:
    """Write one sheet: a row a part; the human's part first, then what each method selected, with the clicks, all from
    the one view that shows the part and the clicks best. Colours: `selection_colors`. side: of a picture, pixels."""
    views = [_telling_frame(row, side) for row in rows]
    gap, head, label = 16, 30, 24
    columns = 1 + max(len(row.columns) for row in rows)
    canvas = Canvas(gap + columns * (side + gap), gap + sum(frame.height + head + label + gap for _, frame in views))
    top = gap
    for row, (painter, frame) in zip(rows, views):
        canvas.text(gap, top + 0.5 * head, row.title, size=17, align="left", weight="bold")
        cells = [("human", row.part, Clicks.from_lists(), ""), *row.columns]
        for index, (name, selected, clicks, note) in enumerate(cells):
            left = gap + index * (side + gap)
            color = QUIET_INK if index else INK
            canvas.text(left, top + head + 0.5 * label - 3, f"{name}   {note}", size=14, align="left", color=color)
            images, dots = painter.tiles(frame, clicks, face_colors=selection_colors(row.part, selected))
            canvas.tile(left + (side - frame.width) // 2, top + head + label, images[0], dots[0])
        top += frame.height + head + label + gap
    canvas.save(path)


def _telling_frame(row: PartPictures, side: int) -> tuple[MeshPainter, Frame]:
    """The view that shows the part and all methods' clicks best, at most `side` pixels wide and high."""
    rasterizer = Rasterizer(row.mesh, "embree")
    vertices = np.zeros(row.mesh.num_vertices)
    vertices[row.mesh.faces[row.part]] = 1
    signs = {vertex: sign for _, _, clicks, _ in row.columns for vertex, sign in clicks.pairs}
    angles = telling_angles(rasterizer, Clicks.of(signs.items()), vertices, 1)
    frame = Frame.around(row.mesh, *angles, area=side * side)
    shrink = side / (1 + max(frame.width, frame.height))
    return MeshPainter(rasterizer), Frame.around(row.mesh, *angles, area=side * side * shrink**2)


def selection_colors(part: np.ndarray, selected: np.ndarray) -> np.ndarray:
    """(F, 3) RGB: what is rightly selected is blue, what is missed pale blue, what is wrongly selected dark red."""
    base, chosen = np.array(BASE_COLOR), np.array(SELECTION_COLOR)
    colors = np.tile(base, (len(part), 1))
    colors[part & selected] = chosen
    colors[part & ~selected] = 0.6 * base + 0.4 * chosen
    colors[selected & ~part] = (0.62, 0.18, 0.16)
    return colors
