"""A simulated person who clicks on parts of synthetic shapes and corrects what the network answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from models.prior.inputs import FIRM, Asked, ClickBatch, NodeTensors, click_batch, held_distances
from models.prior.nodes import NodeGraph

LARGEST, SMALLEST = 0.85, 0.004  # share of the area of what is asked for
PART, GROUP, UNION = range(3)
BY_SIZE = 0.35  # power of their area by which wishes of a kind are drawn
JOINTED, LIMBS = ("body",), 0.4  # of a body, people name a forearm more often than an arm: so much fewer groups


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How the person asks.

    group_share   of the wishes that are groups; union_share: that are two adjacent parts; the others are parts
    left_out      share of the groups of which the person does not want one part
    anywhere      share of the clicks that fall anywhere in their region by area; the others are innermost, as an ideal
                  annotator's are
    border_noise  share of the wishes with a border elsewhere than at the crease: people cut where they like, and a
                  click beside a border then means a small correction
    elsewhere     share of the corrections that are of an answer that is not the network's own: what others' votes
                  elect, or another segmenter, may be nearly right, or mean something else
    forgotten     share of the corrections that come without the answer that they correct
    """

    group_share: float = 0.5
    union_share: float = 0.12
    left_out: float = 0.0
    anywhere: float = 0.25
    border_noise: float = 0.4
    elsewhere: float = 0.3
    forgotten: float = 0.1


class TrainingShape:
    """One shape of the training data; tensors that the network reads are on `device`.

    example: the arrays of `models.prior.data.make_example`
    """

    def __init__(self, example: dict[str, np.ndarray], device: torch.device | str = "cpu") -> None:
        self.example, self.family, self.device = example, str(example["family"]), torch.device(device)
        names = ("position", "normal", "area", "curvature", "thickness", "length", "conductance", "modes", "rates")
        arrays = {name: np.asarray(example[name], dtype=np.float32) for name in names}
        whole = {name: example[name].astype(np.int64) for name in ("pairs", "walls", "component")}
        self.graph = NodeGraph(**arrays, **whole)
        self.seen = np.asarray(example["seen"], dtype=np.float32)
        self.share = self.graph.area / self.graph.area.sum()  # also of what no view shows: parts have insides
        self.weight = torch.from_numpy(self.share).to(self.device)
        self._distances = held_distances(self.graph)

    @cached_property
    def nodes(self) -> NodeTensors:
        return NodeTensors.of(self.graph, self.example["features"], self.seen, self.example["embedding"]).to(
            self.device
        )

    @cached_property
    def targets(self) -> Targets:
        part, group = self.example["part"].astype(np.int64), self.example["group"].astype(np.int64)
        above = self.example.get("above", np.zeros((0, len(part))))  # data made before there were such levels
        masks = [part == label for label in np.unique(part)]
        kinds = [PART] * len(masks)
        masks += [group == label for label in np.unique(group)]
        once = len(masks)  # what comes after is left out where it repeats one before
        masks += [labels == label for labels in above for label in np.unique(labels)]
        kinds += [GROUP] * (len(masks) - len(kinds))
        ends = part[self.graph.pairs]
        for first, second in np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0):
            masks.append((part == first) | (part == second))
            kinds.append(UNION)
        masks, kinds = np.stack(masks), np.array(kinds)
        share = masks @ self.share
        _, first = np.unique(masks, axis=0, return_index=True)  # a group of one part is that part
        duplicate = np.arange(len(masks)) >= once
        duplicate[first] = False
        shown = masks @ (self.share * (self.seen > 0)) > SMALLEST / 4  # what no view shows cannot be clicked
        kept = (share > SMALLEST) & (share < LARGEST) & shown & ~duplicate
        return Targets(masks[kept], share[kept], kinds[kept])

    def release(self) -> None:
        """Forget what was computed from the example."""
        for name in ("nodes", "targets"):
            self.__dict__.pop(name, None)
        self._distances = held_distances(self.graph)

    def batch(self, sets: Sequence[ClickSet], nodes: NodeTensors) -> ClickBatch:
        """What the network reads of some sets; nodes: the shape's own, or with inputs hidden."""
        return click_batch(nodes, self._distances, [Asked(each.nodes, each.positive, each.previous) for each in sets])


@dataclass(frozen=True, eq=False)
class Targets:
    """What may be asked for: masks (T, N) bool, shares (T,) of the visible area, kinds (T,) PART, GROUP or UNION."""

    masks: np.ndarray
    share: np.ndarray
    kinds: np.ndarray


@dataclass
class ClickSet:
    """A person's wish on a shape, and the clicks so far.

    target, smaller, larger  (N,) bool: what is wanted, and what a finer and a coarser answer should be
    nodes, positive          of the clicks
    previous                 (N,) float32 logits of the answer that the last click corrects; None: of none
    done                     nothing is left to click
    """

    target: np.ndarray
    smaller: np.ndarray
    larger: np.ndarray
    nodes: list[int]
    positive: list[bool]
    previous: np.ndarray | None = None
    done: bool = False


def draw_set(shape: TrainingShape, habits: Habits, rng: np.random.Generator) -> ClickSet | None:
    """A wish with its first click; None if the shape has nothing to ask for."""
    targets = shape.targets
    if len(targets.masks) == 0:
        return None
    draw = rng.random()
    groups = habits.group_share * (LIMBS if shape.family in JOINTED else 1.0)
    kind = GROUP if draw < groups else UNION if draw < groups + habits.union_share else PART
    pool = np.flatnonzero(targets.kinds == kind)
    if len(pool) == 0:
        pool = np.arange(len(targets.masks))
    weight = targets.share[pool] ** BY_SIZE
    target = targets.masks[int(rng.choice(pool, p=weight / weight.sum()))]
    if kind == GROUP and rng.random() < habits.left_out:
        target = without_a_part(shape, target, rng)
    if rng.random() < habits.border_noise:
        target = with_moved_border(shape, target, rng)
    click_set = ClickSet(target, target, target, [first_click(shape, target, rng, habits.anywhere)], [True])
    if rng.random() < 0.2:  # some clicks at once, anywhere
        for _ in range(int(rng.integers(1, 5))):
            positive = bool(rng.random() < 0.5)
            region = np.flatnonzero((target if positive else ~target) & (shape.seen > 0))
            if len(region):
                click_set.nodes.append(int(rng.choice(region)))
                click_set.positive.append(positive)
    nest(shape, click_set)
    return click_set


def without_a_part(shape: TrainingShape, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) the target without one of the parts that are at most half of it, the larger ones likelier; unchanged if
    there is none."""
    targets = shape.targets
    half = targets.share < shape.share[target].sum() / 2
    pool = np.flatnonzero((targets.kinds == PART) & half & ~(targets.masks & ~target).any(axis=1))
    if len(pool) == 0:
        return target
    weight = targets.share[pool] ** BY_SIZE
    return target & ~targets.masks[int(rng.choice(pool, p=weight / weight.sum()))]


def with_moved_border(shape: TrainingShape, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) the target grown or shrunk by up to its inner radius, all around or near one place of its border."""
    inner, outer = shape.graph.depth_inside(target), shape.graph.depth_inside(~target)
    width = (0.05 + 1.05 * rng.random() ** 2) * inner.max()
    depth = outer if rng.random() < 0.5 else inner
    changed = (depth > 0) & (depth <= width)
    if changed.any() and rng.random() < 0.6:
        position = shape.graph.position
        place = position[rng.choice(np.flatnonzero(changed))]
        changed &= np.linalg.norm(position - place, axis=1) < rng.uniform(1.0, 3.0) * inner.max()
    moved = target ^ changed
    share = float(shape.share[moved].sum())
    return moved if SMALLEST < share < LARGEST else target


def first_click(shape: TrainingShape, target: np.ndarray, rng: np.random.Generator, anywhere: float = 0.0) -> int:
    """Innermost, or in a share of cases `anywhere` in the visible target by area."""
    visible = target & (shape.seen > 0)
    if visible.any() and rng.random() < anywhere:
        return by_area(shape, visible, rng)
    return int(shape.graph.depth_inside(visible).argmax())


def by_area(shape: TrainingShape, region: np.ndarray, rng: np.random.Generator) -> int:
    """A random node of `region` (N,) bool, not empty."""
    nodes = np.flatnonzero(region)
    weight = shape.graph.area[nodes].astype(np.float64)
    return int(rng.choice(nodes, p=weight / weight.sum()))


def nest(shape: TrainingShape, click_set: ClickSet) -> None:
    """What a finer and a coarser answer should be: the smallest and the largest wish that these clicks allow.

    Where no single wish holds all positive clicks, the finer answer is the smallest wish at each of them.
    """
    masks, share, target = shape.targets.masks, shape.targets.share, click_set.target
    positive = np.array(click_set.positive)
    at = masks[:, click_set.nodes]
    free = np.logical_not(at[:, ~positive].any(axis=1))
    allowed = free & at[:, positive].all(axis=1)
    inside: np.ndarray = free & ~(masks & ~target).any(axis=1)

    def smallest(which: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(which)
        return masks[rows[share[rows].argmin()]]

    each = list((inside[:, None] & at[:, positive]).T)
    if (allowed & inside).any():
        click_set.smaller = smallest(allowed & inside)
    elif len(each) > 1 and all(which.any() for which in each):
        click_set.smaller = np.any([smallest(which) for which in each], axis=0)
    else:
        click_set.smaller = target
    above = np.flatnonzero(allowed & ~(target & ~masks).any(axis=1))
    click_set.larger = masks[above[share[above].argmax()]] if len(above) else target


def imagined(shape: TrainingShape, click_set: ClickSet, rng: np.random.Generator) -> np.ndarray:
    """(N,) logits of an answer that the first click might have got: near what is wanted, or what else it may mean."""
    target, masks = click_set.target, shape.targets.masks
    draw, clicked = rng.random(), click_set.nodes[0]
    selected = target
    if draw < 0.4:
        selected = with_moved_border(shape, target, rng)
    else:
        mask = masks[int(rng.integers(len(masks)))]
        others = masks[masks[:, clicked]]
        if draw < 0.7 and len(others):
            selected = others[int(rng.integers(len(others)))]
        else:
            selected = target & ~mask if (target & mask).any() else target | mask
    return np.where(selected, 1.0, -1.0).astype(np.float32) * np.float32(rng.uniform(0.5, FIRM))


def correct_answers(
    shape: TrainingShape, sets: Sequence[ClickSet], logits: np.ndarray, habits: Habits, rng: np.random.Generator
) -> None:
    """A further click on each of B answers, default logits (B, N), or on others (`Habits.elsewhere`)."""
    for click_set, own in zip(sets, logits):
        other = rng.random() < habits.elsewhere
        answer = imagined(shape, click_set, rng) if other else own.astype(np.float32)
        correct(shape, click_set, answer > 0, rng, habits.anywhere)
        click_set.previous = None if rng.random() < habits.forgotten else answer


def correct(
    shape: TrainingShape, click_set: ClickSet, selected: np.ndarray, rng: np.random.Generator, anywhere: float = 0.25
) -> None:
    """Click in the larger of the missed and the wrong region of an answer (N,) bool: innermost, or `anywhere` in it."""
    visible, area = shape.seen > 0, shape.graph.area
    missed, wrong = click_set.target & ~selected & visible, selected & ~click_set.target & visible
    positive = bool(area[missed].sum() >= area[wrong].sum())
    region = missed if positive else wrong
    if not region.any():
        click_set.done = True
        return
    somewhere = rng.random() < anywhere
    node = by_area(shape, region, rng) if somewhere else int(shape.graph.depth_inside(region).argmax())
    if node in click_set.nodes:
        click_set.done = True
        return
    click_set.nodes.append(node)
    click_set.positive.append(positive)
    nest(shape, click_set)
