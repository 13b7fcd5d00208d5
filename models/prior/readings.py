"""What a correction may mean, and what is known of each such reading, for the judge (`models.prior.judge`).

Many selections keep to the clicks: the network's answers, the same near the click only, the selection before with the
component under the click added or taken away, the same with a neighbourhood of the click, and the answers to the 192
clicks all over the mesh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from models.corrections import NEAREST
from models.prior.components import Components
from models.prior.corrections import NodeAnswer, correct_locally
from models.prior.earlier_clicks import EARLIER, Earlier, of_earlier_clicks
from models.prior.inputs import FIRM, RADIUS, Distances, NodeTensors
from models.prior.nodes import NodeGraph
from models.prior.votes import LEVELS, Votes
from utils.selection import pairwise_iou

UNJUDGED, NETWORK, LOCAL, WHOLE, VOTED, NEAR = range(6)  # where a reading comes from
SAME = 0.97  # IoU from which on two votes are one reading
MOST = 96  # readings from the votes
ALIKE = 0.7  # IoU from which on the answer to a click outside a reading says that it is not the whole
TINY = 1e-6
CHANGED_QUALITY = 0.8  # expected where a component or a neighbourhood is added or taken away
# Neighbourhoods of a click: their sizes in its distances from the border that it moves, by plain and concave distance.
SIZES, CHANGED = (1.0, 1.5, 2.0, 3.0, 4.5, 6.0), 2.0  # CHANGED: logit of what they change
# What is known of a reading, by the methods of `Terrain` that say it.
KNOWN = (
    *("network", "network inside", "unjudged", "quality", "trust", "allowed"),
    *(f"source {source}" for source in range(NEAR + 1)),
    *("votes, best", "votes, default", "votes, all", "votes, number"),
    *("votes outside, best", "votes outside, share", "votes, any"),
    *("size", "first click, gap", "first click, mean", "first click, middle"),
    *("border", "no border", "border, concave", "border, embedding", "border, field", "border, normals"),
    *("spread, embedding", "first click, embedding", "spread, field", "first click, field"),
    *("components, broken", "components, number", "components, many", "components, natural", "components, clicked"),
    *("walls, parted", "walls"),
    *("before", "change", "change, other way", "change, of before"),
    *("last click, gap", "last click, mean", "last click, middle", "clicks, margin"),
    *("change, any vote", "change, votes", "adds", "clicks", "new border", "new border, concave"),
    *EARLIER,
)


@dataclass(frozen=True, eq=False)
class Readings:
    """R selections of N nodes, of which the first is what would be answered without a judge.

    logits    (R, N) float32; selected (R, N) bool
    source    (R,) int64, `UNJUDGED` to `VOTED`; quality (R,) float32, IoU that the network expects of each
    allowed   (R,) bool: keeps to the clicks, or is the first
    """

    logits: np.ndarray
    selected: np.ndarray
    source: np.ndarray
    quality: np.ndarray
    allowed: np.ndarray

    def answer(self, row: int, asking: Asking) -> NodeAnswer:
        """One of them as the default, between the finer and the coarser answer that there would be without a judge."""
        if row == 0:
            return asking.unjudged
        finer, _, coarser = asking.unjudged.logits
        middle = self.logits[row]
        logits = np.stack([np.minimum(finer, middle), middle, np.maximum(coarser, middle)])
        return NodeAnswer(logits, asking.unjudged.quality)


@dataclass(frozen=True, eq=False)
class _Reading:
    """R selections (R, N) bool, the areas of their nodes (R, N), their own (R,), and the root of these, a length."""

    selected: np.ndarray
    weighted: np.ndarray
    size: np.ndarray
    radius: np.ndarray


@dataclass(frozen=True, eq=False)
class Asking:
    """A correction of an answer.

    before     the answer; nodes (C,) int64, positive (C,) bool: all clicks, the last of which corrects it
    network    the network's three answers to them; unjudged: what would be answered without a judge
    first      the answer to the first click alone
    earlier    of the corrections before this one, at least the last few: the selection (N,) bool that there was, the
               node clicked and its sign
    """

    before: NodeAnswer
    nodes: np.ndarray
    positive: np.ndarray
    network: NodeAnswer
    unjudged: NodeAnswer
    first: NodeAnswer
    earlier: Sequence[Earlier] = ()

    @property
    def adds(self) -> bool:
        return bool(self.positive[-1])


@dataclass(frozen=True, eq=False)
class Terrain:
    """A mesh of N nodes as readings are looked at: its graph, what the network reads of it, votes and components."""

    graph: NodeGraph
    tensors: NodeTensors
    votes: Votes
    components: Components
    distances: Distances

    @property
    def area(self) -> np.ndarray:
        """(N,) float32, summing to 1."""
        return self.graph.area

    @cached_property
    def borders(self) -> np.ndarray:
        """(E, 5) float32 of the adjacent pairs: border length, and times how concave it is, how far the point network's
        embedding, the field and the normals differ across it."""
        length = np.maximum(self.graph.conductance[:, 0] * self.graph.length[:, 0], 1e-9)
        first, second = self.graph.pairs.T
        embedding, field = self.likeness
        apart = [np.linalg.norm(values[first] - values[second], axis=1) for values in (RADIUS * embedding, field)]
        turn = 1 - (self.graph.normal[first] * self.graph.normal[second]).sum(axis=1)
        return (np.stack([np.ones_like(turn), 1 - self.graph.flatness, *apart, turn], axis=1) * length[:, None]).astype(
            np.float32
        )

    @cached_property
    def likeness(self) -> tuple[np.ndarray, np.ndarray]:
        """(N, 32), (N, D): the point network's embedding in radii of a part, and the field in deviations."""
        features = self.tensors.features.numpy()
        return self.tensors.embedding.numpy() / RADIUS, features / np.sqrt(features.shape[1])

    @cached_property
    def voted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The votes' selections (N, V) float32, their areas (V,), and the squares of their expected IoU (K, LEVELS)."""
        selected = self.votes.selected.T.astype(np.float32)
        return selected, self.area @ selected, self.votes.quality.astype(np.float32) ** 2

    @cached_property
    def members(self) -> sp.csr_matrix:
        """(C, N) float32, 1 for the nodes of each component that has nodes: of 100,000 crumbs most have none."""
        row, size = np.unique(self.graph.component, return_inverse=True)[1], len(self.area)
        ones = np.ones(size, dtype=np.float32)
        return sp.csr_matrix((ones, (row, np.arange(size))), shape=(int(row.max()) + 1, size))

    def away(self, node: int) -> np.ndarray:
        """(N,) float32 distance along the surface."""
        return self.distances([int(node)])[0, :, 0].numpy()

    # --- readings ------------------------------------------------------------------------------------

    def readings(self, asking: Asking) -> Readings:
        """All that the clicks may mean."""
        nodes, positive, before = asking.nodes, asking.positive, asking.before.logits[1]
        local = correct_locally(asking.before, asking.network, self.distances, nodes, positive)
        clicked = np.where(self.graph.component == self.graph.component[nodes[-1]], FIRM, -FIRM).astype(np.float32)
        whole = [np.maximum(before, clicked), clicked] if asking.adds else [np.minimum(before, -clicked)]
        near = self._near_click(asking)
        kept, signs = last_on_each(nodes, positive)
        rows = self._votes_keeping(kept, signs)
        own = [asking.unjudged.logits[1], *asking.network.logits, *local.logits, *whole, *near]
        logits = np.concatenate([np.stack(own), self.votes.logits.reshape(-1, len(before))[rows].astype(np.float32)])
        selected = logits > 0
        quality = [
            asking.network.quality.max(),
            *asking.network.quality,
            *local.quality,
            *[CHANGED_QUALITY] * (len(whole) + len(near)),
        ]
        source = [UNJUDGED, *[NETWORK] * LEVELS, *[LOCAL] * LEVELS, *[WHOLE] * len(whole), *[NEAR] * len(near)]
        source += [VOTED] * len(rows)
        allowed = (selected[:, kept] == signs).all(axis=1)
        allowed[0] = True
        quality = np.r_[quality, self.votes.quality.ravel()[rows]].astype(np.float32)
        return Readings(logits, selected, np.array(source), quality, allowed)

    def _near_click(self, asking: Asking) -> np.ndarray:
        """(P, N) the answer before, but what is nearer to the last click than to those of the other sign follows it, up
        to `SIZES` times its distance from the border that it moves."""
        before, selected = asking.before.logits[1], asking.before.selected
        kept, signs = last_on_each(asking.nodes, asking.positive)  # one on the clicked node is no rival
        others = kept[signs != asking.adds].tolist()
        away = self.distances([int(asking.nodes[-1]), *others])[:, :, :2].numpy().astype(np.float32)
        beyond = selected != selected[asking.nodes[-1]]  # the border that moves lies between the click and these
        changed = np.zeros((0, len(before)), dtype=bool)
        for own, rivals in zip(away[0].T, np.moveaxis(away[1:], 2, 0)):
            free = (own < rivals).all(axis=0)
            gap = own[beyond].min(initial=np.inf)
            if np.isfinite(gap):
                reach = np.maximum(gap, NEAREST) * np.array(SIZES)[:, None]
                changed = np.vstack([changed, free & (own <= reach)])
        each = {row.tobytes(): place for place, row in enumerate(np.packbits(changed, axis=1))}
        changed = changed[list(each.values())]  # where two sizes are the same nodes, once
        pushed = np.maximum(before, CHANGED) if asking.adds else np.minimum(before, -CHANGED)
        return np.where(changed, pushed, before).astype(np.float32)

    def _votes_keeping(self, nodes: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """Rows of the votes that keep to the clicks, the best first, without those that say the same again."""
        rows = np.flatnonzero((self.votes.selected[:, nodes] == positive).all(axis=1))
        rows = rows[np.argsort(-self.votes.quality.ravel()[rows], kind="stable")]
        among = self.votes.agreement[np.ix_(rows, rows)]
        new, kept = np.ones(len(rows), dtype=bool), []
        for place in range(len(rows)):
            if new[place] and len(kept) < MOST:
                kept.append(place)
                new &= among[place] < SAME
        return rows[kept]

    # --- what is known of them -----------------------------------------------------------------------

    def describe(self, readings: Readings, asking: Asking) -> np.ndarray:
        """(R, len(KNOWN)) float32."""
        selected = readings.selected
        weighted = selected * self.area
        size = weighted.sum(axis=1)
        reading = _Reading(selected, weighted, size, np.sqrt(np.maximum(size, 1e-4)))
        found = {
            **self._of_network(reading, readings, asking),
            **self._of_votes(reading),
            **self._of_first_click(reading, int(asking.nodes[0])),
            **self._of_border(reading),
            **self._of_likeness(reading, int(asking.nodes[0])),
            **self._of_components(reading, int(asking.nodes[0])),
            **self._of_change(reading, asking),
            **of_earlier_clicks(selected, asking.earlier, self.area, self.around),
        }
        rows = [np.broadcast_to(np.asarray(found[name], dtype=np.float32), len(selected)) for name in KNOWN]
        return np.nan_to_num(np.stack(rows, axis=1))

    def _of_network(self, reading: _Reading, readings: Readings, asking: Asking) -> dict[str, np.ndarray | float]:
        """How it agrees with the network's answer."""
        best = asking.network.logits[int(asking.network.quality.argmax())]
        probability = 1 / (1 + np.exp(-np.clip(best, -15, 15)))
        both = reading.weighted @ probability
        return {
            "network": both / np.maximum(reading.size + self.area @ probability - both, TINY),
            "network inside": both / np.maximum(reading.size, TINY),
            "unjudged": pairwise_iou(reading.selected, reading.selected[:1], self.area)[:, 0],
            "quality": readings.quality,
            "trust": float(asking.first.quality[1]),
            "allowed": readings.allowed,
            **{f"source {source}": readings.source == source for source in range(NEAR + 1)},
        }

    def _of_votes(self, reading: _Reading) -> dict[str, np.ndarray]:
        """What the answers to the clicks in it, and to those elsewhere, have to do with it."""
        by_level, inside = self._iou_with_votes(reading.weighted, reading.size), reading.selected[:, self.votes.nodes]
        best, weight = by_level.max(axis=2), self.voted[2]
        default = by_level[:, np.arange(len(weight)), weight.argmax(axis=1)]
        each, top = inside * weight.sum(axis=1), inside * weight.max(axis=1)
        outside = np.where(inside, 0, best)
        return {
            "votes, best": (best * top).sum(axis=1) / np.maximum(top.sum(axis=1), TINY),
            "votes, default": (default * top).sum(axis=1) / np.maximum(top.sum(axis=1), TINY),
            "votes, all": ((by_level * weight).sum(axis=2) * inside).sum(axis=1) / np.maximum(each.sum(axis=1), TINY),
            "votes, number": np.log1p(inside.sum(axis=1)) / 3,
            "votes outside, best": outside.max(axis=1),
            "votes outside, share": 10 * (outside > ALIKE).sum(axis=1) / np.maximum((~inside).sum(axis=1), TINY),
            "votes, any": best.max(axis=1),
        }

    def _iou_with_votes(self, weighted: np.ndarray, size: np.ndarray) -> np.ndarray:
        """(R, K, LEVELS) of selections given by their nodes' areas (R, N) and their own (R,)."""
        selected, areas, weight = self.voted
        both = weighted @ selected
        return (both / np.maximum(size[:, None] + areas - both, TINY)).reshape(len(size), *weight.shape)

    def _of_first_click(self, reading: _Reading, first: int) -> dict[str, np.ndarray]:
        """Whether the first click lies in its middle, where people click."""
        gap, mean = self.around(first, reading.selected, reading.weighted, reading.size)
        return {
            "size": np.log(np.maximum(reading.size, 1e-4)) / 3,
            "first click, gap": np.minimum(gap / reading.radius, 3),
            "first click, mean": np.minimum(mean / reading.radius, 4) / 2,
            "first click, middle": np.minimum(gap / np.maximum(mean, 1e-3), 2),
        }

    def around(
        self, node: int, region: np.ndarray, weighted: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(R,) distance from a node to the nearest one outside each region (R, N), and mean one to those inside."""
        away = self.away(node)
        gap = np.minimum(np.where(region, np.inf, away).min(axis=1), 3)
        return gap, (weighted @ np.minimum(away, 3)) / np.maximum(size, TINY)

    def _of_border(self, reading: _Reading) -> dict[str, np.ndarray]:
        """Its border: length for its size, and what separates both sides."""
        length, *sums = (self._cut(reading.selected) @ self.borders).T
        none, even = length < TINY, np.sqrt(np.maximum(reading.size * (1 - reading.size), 0))
        means = [np.where(none, 1, each / np.maximum(length, TINY)) for each in sums]
        return {
            "border": np.minimum(length / np.maximum(even, 0.02), 20) / 8,
            "no border": none,
            **dict(zip(("border, concave", "border, embedding", "border, field", "border, normals"), means)),
        }

    def _cut(self, selected: np.ndarray) -> np.ndarray:
        """(R, E) float32, which adjacent pairs the borders of selections (R, N) bool go between."""
        first, second = self.graph.pairs.T
        return (selected[:, first] ^ selected[:, second]).astype(np.float32)

    def _of_likeness(self, reading: _Reading, first: int) -> dict[str, np.ndarray]:
        """How alike what it selects is, and how like the first click."""
        found = {}
        for name, values in zip(("embedding", "field"), self.likeness):
            mean = reading.weighted @ values / np.maximum(reading.size, TINY)[:, None]
            square = reading.weighted @ np.square(values).sum(axis=1) / np.maximum(reading.size, TINY)
            found[f"spread, {name}"] = np.sqrt(np.maximum(square - np.square(mean).sum(axis=1), 0))
            found[f"first click, {name}"] = np.minimum(np.linalg.norm(mean - values[first], axis=1), 4)
        return found

    def _of_components(self, reading: _Reading, first: int) -> dict[str, np.ndarray | float]:
        """Whether it keeps components and walls whole."""
        inside, whole = (self.members @ reading.weighted.T).T, self.members @ self.area
        many = len(whole) > 1
        clicked = self.graph.component == self.graph.component[first]
        front, back = self.graph.walls.T
        either = (reading.selected[:, front] | reading.selected[:, back]).sum(axis=1)
        parted = (reading.selected[:, front] ^ reading.selected[:, back]).sum(axis=1)
        broken = np.minimum(inside, whole - inside).sum(axis=1) / np.maximum(reading.size, TINY)
        return {
            "components, broken": broken * many,
            "components, number": np.log1p((inside > 0.5 * whole).sum(axis=1)) / 3 * many,
            "components, many": float(many),
            "components, natural": float(self.components.natural[self.graph.component[first]]),
            "components, clicked": pairwise_iou(reading.selected, clicked[None], self.area)[:, 0],
            "walls, parted": parted / np.maximum(either, 1),
            "walls": np.minimum(1, either / np.maximum(reading.selected.sum(axis=1), 1)),
        }

    def _of_change(self, reading: _Reading, asking: Asking) -> dict[str, np.ndarray | float]:
        """What it changes of the answer before, and whether the last click lies in the middle of that."""
        earlier = asking.before.selected
        more, less = reading.selected & ~earlier, earlier & ~reading.selected
        region, other = (more, less) if asking.adds else (less, more)
        weighted = region * self.area
        size = weighted.sum(axis=1)
        gap, mean = self.around(int(asking.nodes[-1]), region, weighted, size)
        radius = np.sqrt(np.maximum(size, 1e-4))
        margin = np.full(len(size), 3.0)
        for node, positive in zip(asking.nodes, asking.positive):
            margin = np.minimum(margin, np.where(reading.selected == positive, np.inf, self.away(node)).min(axis=1))
        best = self._iou_with_votes(weighted, size).max(axis=2)
        sure = region[:, self.votes.nodes] * self.voted[2].max(axis=1)
        new = (self._cut(region) * self._cut(reading.selected)) @ self.borders[:, :2]
        concave = np.where(new[:, 0] < TINY, 1, new[:, 1] / np.maximum(new[:, 0], TINY))
        return {
            "before": pairwise_iou(reading.selected, earlier[None], self.area)[:, 0],
            "change": np.log(np.maximum(size, 1e-4)) / 3,
            "change, other way": np.minimum((other @ self.area) / np.maximum(size, TINY), 3),
            "change, of before": np.minimum(size / np.maximum(self.area @ earlier, TINY), 4) / 2,
            "last click, gap": np.minimum(gap / radius, 3),
            "last click, mean": np.minimum(mean / radius, 4) / 2,
            "last click, middle": np.minimum(gap / np.maximum(mean, 1e-3), 2),
            "clicks, margin": np.minimum(margin / reading.radius, 3),
            "change, any vote": best.max(axis=1),
            "change, votes": (best * sure).sum(axis=1) / np.maximum(sure.sum(axis=1), TINY),
            "adds": float(asking.adds),
            "clicks": min(len(asking.nodes), 6) / 6,
            "new border": np.minimum(new[:, 0] / np.maximum(radius, 0.02), 10) / 4,
            "new border, concave": concave,
        }


def last_on_each(nodes: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of clicks (C,) and their signs (C,) those that were the last on their node: faces of one node may be clicked with
    both signs, and no selection of nodes obeys both."""
    last = np.sort(len(nodes) - 1 - np.unique(nodes[::-1], return_index=True)[1])
    return nodes[last], positive[last]
