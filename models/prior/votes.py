"""Single clicks answered by consent: the answers to many other clicks on the mesh vote on what one click means.

A person who wants a part may click anywhere in it. The answers to all those clicks should be the same, but are not; the
one that agrees best with the others is a better guess than the answer to the one click alone, most of all beside a
border. The parts that all these answers divide the mesh into (`models.prior.tree`) vote, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.prior.inputs import FIRM
from utils.selection import pairwise_iou

VOTERS = 192
LEVELS = 3  # finer, default, coarser
ASIDE = 0.1  # what an answer whose click lies outside the own answer counts: it decides where hardly any lies within
BY_PARTS = 0.6  # what the parts of the mesh count beside all answers to clicks together
BESIDE_PARTS = 0.5  # what a component or facet counts, beside all parts, for the rungs of what a click may mean
RUNGS = 6  # at most, of what one click may mean
NESTED = 0.85  # share of the smaller of two rungs that lies in the larger, before they are cut to nest
LEAST_GAIN = 0.005  # in the mean of the largest IoU, for which a rung is added
CROWDED = 0.75  # power of what answers of a like size count together, by which each counts less for the rungs
LIKE_SIZE = 1.2  # ratio of their areas, one standard deviation
NEAR = 0.4  # IoU with what the network alone elects, above which a teacher that only advises may have its way
APART = 1.1  # ratio of the areas from which on an answer counts as finer or coarser than another


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of a mesh of N nodes that hold a click: selected (H, N) bool, weight (H,) of each; of nested ones they sum
    to 1."""

    selected: np.ndarray
    weight: np.ndarray

    def match(self, selected: np.ndarray, area: np.ndarray) -> np.ndarray:
        """(R,) mean IoU of selections (R, N) bool with them, by weight: what is expected of it as the answer to a click
        that they hold. area (N,)"""
        return pairwise_iou(selected, self.selected, area) @ self.weight

    def beside(self, other: np.ndarray) -> Parts:
        """With another selection (N,) bool, that what the mesh is made of has at the click."""
        return Parts(np.vstack([self.selected, other]), np.append(self.weight, BESIDE_PARTS))


@dataclass(frozen=True, eq=False)
class Ballot:
    """How much each of R candidates counts: votes (R,) on what a click means, cover (R,) on what else it may mean.

    network (R,): the votes without a teacher's masks, where these only advise; what is meant then lies near what they
    alone would elect
    """

    votes: np.ndarray
    cover: np.ndarray
    network: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Votes:
    """The answers to K clicks spread over a mesh of N nodes.

    nodes    (K,) int64 clicked nodes
    logits   (K, 3, N) float16; quality (K, 3) float32, IoU that the network expects of each
    area     (N,) float32, summing to 1
    """

    nodes: np.ndarray
    logits: np.ndarray
    quality: np.ndarray
    area: np.ndarray

    @property
    def of_network(self) -> Votes:
        """Those of the network's answers alone."""
        return self

    @cached_property
    def selected(self) -> np.ndarray:
        """(R, N) bool, the selections that are candidates: the answers, clicks first, then levels."""
        return (self.logits > 0).reshape(-1, len(self.area))

    def row(self, index: int) -> np.ndarray:
        """(N,) float32 logits of one of them."""
        return self.logits.reshape(-1, len(self.area))[index].astype(np.float32)

    def ballot(self, node: int, proposal: np.ndarray, holders: np.ndarray, quality: np.ndarray) -> Ballot:
        """What counts for a click on `node`: of the `holders` (H,) of it among the rows, then of the own three answers.

        proposal (N,) bool, the own answer expected to be best; quality (3,), that of the own answers
        """
        clicked = np.repeat(self.nodes, LEVELS)[holders]
        weight = self.quality.ravel()[holders].astype(np.float64) ** 2
        own = np.zeros(LEVELS)
        own[int(quality.argmax())] = 1.0
        return Ballot(
            np.r_[np.where(proposal[clicked], weight, ASIDE * weight), own],
            np.r_[weight, quality.astype(np.float64) ** 2],
        )

    @cached_property
    def agreement(self) -> np.ndarray:
        """(R, R) IoU of the selections with each other."""
        return pairwise_iou(self.selected, self.selected, self.area)

    def elect(
        self, node: int, logits: np.ndarray, quality: np.ndarray, parts: Parts | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What one click on `node` means, from the network's own answer to it: logits (3, N), quality (3,).

        The answers that hold the click vote, by the square of their expected quality; those whose click lies outside
        the own answer (the candidate expected to be best) by `ASIDE` of it, the own answer fully; and the parts of the
        mesh that hold it, by `BY_PARTS` of all of these. The answer of the highest mean IoU with the voters becomes the
        default. Finer and coarser are what else may be meant: the smaller and the larger answer that, beside the
        default, cover best (mean of the larger IoU) all answers that hold the click, cut to nest. Returns logits (3, N)
        float32, ascending along the first axis, and the mean IoU of each with the answers that vote.
        """
        holders = np.flatnonzero(self.selected[:, node])
        answers = np.vstack([self.selected[holders], logits > 0])  # the own three last
        with_own = pairwise_iou(logits > 0, answers, self.area)
        among = np.column_stack([self.agreement[np.ix_(holders, holders)], with_own[:, : len(holders)].T])
        ballot = self.ballot(node, logits[int(quality.argmax())] > 0, holders, quality)
        by_parts = np.zeros(len(answers))
        if parts is not None:
            by_parts = BY_PARTS * ballot.votes.sum() * parts.match(answers, self.area)

        def logits_of(row: int) -> np.ndarray:
            return logits[row - len(holders)] if row >= len(holders) else self.row(int(holders[row]))

        meant = _meant(np.vstack([among, with_own]), answers @ self.area, ballot, by_parts)
        finer, middle, coarser = map(logits_of, meant)
        answer = np.stack([np.minimum(finer, middle), middle, np.maximum(coarser, middle)])
        return answer, (pairwise_iou(answer > 0, answers, self.area) @ ballot.votes / ballot.votes.sum()).astype(
            np.float32
        )

    def elect_among(self, click: int) -> np.ndarray:
        """(3, N) bool, what `elect` selects for one of the K clicks; fast, as its answers are among the candidates."""
        own = LEVELS * click + np.arange(LEVELS)
        best, node = int(own[self.quality[click].argmax()]), int(self.nodes[click])
        holders = np.flatnonzero(self.selected[:, node])
        rows = np.r_[holders, own]
        ballot = self.ballot(node, self.selected[best], holders, self.quality[click])
        meant = _meant(self.agreement[np.ix_(rows, rows)], self._size[rows], ballot)
        finer, middle, coarser = self.selected[rows[list(meant)]]
        return np.stack([finer & middle, middle, coarser | middle])

    @cached_property
    def _size(self) -> np.ndarray:
        return self.selected @ self.area

    def ladder(
        self, node: int, logits: np.ndarray, quality: np.ndarray, default: np.ndarray, parts: Parts | None = None
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """What one click on `node` may mean, from small to large: logits (K, N), K <= `RUNGS`, the share of the answers
        and parts that hold the click and mean each (mean IoU), and the default's row.

        logits, quality: the network's own answer, (3, N) and (3,); default (N,): the logits elected. Around it, one by
        one, come the answers and parts that hold the click, lie within or around every rung so far, and cover best
        (mean of the largest IoU) what is not covered yet; every size counts nearly alike, whatever most answers mean.
        """
        holders = np.flatnonzero(self.selected[:, node])
        nested = parts.selected if parts else self.selected[:0]
        answers = np.vstack([self.selected[holders], nested, logits > 0, default[None] > 0])
        count, size = len(answers) - 1, answers @ self.area
        cover = self.ballot(node, logits[int(quality.argmax())] > 0, holders, quality).cover
        if parts is not None:
            cover = np.insert(cover, len(holders), BY_PARTS * cover.sum() * parts.weight)
        among = pairwise_iou(answers, answers[:count], self.area)
        weighted = answers.astype(np.float32) * self.area
        both = weighted @ answers.T.astype(np.float32)
        within = both / np.maximum(np.minimum(size[:, None], size[None]), 1e-9)  # 1: one of the two holds the other
        scale = np.log(np.maximum(size, 1e-9))
        apart = np.abs(scale[:, None] - scale)
        crowd = np.exp(-((apart[:count, :count] / np.log(LIKE_SIZE)) ** 2) / 2) @ cover
        new = cover / np.maximum(crowd, 1e-9) ** CROWDED
        chosen, covered = [count], among[count]
        while len(chosen) < RUNGS:
            free = (apart[:, chosen].min(axis=1) > np.log(APART)) & (within[:, chosen].min(axis=1) > NESTED)
            gain = np.where(free, (np.maximum(among, covered) - covered) @ new, -1.0)
            best = int(gain.argmax())
            if gain[best] < LEAST_GAIN * new.sum():
                break
            chosen.append(best)
            covered = np.maximum(covered, among[best])
        rows = sorted(chosen, key=lambda row: size[row])
        middle, own = rows.index(count), np.vstack([np.where(nested, FIRM, -FIRM), logits, default])

        def logits_of(row: int) -> np.ndarray:
            return own[row - len(holders)] if row >= len(holders) else self.row(int(holders[row]))

        rungs = np.stack([logits_of(row) for row in rows])
        for place in range(middle - 1, -1, -1):
            rungs[place] = np.minimum(rungs[place], rungs[place + 1])
        rungs = np.maximum.accumulate(rungs, axis=0)
        expected = pairwise_iou(rungs > 0, answers[:count], self.area) @ cover / cover.sum()
        return rungs.astype(np.float32), expected.astype(np.float32), middle


def _elected(
    agreement: np.ndarray, votes: np.ndarray, others: np.ndarray | float, near: np.ndarray | None = None
) -> int:
    """Which of R answers has the highest mean IoU with the voters, votes (R,), and `others`; of those `near` (R,)."""
    voters = np.flatnonzero(votes > 0)
    support = agreement[:, voters] @ votes[voters] + others
    candidates = voters if near is None else np.flatnonzero(near & (votes > 0))
    return int(candidates[support[candidates].argmax()])


def _meant(
    agreement: np.ndarray, size: np.ndarray, ballot: Ballot, others: np.ndarray | float = 0.0
) -> tuple[int, int, int]:
    """Which of R answers are finer, the default and coarser; agreement (R, R), size (R,); the own three come last.

    others (R,): what other voters add to each as the default
    """
    near = None
    if ballot.network is not None:
        alone = _elected(agreement, ballot.network, others)
        near = (agreement[alone] > NEAR) | (np.arange(len(size)) == alone)
    default = _elected(agreement, ballot.votes, others, near)
    covered = np.maximum(agreement, agreement[default]) @ ballot.cover
    apart = np.flatnonzero(size < size[default] / APART), np.flatnonzero(size > size[default] * APART)
    finer, coarser = (
        int(rows[covered[rows].argmax()]) if len(rows) else len(size) - LEVELS + level
        for level, rows in zip((0, 2), apart)
    )
    return finer, default, coarser
