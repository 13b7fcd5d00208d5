"""Figs. 5 and 16: the side of a part that no view of the click shows, and two clicks on opposite sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click, vertices_panel
from models.figures.sides import hidden_from
from models.figures.subjects import Subject, Wish
from models.figures.workshop import Workshop
from utils.output.panels import Panel, Sheet
from utils.progress import track
from utils.selection import iou

LEAST_HIDDEN = 0.1  # of a part's area, else it says nothing
SHOWN = (("chair", "top rail"), ("guitar", "body"), ("truck", "trailer box"))


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "sides that no view shows", shop.on_progress, len(subjects))
    found = [shop.measured("hidden", "both", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    names = {
        "ours": "ours: share of the part's hidden side that one click selects",
        "sam": "SAM baseline: the same (no view can select what it does not show)",
        "ours_front": "ours: share of what views of the click do show",
        "sam_front": "SAM baseline: the same",
        "one": "ours: IoU with the part, one click",
        "two": "ours: IoU with the part, a second click on the hidden side",
    }
    measures = [Measure.mean(what, [[each[key] for each in own] for own in found]) for key, what in names.items()]
    ours, sam, two = (measures[k].ours or 0.0 for k in (0, 1, 5))
    verdict = AGREES if ours > 0.75 and sam < 0.1 else PARTLY if ours > sam + 0.2 else DIFFERS
    parts = sum(len(own) for own in found)
    why = (
        f"On {parts} parts of which at least {LEAST_HIDDEN:.0%} cannot be seen together with the click, one click "
        f"selects {ours:.0%} of that "
        f"hidden side (SAM baseline {sam:.0%}); with a second click there IoU {two:.2f}."
    )
    rows = [row for name, part in SHOWN for row in _row(shop, subjects, name, part)]
    if not rows:
        rows = _row(shop, subjects, subjects[0].name, subjects[0].wishes[0].name)
    looks = (
        "As Figs. 5 and 16: the clicked side, and the opposite one, which no view of the click shows; then with a "
        "click on each side."
    )
    return Outcome(
        measures,
        verdict,
        why,
        Sheet(rows, "Native 3D: the side that is hidden", 210),
        looks,
        [s.name for s in subjects],
    )


def _measure(shop: Workshop, subject: Subject) -> list[dict[str, float]]:
    baseline, segmenter, areas = shop.baseline(subject), shop.segmenter(subject), subject.areas
    result = []
    for wish in subject.wishes:
        face = subject.innermost(wish.part)
        hidden = hidden_from(baseline, face)[0] & wish.part
        if areas[hidden].sum() < LEAST_HIDDEN * areas[wish.part].sum():
            continue
        one, positive = np.array([face]), np.array([True])
        ours, sam = (each.face_probability(one, positive) > 0.5 for each in (segmenter, baseline))
        second = np.array([face, subject.innermost(hidden)])
        both = segmenter.face_probability(second, np.array([True, True])) > 0.5
        front = wish.part & ~hidden
        share = {
            f"{name}{side}": float(areas[selected & region].sum() / max(float(areas[region].sum()), 1e-12))
            for name, selected in (("ours", ours), ("sam", sam))
            for side, region in (("", hidden), ("_front", front))
        }
        result.append(share | {"one": iou(ours, wish.part, areas), "two": iou(both, wish.part, areas)})
    return result


def _row(shop: Workshop, subjects: list[Subject], name: str, part: str) -> list[tuple[str, list[Panel]]]:
    """A click, its answer from both sides, and a second click on the other side; nothing if the mesh lacks the part."""
    subject = next((s for s in subjects if s.name == name), None)
    wish: Wish | None = next((w for w in subject.wishes if w.name == part), None) if subject else None
    if subject is None or wish is None:
        return []
    segmenter, face = shop.segmenter(subject), subject.innermost(wish.part)
    hidden = hidden_from(shop.baseline(subject), face)[0] & wish.part
    one = click(subject, [face])
    answer = segmenter.probability(one)
    front, back = subject.pictures.angles(one, answer)[0], subject.pictures.hidden_angle(one, answer)
    cells: list[Any] = [
        vertices_panel(subject, answer, one, f"{name}: click on one side", front, 210),
        vertices_panel(subject, answer, one, "the side hidden from the click", back, 210),
    ]
    if hidden.any():
        two = click(subject, [face, subject.innermost(hidden)])
        both = segmenter.probability(two)
        cells += [
            vertices_panel(subject, both, two, "a click on each side", front, 210),
            vertices_panel(subject, both, two, "the other side", back, 210),
        ]
    return [("", cells)]


FIGURE = Figure(
    "fig05_16_hidden_side",
    ("5", "16"),
    "the hidden side of a part",
    "a click on the back of a backrest also selects its front, and a click on a guitar's front its back, though no "
    "view shows both and training "
    "knows nothing of it; two clicks on opposite sides select the whole part.",
    6,
    make,
)
