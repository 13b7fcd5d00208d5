"""Fig. 18: where the negative click lies along a limb says how much of the limb is selected."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import vertices_panel
from models.figures.subjects import Subject, Wish
from models.figures.workshop import Workshop
from utils.clicks import Clicks
from utils.geometry.geodesics import SurfaceDistances
from utils.output.panels import Chart, Sheet
from utils.output.plots import HUES
from utils.progress import track
from utils.selection import iou

PLACES = 8  # of the negative click along a limb


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    tracked = track(subjects, "negative clicks along limbs", shop.on_progress, len(subjects))
    found = [shop.measured("granularity", "ours", [s], lambda s=s: _measure(shop, s)) for s in tracked]
    rising = [[each["rank"] for each in own if each["rank"] is not None] for own in found]
    measures = [
        Measure.mean(
            "rank correlation of the selected share with the negative click's place (1: the farther, the more)", rising
        ),
        Measure.mean(
            "difference of the selected share of the limb, farthest minus nearest place",
            [[e["shares"][-1] - e["shares"][0] for e in own] for own in found],
        ),
        Measure.mean(
            "IoU with the limb up to the negative click", [[v for e in own for v in e["iou"]] for own in found]
        ),
        Measure.mean(
            "negative clicks that keep the region beyond them out (under 10 % selected)",
            [[float(v < 0.1) for e in own for v in e["beyond"]] for own in found],
        ),
    ]
    rank, span = measures[0].ours or 0.0, measures[1].ours or 0.0
    verdict = AGREES if rank > 0.6 and span > 0.25 else PARTLY if rank > 0.3 else DIFFERS
    why = (
        f"Over {sum(map(len, found))} limbs the selected share follows the place of the negative click with rank "
        f"correlation {rank:.2f}, and grows by "
        f"{span:.0%} of the limb from the nearest to the farthest place; it moves in steps, from joint to joint, "
        f"rather than with the click."
    )
    rows: list[tuple[str, list[Any]]] = [
        (f"{s.name}: {g}", _panels(shop, s, g, own)) for s, g, own in _shown(subjects, found)
    ]
    rows.append(("", [Chart(lambda axes: _draw(axes, subjects, found), width=2.0)]))
    looks = "The leg of a human, as in Fig. 18; the region ends before the red click."
    return Outcome(
        measures, verdict, why, Sheet(rows, "The place of the negative click", 200), looks, [s.name for s in subjects]
    )


def _limbs(subject: Subject) -> dict[str, list[Wish]]:
    """Groups named after a limb, with their parts from the trunk outwards (the order in which they are named)."""
    limbs: dict[str, list[Wish]] = {}
    for wish in subject.wishes:
        if wish.group_name.endswith((" leg", " arm")):
            limbs.setdefault(wish.group_name, []).append(wish)
    return {name: parts for name, parts in limbs.items() if len(parts) >= 2}


def _positions(subject: Subject, parts: list[Wish]) -> tuple[int, np.ndarray, np.ndarray, list[int]]:
    """The positive vertex, distances from it (V,), the limb (V,) bool, and vertices at equal steps along the limb."""
    first = subject.vertex(subject.innermost(parts[0].part))
    distance = SurfaceDistances(subject.mesh).from_each([first])[0, :, 0].astype(np.float64)
    limb = np.zeros(subject.mesh.num_vertices, dtype=bool)
    limb[subject.mesh.faces[parts[0].group]] = True
    beyond = np.zeros_like(limb)
    for wish in parts:
        beyond[subject.mesh.faces[wish.part]] |= wish is not parts[0]
    # Only what lies on the far side of the first click: nearer to the limb's end than the click is.
    end = int(np.flatnonzero(limb)[np.argmax(np.where(beyond, distance, 0)[limb])])
    from_end = SurfaceDistances(subject.mesh).from_each([end])[0, :, 0]
    outward = limb & (from_end < from_end[first])
    steps = np.linspace(0.3, 0.97, PLACES) * distance[outward].max()
    candidates = np.flatnonzero(outward)
    return first, distance, limb, [int(candidates[np.argmin(np.abs(distance[candidates] - s))]) for s in steps]


def _measure(shop: Workshop, subject: Subject) -> list[dict[str, Any]]:
    segmenter, result = shop.segmenter(subject), []
    limbs = list(_limbs(subject).items())
    for name, parts in limbs[: shop.pick(len(limbs), 1)]:
        first, distance, limb, places = _positions(subject, parts)
        shares, ious, beyond = [], [], []
        for negative in places:
            selected = segmenter.segment(clicks=Clicks.from_lists([first], [negative])).selected
            shares.append(float(selected[limb].mean()))
            ious.append(iou(selected, limb & (distance < distance[negative])))
            rest = limb & (distance > 1.1 * distance[negative])
            if rest.any():
                beyond.append(float(selected[rest].mean()))
        rank = float(np.asarray(spearmanr(range(len(shares)), shares))[0]) if np.ptp(shares) > 0.02 else 0.0
        result.append(
            {
                "limb": name,
                "places": places,
                "first": first,
                "shares": shares,
                "iou": ious,
                "beyond": beyond,
                "rank": rank,
            }
        )
    return result


def _shown(subjects: list[Subject], found: list[list[dict[str, Any]]]) -> list[tuple[Subject, str, dict[str, Any]]]:
    """A leg of each of the first two meshes."""
    shown = []
    for subject, own in list(zip(subjects, found))[:2]:
        legs = [each for each in own if each["limb"].endswith("leg")] or own
        if legs:
            shown.append((subject, legs[0]["limb"], legs[0]))
    return shown


def _panels(shop: Workshop, subject: Subject, limb: str, each: dict[str, Any]) -> list[Any]:
    segmenter, chosen = shop.segmenter(subject), each["places"][1::2]
    sets = [Clicks.from_lists([each["first"]]), *(Clicks.from_lists([each["first"]], [place]) for place in chosen)]
    every = Clicks.from_lists([each["first"]], chosen)
    angle = subject.pictures.angles(every, segmenter.probability(sets[-1]))[0]
    labels = ["one click", *(f"{share:.0%} of the limb" for share in each["shares"][1::2])]
    return [vertices_panel(subject, segmenter.probability(c), c, label, angle, 200) for c, label in zip(sets, labels)]


def _draw(axes: Axes, subjects: list[Subject], found: list[list[dict[str, Any]]]) -> None:
    place = np.linspace(0.3, 0.97, PLACES)
    for color, subject, own in zip(HUES, subjects, found):
        if own:
            axes.plot(
                place,
                np.mean([each["shares"] for each in own], axis=0),
                color=color,
                marker="o",
                markersize=3,
                label=subject.name,
            )
    axes.set(ylim=(0, 1))
    axes.set_xlabel("place of the negative click: 0 at the positive one, 1 at the end", fontsize=9)
    axes.set_ylabel("share of the limb selected", fontsize=9)
    axes.legend(frameon=False, fontsize=8)


FIGURE = Figure(
    "fig18_granularity",
    ("18",),
    "granularity by the place of the negative click",
    "when a leg is segmented, the place of the negative click along it controls whether the foot, the lower shin or "
    "the upper calf is left "
    "out.",
    3,
    make,
)
