"""The curve of a training run, drawn from its tables."""

from __future__ import annotations

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from SAM_repo.training.tables import read_table
from utils.files import atomic_path

COLORS = {"held_out": "#c0392b", "labelled": "#1f77b4"}
TITLES = {"held_out": "held-out synthetic shapes", "labelled": "labelled meshes, never trained on"}


def plot_curve(log: Path, measured: Path, output: Path) -> None:
    """Write a PNG over thousands of images: the loss; the IoU of mask 0 in training and where it was measured."""
    rows, sets = read_table(log), read_table(measured)
    figure = Figure(figsize=(10, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    images = [int(row["images"]) / 1000 for row in rows]
    left.plot(images, [float(row["loss"]) for row in rows], color="#444444", linewidth=1.2)
    left.set(xlabel="thousand images", ylabel="training loss (mean of 25 steps)")
    right.plot(images, [float(row["iou0"]) for row in rows], color="#bbbbbb", linewidth=1, label="training batches")
    for name in dict.fromkeys(row["set"] for row in sets):
        of_set = [(int(row["images"]) / 1000, float(row["mask0"])) for row in sets if row["set"] == name]
        right.plot(*zip(*of_set), "o-", markersize=4, color=COLORS.get(name), label=TITLES.get(name, name))
    right.set(xlabel="thousand images", ylabel="IoU of mask 0 after one click", ylim=(0, 1))
    right.legend(frameon=False)
    for row in (r for r, before in zip(rows[1:], rows) if r["size"] != before["size"]):
        for axes in (left, right):  # images change their size
            axes.axvline(int(row["images"]) / 1000, color="#dddddd", linewidth=1, zorder=0)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    with atomic_path(output) as temporary:
        figure.savefig(temporary, format="png")
