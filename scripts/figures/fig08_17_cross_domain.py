"""Figs. 8 and 17: the feature of a click on one mesh selects on another mesh, with the other's decoder."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import torch

from models.figures.fields import RECIPE, FeatureDecoder, separate
from models.figures.figure import AGREES, DIFFERS, PARTLY, Figure, Measure, Outcome
from models.figures.show import click, on_vertices, vertices_panel
from models.figures.subjects import Subject, Wish
from models.figures.workshop import Workshop
from utils.clicks import Clicks
from utils.output.panels import Panel, Sheet
from utils.progress import track
from utils.selection import iou, otsu_threshold

SIDES = ("right ", "left ", "front ", "hind ", "back ")
OTHERS = 4  # random vertices that a click is compared with
# (from, part, to): a leg of the camel on the chair (Fig. 17), the belly of a human on an airplane (Fig. 8), ...
SHOWN = (
    ("camel", "front right leg upper", "chair_small"),
    ("humanoid_small", "belly", "airplane"),
    ("camel", "neck", "goat_small"),
    ("goat_small", "muzzle", "camel"),
)


def make(shop: Workshop) -> Outcome:
    subjects = shop.subjects(FIGURE.name)
    for subject in track(subjects, "decoders of features", shop.on_progress, len(subjects)):
        separate(shop, subject)
    pairs = [(a, b) for a, b in permutations(subjects, 2) if _common(a, b)]
    tracked = track(pairs, "clicks carried to another mesh", shop.on_progress, len(pairs))
    found = [
        shop.measured(f"cross {RECIPE}", "field", [a, b], lambda a=a, b=b: _measure(shop, a, b)) for a, b in tracked
    ]
    measures = [
        Measure.mean(
            "IoU with the part of the same name on another mesh", [[e["cross"] for e in own] for own in found]
        ),
        Measure.mean(
            "control: the feature of a random vertex outside of the part", [[e["other"] for e in own] for own in found]
        ),
        Measure.mean(
            "control: a random feature (noise of the same mean and deviation)",
            [[e["noise"] for e in own] for own in found],
        ),
        Measure.mean("difference of the first two", [[e["cross"] - e["other"] for e in own] for own in found]),
        Measure.mean(
            "difference of the first and the third", [[e["cross"] - e["noise"] for e in own] for own in found]
        ),
        Measure.mean("IoU on the mesh itself, by the same decoder", [[e["own"] for e in own] for own in found]),
    ]
    verdict, why = _verdict(measures, len(pairs))
    rows = [("", cells) for name, part, to in SHOWN for cells in [_panels(shop, subjects, name, part, to)] if cells]
    if not rows:
        rows = [("", _panels(shop, subjects, subjects[0].name, subjects[0].wishes[0].name, subjects[1].name))]
    looks = (
        "Rows as in the paper: the click, its answer on the mesh itself, and on another mesh, by the feature alone. "
        "Across domains there is no right "
        "answer to measure; these are pictures only."
    )
    return Outcome(
        measures, verdict, why, Sheet(rows, "A click's feature on another mesh", 220), looks, [s.name for s in subjects]
    )


def _verdict(measures: list[Measure], pairs: int) -> tuple[str, str]:
    cross, other, noise, gain, over_noise = measures[:5]
    above, beyond = (each.interval is not None and each.interval[0] > 0 for each in (gain, over_noise))
    verdict = AGREES if above and beyond and (cross.ours or 0) > 0.5 else PARTLY if above else DIFFERS
    does = "cannot be told from what another vertex's says"
    if above:
        does = "carries over: better than another vertex's" + (
            " and than noise" if beyond else ", not surely than noise"
        )
    return verdict, (
        f"Over {pairs} ordered pairs of meshes with parts of one name, the click's feature gives IoU "
        f"{cross.ours or 0:.2f}, that of a random "
        f"other vertex {other.ours or 0:.2f}, noise {noise.ours or 0:.2f}. So what a feature says {does}"
        + (", though far from a segmentation of the part." if above and (cross.ours or 0) < 0.5 else ".")
        + " The field is distilled from vit_t, a teacher of 12 million weights trained on synthetic shapes; SAM "
        "ViT-H may carry more meaning."
    )


def plain(name: str) -> str:
    """A part's name without the side."""
    for side in SIDES:
        name = name.replace(side, "")
    return name


def _common(source: Subject, target: Subject) -> list[tuple[Wish, list[Wish]]]:
    """Parts of the source with those of the same name, sides aside, on the target."""
    found = [
        (wish, [other for other in target.wishes if plain(other.name) == plain(wish.name)]) for wish in source.wishes
    ]
    return [(wish, others) for wish, others in found if others]


def answered(decoder: FeatureDecoder, features: torch.Tensor) -> np.ndarray:
    """(V,) bool, by Otsu's threshold."""
    probability = decoder.probability(features)
    return probability > otsu_threshold(probability)


def best(selected: np.ndarray, regions: list[np.ndarray]) -> float:
    """IoU with whichever region fits best: a feature does not know sides, so one of several alike, or all, may be "
    "meant."""
    return max(iou(selected, region) for region in [*regions, np.logical_or.reduce(regions)])


def _regions(subject: Subject, wishes: list[Wish]) -> list[np.ndarray]:
    return [on_vertices(subject, faces) > 0.5 for wish in wishes for faces in (wish.part, wish.group)]


def _measure(shop: Workshop, source: Subject, target: Subject) -> list[dict[str, float]]:
    one, two = separate(shop, source), separate(shop, target)
    rng = shop.rng("cross", source.name, target.name)
    mean, scale = one.features.mean(0), one.features.std(0)
    result = []
    for wish, others in _common(source, target):
        vertex = subject_vertex(source, wish)
        inside = on_vertices(source, wish.part) > 0.5
        wrong = rng.choice(np.flatnonzero(~inside), OTHERS)
        noise = mean + scale * torch.from_numpy(rng.normal(size=(OTHERS, len(mean))).astype(np.float32))
        regions = _regions(target, others)
        result.append(
            {
                "own": best(answered(one, one.features[[vertex]]), _regions(source, [wish])),
                "cross": best(answered(two, one.features[[vertex]]), regions),
                "other": float(np.mean([best(answered(two, one.features[[int(v)]]), regions) for v in wrong])),
                "noise": float(np.mean([best(answered(two, row[None]), regions) for row in noise])),
            }
        )
    return result


def subject_vertex(subject: Subject, wish: Wish) -> int:
    """Of the innermost click on a part."""
    return subject.vertex(subject.innermost(wish.part))


def _panels(shop: Workshop, subjects: list[Subject], name: str, part: str, to: str) -> list[Panel]:
    by_name = {subject.name: subject for subject in subjects}
    if name not in by_name or to not in by_name or part not in {wish.name for wish in by_name[name].wishes}:
        return []
    source, target = by_name[name], by_name[to]
    one, two = separate(shop, source), separate(shop, target)
    clicks = click(source, [source.innermost(source.wish(part).part)])
    feature = one.features[clicks.vertices]
    own, cross = one.probability(feature), two.probability(feature)
    none: Any = Clicks.of([])
    start = source.pictures.angles(clicks, own)[0]
    strongest = Clicks.of([(int(np.argmax(cross)), True)])
    return [
        vertices_panel(source, np.zeros_like(own), clicks, f"click: {source.title}, {part}", start, 220),
        vertices_panel(source, own, clicks, "on itself", start, 220),
        vertices_panel(target, cross, none, f"on the {target.title}", target.pictures.angles(strongest, cross)[0], 220),
    ]


FIGURE = Figure(
    "fig08_17_cross_domain",
    ("8", "17"),
    "cross-domain segmentation",
    "the feature of a click on one shape, decoded by another shape's decoder, selects a similar region there, also "
    "in another domain: the belly of a "
    "human that of an airplane, the front right leg of a camel mostly that of a chair.",
    10,
    make,
)
