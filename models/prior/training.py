"""Training of the prior: a simulated person clicks on parts of synthetic shapes and corrects what the network answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from models.prior.data import depth_inside
from models.prior.inputs import INPUTS, NodeTensors
from models.prior.nodes import NodeGraph

LARGEST, SMALLEST = 0.8, 0.006  # share of the area of what is asked for


@dataclass(frozen=True)
class PriorTraining:
    """Settings. The defaults are those of the shipped weights, but for where first clicks fall; docs/prior.md says what others did.

    sets             click sets of each shape in a step; shapes: how many in a step
    rounds           most corrections in a row; each round is a step
    dropout          share of the shapes for which one kind of input is left out; left_out: kinds that always are
    group_share      of the targets that are groups; union_share: that are two adjacent parts; far_share: that are several parts which need not
                     touch, with a click in each; the others are parts
    anywhere         share of the clicks that fall anywhere in their region by area; the others are innermost, as an ideal annotator's are
    border_noise     share of the targets with a border elsewhere than at the crease: people cut where they like, and a click beside
                     a border then means a small correction
    hold             weight of nodes that the answer before a correction had right, less 1: a correction should not undo them
    """

    sets: int = 6
    shapes: int = 3
    rounds: int = 7
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    dropout: float = 0.12
    group_share: float = 0.5
    union_share: float = 0.12
    far_share: float = 0.0
    anywhere: float = 0.25
    border_noise: float = 0.4
    hold: float = 0.0
    nested_weight: float = 0.25
    best_weight: float = 0.5
    quality_weight: float = 0.2
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict:
        return asdict(self)


class TrainingShape:
    """One shape of the training data, with what clicks on it have needed so far; tensors that the network reads are on `device`."""

    def __init__(self, example: dict[str, np.ndarray], device: torch.device | str = "cpu") -> None:
        self.family, self.device = str(example["family"]), torch.device(device)
        float32 = {
            key: np.asarray(example[key], dtype=np.float32)
            for key in (
                "position",
                "normal",
                "area",
                "curvature",
                "thickness",
                "length",
                "conductance",
                "modes",
                "rates",
            )
        }
        self.graph = NodeGraph(**float32, pairs=example["pairs"].astype(np.int64))
        self.example = example
        self.seen = np.asarray(example["seen"], dtype=np.float32)
        weight = self.graph.area * (self.seen > 0)
        self.share = weight / max(weight.sum(), 1e-9)
        self.weight = torch.from_numpy(self.share).to(self.device)
        self.candidates = example["clicks"].astype(np.int64)
        self.place = {int(node): k for k, node in enumerate(self.candidates)}
        self._distances: dict[int, np.ndarray] = {}

    @cached_property
    def nodes(self) -> NodeTensors:
        return NodeTensors.of(self.graph, self.example["features"], self.seen).to(self.device)

    @cached_property
    def targets(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(T, N) bool, what may be asked for; (T,) shares of the visible area; (T,) 0 part, 1 group, 2 union."""
        part, group = self.example["part"].astype(np.int64), self.example["group"].astype(np.int64)
        masks, kinds = [], []
        for kind, labels in enumerate((part, group)):
            for label in np.unique(labels):
                masks.append(labels == label)
                kinds.append(kind)
        ends = part[self.graph.pairs]
        touching = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
        for first, second in touching:
            masks.append((part == first) | (part == second))
            kinds.append(2)
        masks, kinds = np.stack(masks), np.array(kinds)
        share = masks @ self.share
        _, first = np.unique(masks, axis=0, return_index=True)  # a group of one part is that part
        duplicate = np.ones(len(masks), dtype=bool)
        duplicate[first] = False
        kept = (share > SMALLEST) & (share < LARGEST) & ~(duplicate & (kinds == 2))
        return masks[kept], share[kept], kinds[kept]

    @cached_property
    def labelled(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """For parts and for groups: (L, N) bool, those that may be asked for, and (L,) what each is (alike ones share a number)."""
        result = []
        for level in ("part", "group"):
            labels = self.example[level].astype(np.int64)
            masks = labels[None] == np.arange(labels.max() + 1)[:, None]
            share = masks @ self.share
            kept = (share > SMALLEST) & (share < LARGEST)
            result.append((masks[kept], self.example[f"{level}_kind"][kept]))
        return result

    def release(self) -> None:
        """Forget what was computed from the example."""
        for name in ("nodes", "targets", "labelled"):
            self.__dict__.pop(name, None)
        self._distances.clear()

    def distances(self, nodes: list[int]) -> Tensor:
        """(C, N, 2)."""
        missing = [node for node in dict.fromkeys(nodes) if node not in self._distances]
        if missing:
            self._distances |= dict(zip(missing, self.graph.distances_from(np.array(missing)).astype(np.float16)))
        return torch.from_numpy(np.stack([self._distances[node] for node in nodes])).to(self.device).float()

    def masks(self, nodes: list[int]) -> Tensor:
        """(C, N, 4); zeros for nodes that were not prompted."""
        result = torch.zeros(len(nodes), len(self.graph), 4)
        for row, node in enumerate(nodes):
            if node in self.place:
                result[row] = torch.from_numpy(self.example["masks"][self.place[node]]).float() / 255
        return result.to(self.device)


@dataclass
class ClickSet:
    """A person's wish on a shape, and the clicks so far.

    target, smaller, larger  (N,) bool: what is wanted, and what a finer and a coarser answer should be
    later                    (N,) bool each: parts that are added to the wish, with a click, once the present ones are selected
    right                    (N,) bool: where the last answer was as wanted; None before the first
    """

    target: np.ndarray
    smaller: np.ndarray
    larger: np.ndarray
    nodes: list[int]
    positive: list[bool]
    later: list[np.ndarray] = field(default_factory=list)
    right: np.ndarray | None = None
    done: bool = False


def draw_set(shape: TrainingShape, settings: PriorTraining, rng: np.random.Generator) -> ClickSet | None:
    """A wish with its first click; None if the shape has nothing to ask for."""
    masks, share, kinds = shape.targets
    if len(masks) == 0:
        return None
    draw = rng.random()
    if draw < settings.far_share and (members := far_members(shape, rng)):
        return far_set(shape, members, settings, rng)
    draw = rng.random() * (1 - settings.far_share)
    kind = 1 if draw < settings.group_share else 2 if draw < settings.group_share + settings.union_share else 0
    pool = np.flatnonzero(kinds == kind)
    if len(pool) == 0:
        pool = np.arange(len(masks))
    weight = np.sqrt(share[pool])
    chosen = int(rng.choice(pool, p=weight / weight.sum()))
    target = masks[chosen]
    if rng.random() < settings.border_noise:
        target = with_moved_border(shape, target, rng)
    start, several = [first_click(shape, target, rng, settings.anywhere)], [True]
    if rng.random() < 0.2:  # some clicks at once, anywhere
        for _ in range(int(rng.integers(1, 5))):
            positive = bool(rng.random() < 0.5)
            region = np.flatnonzero((target if positive else ~target) & (shape.seen > 0))
            if len(region):
                start.append(int(rng.choice(region)))
                several.append(positive)
    click_set = ClickSet(target, target, target, start, several)
    nest(shape, click_set)
    return click_set


def far_members(shape: TrainingShape, rng: np.random.Generator) -> list[np.ndarray]:
    """(N,) bool of two to five parts or groups that do not touch, most often alike ones. Empty if the shape has none such."""
    masks, kinds = shape.labelled[int(rng.random() < 0.5)]
    if len(masks) < 2:
        return []
    several = [kind for kind in np.unique(kinds) if (kinds == kind).sum() > 1]
    alike = bool(several) and rng.random() < 0.6
    pool = np.flatnonzero(kinds == rng.choice(several)) if alike else np.arange(len(masks))
    most = int(rng.integers(2, 6)) if alike else 2 + int(rng.random() < 0.3)
    chosen: list[int] = []
    for label in rng.permutation(pool)[:12]:
        if len(chosen) < most and not any(_touch(shape, masks[label], masks[other]) for other in chosen):
            chosen.append(int(label))
    together = float(shape.share[masks[chosen].any(axis=0)].sum())
    return [masks[label] for label in chosen] if len(chosen) > 1 and together < LARGEST else []


def _touch(shape: TrainingShape, first: np.ndarray, second: np.ndarray) -> bool:
    one, other = shape.graph.pairs.T
    return bool(((first[one] & second[other]) | (second[one] & first[other])).any())


def far_set(
    shape: TrainingShape, members: list[np.ndarray], settings: PriorTraining, rng: np.random.Generator
) -> ClickSet:
    """A wish for several parts: most often a click in each at once, else one after the other."""
    members = [
        with_moved_border(shape, member, rng) if rng.random() < settings.border_noise else member for member in members
    ]
    begun = len(members) if rng.random() < 0.6 else 1
    target = np.any(members[:begun], axis=0)
    start = [first_click(shape, member, rng, settings.anywhere) for member in members[:begun]]
    click_set = ClickSet(target, target, target, start, [True] * begun, members[begun:])
    nest(shape, click_set)
    return click_set


def with_moved_border(shape: TrainingShape, target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) the target grown or shrunk by up to its inner radius, most often by less, all around or near one place of its border."""
    inner, outer = depth_inside(target, shape.graph), depth_inside(~target, shape.graph)
    width = (0.05 + 1.05 * rng.random() ** 2) * inner.max()
    if rng.random() < 0.5:
        changed = (outer > 0) & (outer <= width)
    else:
        changed = (inner > 0) & (inner <= width)
    if changed.any() and rng.random() < 0.6:
        position = shape.graph.position
        place = position[rng.choice(np.flatnonzero(changed))]
        changed &= np.linalg.norm(position - place, axis=1) < rng.uniform(1.0, 3.0) * inner.max()
    moved = target ^ changed
    share = float(shape.share[moved].sum())
    return moved if SMALLEST < share < LARGEST else target


def first_click(shape: TrainingShape, target: np.ndarray, rng: np.random.Generator, anywhere: float = 0.0) -> int:
    """Innermost, on a node with the teacher's masks where one serves, or `anywhere` (a share) in the visible target by area."""
    visible = target & (shape.seen > 0)
    if visible.any() and rng.random() < anywhere:
        return by_area(shape, visible, rng)
    inside = shape.candidates[target[shape.candidates]]
    depth = depth_inside(visible, shape.graph)
    if len(inside) and rng.random() < 0.9:
        return int(inside[depth[inside].argmax()])
    return int(depth.argmax())


def by_area(shape: TrainingShape, region: np.ndarray, rng: np.random.Generator) -> int:
    """A random node of `region` (N,) bool, not empty."""
    nodes = np.flatnonzero(region)
    weight = shape.graph.area[nodes].astype(np.float64)
    return int(rng.choice(nodes, p=weight / weight.sum()))


def nest(shape: TrainingShape, click_set: ClickSet) -> None:
    """What a finer and a coarser answer should be: the smallest and the largest wish that these clicks allow; of several parts the
    finer is the smallest wish at each click."""
    masks, share, _ = shape.targets
    positive = np.array(click_set.positive)
    at = masks[:, click_set.nodes]
    free = ~at[:, ~positive].any(axis=1)
    allowed = free & at[:, positive].all(axis=1)
    target = click_set.target
    inside = free & ~(masks & ~target).any(axis=1)
    below, above = np.flatnonzero(allowed & inside), np.flatnonzero(allowed & ~(target & ~masks).any(axis=1))
    if len(below):
        click_set.smaller = masks[below[share[below].argmin()]]
    else:
        each = [np.flatnonzero(inside & masks[:, node]) for node, sign in zip(click_set.nodes, positive) if sign]
        several = len(each) > 1 and all(len(found) for found in each)
        click_set.smaller = (
            np.any([masks[found[share[found].argmin()]] for found in each], axis=0) if several else target
        )
    click_set.larger = masks[above[share[above].argmax()]] if len(above) else target


def correct(
    shape: TrainingShape, click_set: ClickSet, selected: np.ndarray, rng: np.random.Generator, anywhere: float = 0.25
) -> None:
    """Click in the larger of the missed and the wrong region: innermost, or on a prompted node nearly as deep, or `anywhere` in it.

    If most of what is wanted so far is selected and more is wanted `later`, the click is the first on that.
    """
    visible, area = shape.seen > 0, shape.graph.area
    if click_set.later:
        either = (click_set.target | selected) & visible
        reached = area[click_set.target & selected & visible].sum() > 0.8 * area[either].sum()
        if reached or rng.random() < 0.4:
            member = click_set.later.pop(0)
            click_set.target = click_set.target | member
            _add(shape, click_set, first_click(shape, member, rng, anywhere), True)
            return
    missed, wrong = click_set.target & ~selected & visible, selected & ~click_set.target & visible
    positive = bool(area[missed].sum() >= area[wrong].sum())
    region = missed if positive else wrong
    if not region.any():
        click_set.done = True
        return
    if rng.random() < anywhere:
        node = by_area(shape, region, rng)
    else:
        depth = depth_inside(region, shape.graph)
        node = int(depth.argmax())
        prompted = shape.candidates[region[shape.candidates]]
        if len(prompted) and depth[prompted].max() >= 0.4 * depth[node]:
            node = int(prompted[depth[prompted].argmax()])
    if node in click_set.nodes:
        click_set.done = True
        return
    _add(shape, click_set, node, positive)


def _add(shape: TrainingShape, click_set: ClickSet, node: int, positive: bool) -> None:
    """One more click, and what its answers should be."""
    click_set.nodes.append(node)
    click_set.positive.append(positive)
    nest(shape, click_set)


def batch_of(shape: TrainingShape, sets: list[ClickSet], without: tuple[str, ...] = ()) -> tuple[Tensor, ...]:
    """clicks (B, C), positive, present (B, C), channels (B, N, CLICK_CHANNELS)."""
    width = max(len(s.nodes) for s in sets)
    clicks = torch.zeros(len(sets), width, dtype=torch.int64)
    positive, present = torch.zeros(len(sets), width, dtype=torch.bool), torch.zeros(len(sets), width, dtype=torch.bool)
    channels = []
    for row, click_set in enumerate(sets):
        count = len(click_set.nodes)
        clicks[row, :count], positive[row, :count] = torch.tensor(click_set.nodes), torch.tensor(click_set.positive)
        present[row, :count] = True
        channels.append(
            shape.nodes.click_channels(
                clicks[row, :count].to(shape.device),
                positive[row, :count].to(shape.device),
                shape.distances(click_set.nodes),
                shape.masks(click_set.nodes),
                without,
            )
        )
    return *(x.to(shape.device) for x in (clicks, positive, present)), torch.stack(channels)


def segmentation_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(...) over nodes: half cross-entropy with both sides weighing nearly alike, and 1 - soft IoU; targets (..., N) in {0, 1}."""
    inside = (weight * target).sum(dim=-1, keepdim=True).clamp(1e-4, 1 - 1e-4)
    # the square root between plain and fully balanced: a few wrong nodes beside a small part matter, not equally
    balance = torch.where(target > 0.5, inside.rsqrt(), (1 - inside).rsqrt())
    balance = weight * balance
    cross = (bce(logits, target, reduction="none") * balance).sum(dim=-1) / balance.sum(dim=-1)
    probability = logits.sigmoid()
    both = (weight * probability * target).sum(dim=-1)
    either = (weight * (probability + target - probability * target)).sum(dim=-1)
    return cross + (1 - both / either.clamp(min=1e-5))


def set_losses(
    logits: Tensor, quality: Tensor, sets: list[ClickSet], weight: Tensor, settings: PriorTraining
) -> tuple[Tensor, dict]:
    """Loss of B sets, and what is worth logging; logits (B, 3, N), quality (B, 3)."""
    wanted, smaller, larger = (
        torch.from_numpy(np.stack([getattr(s, name) for s in sets])).to(logits.device).float()
        for name in ("target", "smaller", "larger")
    )
    right = (
        torch.from_numpy(np.stack([np.zeros_like(s.target) if s.right is None else s.right for s in sets]))
        .to(logits.device)
        .float()
    )
    held = weight * (1 + settings.hold * right)
    held = held / held.sum(dim=-1, keepdim=True)
    for_each = segmentation_loss(logits, wanted[:, None].expand_as(logits), held[:, None])
    nested = segmentation_loss(logits[:, 0], smaller, weight) + segmentation_loss(logits[:, 2], larger, weight)
    with torch.no_grad():
        iou = hard_iou(logits, wanted[:, None], weight)
    rated = (quality.sigmoid() - iou).square().mean(dim=1)
    loss = (
        for_each[:, 1]
        + settings.best_weight * for_each.amin(dim=1)
        + settings.nested_weight * nested
        + settings.quality_weight * rated
    )
    return loss.mean(), {
        "iou": iou[:, 1],
        "oracle": iou.amax(dim=1),
        "quality_error": (quality.sigmoid() - iou).abs().mean(dim=1),
    }


def hard_iou(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(...) area-weighted IoU of what is above 0 with targets (..., N)."""
    selected = (logits > 0).float()
    both = (weight * selected * target).sum(dim=-1)
    return both / (weight * (selected + target - selected * target)).sum(dim=-1).clamp(min=1e-9)


def train_rounds(
    network,
    shapes: list[TrainingShape],
    optimizer,
    settings: PriorTraining,
    rng: np.random.Generator,
    amp: bool = False,
) -> list[dict]:
    """Ask, answer, learn, correct, and again: one step a round. Returns what was measured in each round."""
    live, records = [], []
    for shape in shapes:
        sets = [s for s in (draw_set(shape, settings, rng) for _ in range(settings.sets)) if s is not None]
        without = settings.left_out + ((str(rng.choice(INPUTS)),) if rng.random() < settings.dropout else ())
        if sets:
            live.append((shape, sets, without))
    rounds = int(rng.integers(1, settings.rounds + 1))
    for round_index in range(rounds):
        optimizer.zero_grad(set_to_none=True)
        values, loss_sum = [], 0.0
        total = sum(len(sets) for _, sets, _ in live)
        if total == 0:
            break
        following = []
        for shape, sets, without in live:
            batch = batch_of(shape, sets, without)
            with torch.autocast(shape.device.type, dtype=torch.bfloat16, enabled=amp):
                logits, quality = network(shape.nodes, network.encode(shape.nodes, without), *batch)
            logits, quality = logits.float(), quality.float()
            loss, measured = set_losses(logits, quality, sets, shape.weight, settings)
            (loss * len(sets) / total).backward()
            loss_sum += float(loss.detach()) * len(sets) / total
            values.append(measured)
            if round_index + 1 < rounds:
                selected = (logits[:, 1].detach() > 0).cpu().numpy()
                for row, click_set in enumerate(sets):
                    correct(shape, click_set, selected[row], rng, settings.anywhere)
                    click_set.right = selected[row] == click_set.target
                following.append((shape, [s for s in sets if not s.done], without))
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        live = [entry for entry in following if entry[1]]
        records.append(
            {
                "round": round_index,
                "loss": loss_sum,
                "sets": total,
                **{key: float(torch.cat([v[key] for v in values]).detach().mean()) for key in values[0]},
            }
        )
    return records


@torch.no_grad()
def validate(
    network,
    shapes: list[TrainingShape],
    settings: PriorTraining,
    clicks: int = 5,
    sets: int = 4,
    seed: int = 0,
    anywhere: float = 0.0,
) -> dict:
    """Means over wishes on shapes that were not trained on: IoU after each click, the best of three at the first, quality error.

    The wishes are parts, groups and adjacent parts, with borders at the creases; `anywhere`: share of the clicks that are not innermost.
    `far@1`: wishes for several parts that need not touch, after one click in each.
    """
    left_out = settings.left_out
    plain, far = (
        replace(settings, border_noise=0.0, far_share=0.0, anywhere=anywhere),
        replace(settings, border_noise=0.0, anywhere=anywhere),
    )
    rng = np.random.default_rng(seed)
    ious, oracle, error, apart = [[] for _ in range(clicks)], [], [], []
    for shape in shapes:
        encoded = network.encode(shape.nodes, left_out)

        def answer(asked: list[ClickSet]) -> tuple[Tensor, Tensor, Tensor]:
            logits, quality = network(shape.nodes, encoded, *batch_of(shape, asked, left_out))
            wanted = torch.from_numpy(np.stack([s.target for s in asked])).to(logits.device).float()
            return logits, quality, hard_iou(logits, wanted[:, None], shape.weight)

        live = [s for s in (draw_set(shape, plain, rng) for _ in range(sets)) if s is not None]
        for click_set in live:
            click_set.nodes, click_set.positive = click_set.nodes[:1], click_set.positive[:1]
        last = np.zeros(len(live))
        for round_index in range(clicks):
            going = [k for k, s in enumerate(live) if not s.done]
            if going:
                logits, quality, iou = answer([live[k] for k in going])
                last[going] = iou[:, 1].cpu().numpy()
                if round_index == 0:
                    oracle += iou.amax(dim=1).tolist()
                    error += (quality.sigmoid() - iou).abs().mean(dim=1).tolist()
                for row, k in enumerate(going):
                    correct(shape, live[k], (logits[row, 1] > 0).cpu().numpy(), rng, anywhere)
            ious[round_index] += last.tolist()
        asked = [
            far_set(shape, members, far, rng) for members in (far_members(shape, rng) for _ in range(sets)) if members
        ]
        for click_set in asked:
            while click_set.later:  # all clicks at once
                member = click_set.later.pop(0)
                click_set.target = click_set.target | member
                _add(shape, click_set, first_click(shape, member, rng, anywhere), True)
        if asked:
            apart += answer(asked)[2][:, 1].tolist()
        shape.release()
    return {
        **{f"iou@{k + 1}": float(np.mean(values)) for k, values in enumerate(ious)},
        "oracle@1": float(np.mean(oracle)),
        "far@1": float(np.mean(apart)) if apart else float("nan"),
        "quality_error": float(np.mean(error)),
        "held_out_sets": len(oracle),
    }
