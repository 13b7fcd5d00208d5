"""What a trained decoder answers, made steady: a first click by vote, further ones as corrections of what is there.

The decoder answers every set of clicks anew, so that a correction may undo what was right elsewhere, and a click beside
a border hears less than one in the middle. It is therefore asked once for clicks all over the mesh, after its training.
Where it is unsure, or has been sure of what was wrong, a place nearer to what was included than to what was excluded is
more likely to be meant. A positive click whose own answer stands apart from the selection is a wish for one part more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from models.corrections import InOrder, first_positive_first, near_click
from utils.geometry.graphs import pieces
from utils.geometry.mesh import Mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.progress import Progress, silent, track
from utils.selection import obey, pairwise_iou

ANSWERS_VERSION = 8  # counts up where the same checkpoint gives other answers
VOTERS, FEWEST, ASKED = 96, 24, 2_000_000  # clicks that are asked about: fewer of more vertices, ASKED answers in all
SURE = 6.0  # logit from which a vertex counts as certain
OWN, ALIKE = 0.3, 3.0  # weight of the click's own answer, and the power of the IoU that others are weighted by
ASIDE = 0.3  # what an answer counts whose click the own one does not hold
REACH = 2.0  # of a correction (`near_click`)
OBEYED, PUSHED = 0.8, 2.0  # so far, in the same distances, a click has its way, with at least this logit
KEPT = 0.9  # weight of the answer so far away from a correction
NEARER, ROOM = 2.0, 0.02  # weight of the logarithm of the ratio of concave distances, and what is added to either
UNSURE = 2.0  # logit at which the weight is half, before any click has refuted the decoder
HELD_ANSWERS = 16

Decode = Callable[[np.ndarray, np.ndarray], np.ndarray]  # probability (V,) of vertices (C,) and signs (C,)


@dataclass(frozen=True, eq=False)
class Voters:
    """What a decoder answers to single clicks all over its mesh.

    vertices  (K,) int64, the clicks
    logits    (K, V) int8, 127 stands for `SURE`
    """

    vertices: np.ndarray
    logits: np.ndarray

    @classmethod
    def ask(cls, decode: Decode, mesh: Mesh, on_progress: Progress = silent) -> Voters:
        """Ask for clicks spread over the mesh."""
        count = min(max(ASKED // mesh.num_vertices, FEWEST), VOTERS)
        used = np.flatnonzero(mesh.referenced)
        vertices = used[farthest_point_sampling(mesh.normalized[used], min(count, len(used)))]
        clicks = track(vertices.tolist(), "ask around", on_progress, len(vertices), "click")
        answers = [_logits(decode(np.array([vertex]), np.array([True]))) for vertex in clicks]
        return cls(vertices, np.rint(np.stack(answers) * (127 / SURE)).astype(np.int8))

    def elect(self, own: np.ndarray, clicked: int, area: np.ndarray) -> np.ndarray:
        """(V,) logits: the answer `own` to a click, and those to other clicks that hold the click.

        area (V,): of the surface around each vertex. Of clicks inside the own answer, those that are most like it count
        most; of others, little, those that agree most with all. They decide where the own answer is a splinter.
        """
        held = self.logits[:, clicked] > 0
        others, inside = self.logits[held], own[self.vertices[held]] > 0
        selected = np.vstack([others, own]) > 0
        alike = pairwise_iou(selected, selected, area)[:-1]
        weight = np.where(inside, alike[:, -1] ** ALIKE, ASIDE * alike.mean(axis=1) ** ALIKE)
        if weight.sum() <= 0:
            return own
        mean = weight @ others / weight.sum()
        return (OWN * own + (1 - OWN) * SURE / 127 * mean).astype(own.dtype)


@dataclass(frozen=True, eq=False)
class _Held:
    """An answer that further clicks correct.

    logits    (V,) what the decoder makes of the clicks
    included  (V,) concave distance from the nearest positive click; excluded: negative, None without any
    refuted   clicks so far on what the answer before them was sure of otherwise
    """

    logits: np.ndarray
    included: np.ndarray
    excluded: np.ndarray | None = None
    refuted: int = 0

    def joined(self, logits: np.ndarray, clicked: int, away: np.ndarray, includes: bool) -> _Held:
        """After one more click, of concave distances `away` (V,)."""
        wrong = self.nearer()[clicked] * (-1 if includes else 1)
        refuted = self.refuted + int(wrong > UNSURE)
        if includes:
            return _Held(logits, np.minimum(self.included, away), self.excluded, refuted)
        excluded = away if self.excluded is None else np.minimum(self.excluded, away)
        return _Held(logits, self.included, excluded, refuted)

    def nearer(self) -> np.ndarray:
        """(V,) logits, where what is nearer to one kind of click counts more for it, unless the decoder is sure; the
        more often it was sure of what is wrong, the less that counts."""
        if self.excluded is None:
            return self.logits
        weight = NEARER / (1 + (self.logits / (UNSURE * (1 + self.refuted))) ** 2)
        return self.logits + weight * np.log((self.excluded + ROOM) / (self.included + ROOM))


@dataclass(frozen=True, eq=False)
class Correcting:
    """Answers clicks on a mesh in the order in which they were made.

    decode     the decoder's own answer to a set of clicks
    distances  (V, 2) along the surface from a vertex: plain and concave (`SurfaceDistances`)
    """

    mesh: Mesh
    voters: Voters
    decode: Decode
    distances: Callable[[int], np.ndarray]
    _answers: InOrder[_Held] = field(default_factory=lambda: InOrder(HELD_ANSWERS))

    def __call__(self, vertices: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(V,) float32 probability for clicks (C,) int64, (C,) bool, of which some are positive; all are obeyed."""
        in_order = first_positive_first(vertices, positive)
        logits = self._answers(*in_order, self._first, self._corrected).nearer()
        probability = (1 / (1 + np.exp(-logits))).astype(np.float32)
        return self._tidied(obey(probability, vertices[positive], vertices[~positive]), vertices[positive])

    def _tidied(self, probability: np.ndarray, included: np.ndarray) -> np.ndarray:
        """(V,) where pieces of the selection without a positive click are as surely out as they were in.

        Not on other components of the mesh than the clicked ones: a part may consist of several.
        """
        selected = probability > 0.5
        piece, component = pieces(selected, self.mesh.edges), self._component
        stray = selected & np.isin(component, component[included]) & ~np.isin(piece, piece[included])
        return np.where(stray, np.minimum(1 - probability, np.float32(0.49)), probability)

    @cached_property
    def _component(self) -> np.ndarray:
        """(V,) of the mesh, that each vertex is in."""
        return pieces(np.ones(self.mesh.num_vertices, dtype=bool), self.mesh.edges)

    def _first(self, vertex: int) -> _Held:
        """The answer to one click, by vote."""
        own = _logits(self.decode(np.array([vertex]), np.array([True])))
        return _Held(self.voters.elect(own, vertex, self.mesh.vertex_areas), self.distances(vertex)[:, 1])

    def _corrected(self, held: _Held, vertices: np.ndarray, positive: np.ndarray) -> _Held:
        """An answer, corrected by the last of the clicks."""
        clicked, includes = int(vertices[-1]), bool(positive[-1])
        distances = self.distances(clicked)
        logits = self._with_another_part(held, clicked) if includes else None
        if logits is None:
            after = _logits(self.decode(vertices, positive))
            logits = _moved(held.logits, after, distances[:, 0], includes)
        return held.joined(logits, clicked, distances[:, 1], includes)

    def _with_another_part(self, held: _Held, clicked: int) -> np.ndarray | None:
        """(V,) logits of an answer and of that to a further click alone; None where the two touch."""
        selected = held.nearer() > 0
        if selected[clicked]:
            return None
        alone = self._answers(np.array([clicked]), np.array([True]), self._first, self._corrected).logits
        part, (first, second) = alone > 0, self.mesh.edges.T
        meets = (part & selected).any() or ((part[first] & selected[second]) | (part[second] & selected[first])).any()
        return np.maximum(held.logits, alone) if part.any() and not meets else None


def _moved(before: np.ndarray, after: np.ndarray, away: np.ndarray, includes: bool) -> np.ndarray:
    """(V,) logits: the answer `before` a click, where it counts moved to what the decoder says `after` it.

    away (V,): plain distances from the click
    """
    agrees = (before > 0) == includes
    near = near_click(before > 0, away, includes, REACH)
    if near is None:
        return KEPT * before + (1 - KEPT) * after if agrees.any() else after
    moved = np.maximum(before, after) if includes else np.minimum(before, after)
    pushed = np.maximum(moved, PUSHED) if includes else np.minimum(moved, -PUSHED)
    moved = np.where(away <= OBEYED * away[agrees].min(), pushed, moved)
    return np.where(near, moved, KEPT * before + (1 - KEPT) * after)


def _logits(probability: np.ndarray) -> np.ndarray:
    """Within `SURE`."""
    rest = np.exp(-SURE)
    chance = np.clip(probability.astype(np.float64), rest / (1 + rest), 1 / (1 + rest))
    return np.log(chance / (1 - chance)).astype(np.float32)
