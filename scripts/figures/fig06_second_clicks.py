"""Fig. 6: a second click, positive to extend the region, negative to take from it."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.figures.clicking import by_mesh
from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import answer_panel, click
from models.figures.subjects import Subject, Wish
from models.figures.workshop import Workshop
from utils.output.panels import Sheet
from utils.progress import track

# (mesh, first part, second part, whether it is included), like the paper's: bulb and shade; a hammer's head.
SHOWN = (
    ("lamp", "bulb", "shade", True),
    ("hammer", "cheek", "claw", False),
    ("alien", "front left leg upper", "front left leg lower", True),
    ("camel", "body", "hump", False),
    ("bicycle", "top tube", "down tube", True),
    ("guitar", "body", "bridge", False),
    ("humanoid", "right thigh", "right shin", True),
    ("candle", "wax", "flame", True),
)


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    asked = by_mesh(shop, subjects)
    corrected = [[each for each in own if len(each.faces) > 1 and each.to_part[0] < 0.85] for own in asked]
    extended = [[each for each in own if each.positive[1]] for own in corrected]
    reduced = [[each for each in own if not each.positive[1]] for own in corrected]
    stage = "second clicks on a neighbouring part"
    pairs = [_pairs(shop, subject) for subject in track(subjects, stage, shop.on_progress, len(subjects))]
    measures = [
        Measure.mean(
            "IoU with two neighbouring parts, a positive click in each",
            [[float(p["both"] or 0) for p in own] for own in pairs],
        ),
        Measure.mean(
            "a negative click where one click took a neighbour too: share of that neighbour still selected",
            [[p["left"] for p in own if p["left"] is not None] for own in pairs],
        ),
        Measure.mean(
            "and share of the first part that stays selected",
            [[p["kept"] for p in own if p["kept"] is not None] for own in pairs],
        ),
        Measure.mean(
            "positive corrections that enlarge the answer",
            [[float(e.shares[1] > e.shares[0]) for e in own] for own in extended],
        ),
        Measure.mean(
            "negative corrections that reduce it", [[float(e.shares[1] < e.shares[0]) for e in own] for own in reduced]
        ),
        Measure.mean(
            "IoU with the part before a correction (where below .85)",
            [[e.to_part[0] for e in own] for own in corrected],
        ),
        Measure.mean("and after it", [[e.to_part[1] for e in own] for own in corrected]),
    ]
    verdict, why = _verdict(measures)
    rows: list[Any] = []
    for name, first, second, positive in SHOWN:
        subject = next((s for s in subjects if s.name == name), None)
        names = {wish.name for wish in subject.wishes} if subject else set()
        if subject is not None and {first, second} <= names:
            rows += _two_panels(shop, subject, subject.wish(first), subject.wish(second), positive)
    if not rows:
        rows = _two_panels(shop, subjects[0], subjects[0].wishes[0], subjects[0].wishes[1], True)
    sheet = Sheet([("", rows[start : start + 4]) for start in range(0, len(rows), 4)], "One click, and a second", 220)
    looks = (
        "As in the paper, pairs of pictures: left one click, right the same with a second one, green to add, red to "
        "take away. A click at the tip of the hammer's claw takes only the tip."
    )
    return Outcome(measures, verdict, why, sheet, looks, [s.name for s in subjects])


def _verdict(measures: list[Measure]) -> tuple[str, str]:
    grows, shrinks, both = (measures[k].ours or 0.0 for k in (3, 4, 0))
    good = grows > 0.9 and shrinks > 0.9
    verdict = AGREES if good and both > 0.75 else PARTLY if both > 0.55 else DIFFERS
    return verdict, (
        f"{grows:.0%} of positive corrections enlarge the answer and {shrinks:.0%} of negative ones reduce it; of two "
        f"neighbouring "
        f"parts, clicked one after the other, the two together are had with IoU {both:.2f}."
    )


def _pairs(shop: Workshop, subject: Subject) -> list[dict[str, float | None]]:
    """Two neighbouring parts at a time: both positive, and the second negative if the first click's answer takes it."""
    return shop.measured("second_clicks", "ours", [subject], lambda: _measure(shop, subject))


def _measure(shop: Workshop, subject: Subject) -> list[dict[str, float | None]]:
    segmenter, areas, found = shop.segmenter(subject), subject.areas, []
    for first, second in neighbours(subject)[: shop.pick(8, 2)]:
        faces = np.array([subject.innermost(first.part), subject.innermost(second.part)])
        one, both, without = (
            segmenter.face_probability(faces[:count], np.array([True, sign])[:count]) > 0.5
            for count, sign in ((1, True), (2, True), (2, False))
        )
        union = first.part | second.part
        taken = areas[one & second.part].sum() > 0.5 * areas[second.part].sum()
        found.append(
            {
                "both": float(areas[both & union].sum() / areas[both | union].sum()),
                "left": float(areas[without & second.part].sum() / areas[second.part].sum()) if taken else None,
                "kept": float(areas[without & first.part].sum() / areas[first.part].sum()) if taken else None,
            }
        )
    return found


def neighbours(subject: Subject) -> list[tuple[Wish, Wish]]:
    """Pairs of parts that share a border, within a group first, the largest first."""
    by_label = {wish.label: wish for wish in subject.wishes}
    labels = subject.labels
    assert labels is not None  # else there were no wishes
    touching = {tuple(sorted(pair)) for pair in labels[subject.graph.pairs].tolist() if pair[0] != pair[1]}
    pairs = [(by_label[a], by_label[b]) for a, b in touching if a in by_label and b in by_label]

    def rank(pair: tuple[Wish, Wish]) -> tuple:
        smaller = min(float(subject.areas[wish.part].sum()) for wish in pair)
        return pair[0].group_name != pair[1].group_name, -smaller, pair[0].label, pair[1].label

    return sorted(pairs, key=rank)


def _two_panels(shop: Workshop, subject: Subject, first: Wish, second: Wish, positive: bool) -> list[Any]:
    segmenter = shop.segmenter(subject)
    faces = [subject.innermost(first.part), subject.innermost(second.part)]
    two = click(subject, faces) if positive else click(subject, faces[:1], faces[1:])
    angle = subject.pictures.angles(two, segmenter.probability(two))[0]
    sign = "+" if positive else "-"
    return [
        answer_panel(subject, segmenter, click(subject, faces[:1]), f"{subject.name}: {first.name}", angle, 220),
        answer_panel(subject, segmenter, two, f"{sign} {second.name}", angle, 220),
    ]


FIGURE = Figure(
    "fig06_second_clicks",
    ("6",),
    "a second click",
    "a second positive click extends the region (a lamp's bulb, then the flat surface around it), a second negative "
    "click takes from it "
    "(the hammer's head, then without its front).",
    7,
    make,
)
