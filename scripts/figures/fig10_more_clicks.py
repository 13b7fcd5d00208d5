"""Fig. 10: three and more clicks, although training knows two at most."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from models.figures.clicking import CLICKS, Asked, by_mesh
from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import answer_panel, click
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from utils.output.panels import Chart, Panel, Sheet
from utils.output.plots import HUES


def at(asked: Asked, count: int) -> float:
    """IoU after so many clicks; where the person was content before, what it was then."""
    return asked.to_part[min(count, len(asked.to_part)) - 1]


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    asked = by_mesh(shop, subjects)
    curve = [
        Measure.mean(f"IoU with the part after {k} click{'s' * (k > 1)}", [[at(e, k) for e in own] for own in asked])
        for k in range(1, CLICKS + 1)
    ]
    later = [
        [float(at(e, k + 1) >= at(e, k) - 0.02) for e in own for k in range(2, CLICKS) if len(e.to_part) > k]
        for own in asked
    ]
    measures = [
        curve[2],
        curve[0],
        curve[1],
        *curve[3:],
        Measure.mean("third and further clicks that lose no more than .02", later),
    ]
    values = [measure.ours or 0.0 for measure in curve]
    rises = values[2] >= values[1] and values[4] >= values[2]
    verdict = AGREES if rises and values[2] > 0.8 else PARTLY if values[4] > values[1] else DIFFERS
    why = (
        f"Answers go on improving beyond the two clicks of the paper's training: IoU {values[1]:.2f} after two, "
        f"{values[2]:.2f} after three, "
        f"{values[4]:.2f} after five."
    )
    rows = []
    for subject, own in sorted(zip(subjects, asked), key=lambda pair: -max(map(_gain, pair[1]))):
        best = max(own, key=_gain)
        if len(best.faces) >= 3 and len(rows) < 3:
            rows.append((f"{subject.name}: {best.part}", _clicks(shop, subject, best)))
    rows.append(("", [Chart(lambda axes: _draw(axes, asked), width=2.0)]))
    looks = (
        "The clicks are those of a simulated person who corrects what is most wrong, so the signs differ from the "
        "paper's."
    )
    return Outcome(measures, verdict, why, Sheet(rows, "More than two clicks", 230), looks, [s.name for s in subjects])


def _gain(asked: Asked) -> float:
    """What three clicks bring, those with corrections of both signs first, as in the paper's picture."""
    if len(asked.faces) < 3:
        return -1.0
    return at(asked, 3) - at(asked, 1) + float(len(set(asked.positive[1:4])) == 2)


def _clicks(shop: Workshop, subject: Subject, asked: Asked) -> list[Panel]:
    """The answers after each of the first clicks, from one side."""
    segmenter, names = shop.segmenter(subject), ("first", "second", "third", "fourth", "fifth")
    sets = []
    for count in range(1, min(4, len(asked.faces)) + 1):
        signed = list(zip(asked.faces[:count], asked.positive[:count]))
        sets.append(click(subject, [f for f, p in signed if p], [f for f, p in signed if not p]))
    angle = subject.pictures.angles(sets[-1], segmenter.probability(sets[-1]))[0]
    signs = ["positive" if positive else "negative" for positive in asked.positive]
    return [
        answer_panel(subject, segmenter, clicks, f"{names[k]} {signs[k]}\nIoU {asked.to_part[k]:.2f}", angle, 230)
        for k, clicks in enumerate(sets)
    ]


def _draw(axes: Axes, asked: list[list[Asked]]) -> None:
    clicks = range(1, CLICKS + 1)
    for own in asked:
        axes.plot(clicks, [np.mean([at(e, k) for e in own]) for k in clicks], color=HUES[0], linewidth=0.7, alpha=0.4)
    mean = [np.mean([at(e, k) for own in asked for e in own]) for k in clicks]
    axes.plot(clicks, mean, color=HUES[0], linewidth=2, marker="o", markersize=4)
    axes.set(xticks=clicks, ylim=(0, 1))
    axes.set_xlabel("clicks; thin: each mesh", fontsize=9)
    axes.set_ylabel("IoU with the part", fontsize=9)


FIGURE = Figure(
    "fig10_more_clicks",
    ("10",),
    "three and more clicks",
    "although trained on up to two clicks, the model answers three and more: customised regions by a first positive, "
    "second negative and "
    "third positive click.",
    7,
    make,
)
