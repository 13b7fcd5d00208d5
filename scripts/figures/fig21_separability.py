"""Fig. 21: probabilities fall into two populations, so that a threshold changes little."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click, vertices_panel
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.output.panels import Chart, Sheet
from utils.output.plots import HUES
from utils.progress import track
from utils.segmenter import Segmenter
from utils.selection import iou, otsu_threshold

MIDDLE = (0.2, 0.8)  # probabilities that belong to neither population


def make(shop: Workshop) -> Outcome:
    subjects, preset = shop.subjects(FIGURE.name), shop.field_preset()
    tracked = track(subjects, f"decoders of --preset {preset}", shop.on_progress, len(subjects))
    fast = [
        shop.measured("separability", "field", [s], lambda s=s: _measure(s, shop.optimised(s, preset))) for s in tracked
    ]
    default = [shop.measured("separability", "ours", [s], lambda s=s: _measure(s, shop.segmenter(s))) for s in subjects]
    measures = []
    for name, found in ((f"--preset {preset}, the paper's optimisation", fast), ("the default route", default)):
        measures += [
            Measure.mean(
                f"{name}: IoU of the selections by Otsu's threshold and by 0.5",
                [[e["iou"] for e in own] for own in found],
            ),
            Measure.mean(
                f"{name}: share of vertices with a probability from .2 to .8",
                [[e["middle"] for e in own] for own in found],
            ),
        ]
    same, middle = measures[0].ours or 0.0, measures[1].ours or 0.0
    verdict = AGREES if same > 0.85 and middle < 0.12 else PARTLY if same > 0.7 else DIFFERS
    why = (
        f"After the paper's optimisation {middle:.0%} of the vertices are between .2 and .8, and Otsu's threshold "
        f"selects what 0.5 does with IoU "
        f"{same:.2f}; by the default route {measures[3].ours or 0:.0%} and {measures[2].ours or 0:.2f}, since it "
        f"draws a border at 0.5 itself."
    )
    rows: list[tuple[str, list[Any]]] = [
        ("", _panels(subject, shop.optimised(subject, preset))) for subject in subjects
    ]
    looks = (
        "Left the probabilities, in the middle their histogram over all vertices (counts, logarithmic), right Otsu's "
        "selection, as in Fig. 21."
    )
    return Outcome(measures, verdict, why, Sheet(rows, "Two populations", 230), looks, [s.name for s in subjects])


def _measure(subject: Subject, segmenter: Segmenter) -> list[dict[str, float]]:
    result = []
    for wish in subject.wishes:
        probability = segmenter.probability(click(subject, [subject.innermost(wish.part)]))
        hard, half = probability > otsu_threshold(probability), probability > 0.5
        middle = (probability > MIDDLE[0]) & (probability < MIDDLE[1])
        result.append({"iou": iou(hard, half) if (hard | half).any() else 1.0, "middle": float(middle.mean())})
    return result


def _panels(subject: Subject, segmenter: Segmenter) -> list[Any]:
    wish = subject.wishes[min(3, len(subject.wishes) - 1)]
    clicks = click(subject, [subject.innermost(wish.part)])
    probability = segmenter.probability(clicks)
    threshold = otsu_threshold(probability)
    angle = subject.pictures.angles(clicks, probability)[0]

    def draw(axes: Axes) -> None:
        axes.hist(probability, bins=40, range=(0, 1), color=HUES[0], log=True)
        axes.axvline(threshold, color="#b3342c", linestyle=(0, (4, 3)), linewidth=1.2)
        axes.set_xlabel("probability; dashed: Otsu", fontsize=9)
        axes.set_ylabel("vertices", fontsize=9)

    hard = (probability > threshold).astype(float)
    return [
        vertices_panel(subject, probability, clicks, f"{subject.title}: {wish.name}, probability", angle, 230),
        Chart(draw, "", 1.25),
        vertices_panel(subject, hard, clicks, f"above Otsu's threshold {threshold:.2f}", angle, 230),
    ]


FIGURE = Figure(
    "fig21_separability",
    ("21",),
    "separability of the probabilities",
    "the histogram of a click's probabilities has two populations, so that the region before and after Otsu's "
    "threshold is almost the same.",
    7,
    make,
)
