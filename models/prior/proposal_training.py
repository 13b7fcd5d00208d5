"""How proposals learn: joins of pieces and pairs of parts on synthetic shapes, whose parts are known.

In rounds: the first joins by the rule alone, each other one as the networks of the one before do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy

from models.prior import alike, joins
from models.prior.annotator import TrainingShape
from models.prior.answers import NodeAnswers, ask_around
from models.prior.checkpoint import load_prior
from models.prior.data import FolderSettings
from models.prior.joins import Distance, LearnedDistance, Pieces, join_all
from models.prior.repeats import FOUND, IN_TREE
from models.prior.rounds import RoundSettings, each_shard, learned_and_held_out
from models.prior.scores import Scores, ScoresConfig, fit_scores
from models.prior.tree import cut_into_pieces, groups
from models.prior.votes import VOTERS, Votes
from utils.errors import UserError
from utils.files import load_npz, save_npz, save_torch
from utils.options import option, positive_int
from utils.progress import Progress, silent

TOUCHING, ANY, NEAREST, OTHERS = 60, 20, 3, 4  # pairs that are looked at: at first, and beside each join
NOISE = (0.0, 0.02, 0.06)  # deviation of the distances by which the joins of different shapes go astray
BY_SIZE = 0.3  # power of the smaller piece's area by which a pair counts
ALONE = 0.5  # what pairs count where the chosen part has no repeat
LEVELS = ("part", "group")  # in which two points of a pair of pieces may be together
JOINS = ScoresConfig(read=len(joins.KNOWN), written=len(LEVELS))
ALIKE = ScoresConfig(read=len(alike.KNOWN), width=32)


@dataclass(frozen=True, kw_only=True)
class ProposalTrainingSettings(FolderSettings):
    """The training of both networks."""

    epochs_joins: int = option(14, "over all pairs of pieces", type=positive_int)
    epochs_alike: int = option(30, "over all pairs of parts", type=positive_int)
    joins: Path = option(joins.WEIGHTS, "file of the weights for joins")
    alike: Path = option(alike.WEIGHTS, "file of the weights for parts that match")


def make_pairs(settings: RoundSettings, on_progress: Progress = silent) -> None:
    """Write those of the shards that have none yet (`each_shard`); joined by the rule in the first round, later as the
    networks do."""
    network, _ = load_prior()
    distance: Distance = Pieces.rule if settings.round == 1 else LearnedDistance()
    for path, shapes in each_shard(settings, "pairs", on_progress):
        found = []
        for place, (shape, rng) in enumerate(shapes):
            votes = ask_around(NodeAnswers(shape.graph, network, shape.nodes), shape.seen, VOTERS)
            pairs, inside = pairs_of_pieces(shape, votes, distance, NOISE[place % len(NOISE)], rng)
            # the same parts again in a later round would be learned by heart
            found.append(pairs | pairs_of_parts(shape, inside) if settings.round == 1 else pairs)
        joined = {name: np.concatenate([each[name] for each in found]) for name in found[0]} if found else {}
        names = {"joins_names": np.array(joins.KNOWN), "alike_names": np.array(alike.KNOWN)}
        save_npz(path, compressed=False, **names, **joined)


def pairs_of_pieces(
    shape: TrainingShape, votes: Votes, distance: Distance, noise: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """S pairs of pieces of one shape, joined by `distance` with noise; and (M, N) the nodes in each node of the tree.

    joins_known (S, K) float16: what is known of each; joins_wanted (S, 2) float16: how likely two points of both are in
    one part, and in one group; joins_weight (S,): how much a pair counts
    """
    pieces, _ = cut_into_pieces(shape.graph, shape.nodes, votes)
    leaf = pieces.leaf
    watch = _Watch(pieces, [shape.example[name].astype(np.int64) for name in LEVELS], shape.graph.area, rng)
    children, _ = join_all(pieces, _astray(distance, noise, rng), watch)
    return watch.arrays(), groups(leaf, children)


def _astray(distance: Distance, noise: float, rng: np.random.Generator) -> Distance:
    """With noise, so that what is learned knows mistakes too."""

    def noisy(pieces: Pieces, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return distance(pieces, first, second) + rng.normal(0, noise, len(first))

    return noisy if noise else distance


@dataclass(eq=False)
class _Watch:
    """Looks at pairs while pieces are joined: some at first, then each that is joined and some beside it.

    levels: labels (N,) of the nodes by part and by group
    """

    pieces: Pieces
    levels: list[np.ndarray]
    area: np.ndarray
    rng: np.random.Generator
    known: list[np.ndarray] = field(default_factory=list)
    wanted: list[np.ndarray] = field(default_factory=list)
    weight: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._held = []
        for labels in self.levels:
            place = np.unique(labels, return_inverse=True)[1]
            held = np.zeros((self.pieces.size, int(place.max()) + 1))
            np.add.at(held, (self.pieces.leaf, place), self.area)
            self._held.append(held)
        first, second = np.triu_indices(self.pieces.size, 1)
        touching = np.flatnonzero(self.pieces.border[first, second] > 0)
        rows = np.concatenate([self._some(touching, TOUCHING), self._some(np.arange(len(first)), ANY)])
        self._look(first[rows], second[rows])

    def _some(self, values: np.ndarray, count: int) -> np.ndarray:
        return self.rng.choice(values, min(len(values), count), replace=False)

    def __call__(self, apart: np.ndarray, kept: int, gone: int) -> None:
        near = [other for other in np.argsort(apart[kept])[: NEAREST + 1] if np.isfinite(apart[kept, other])]
        pairs = [(kept, gone), *((kept, other) for other in near if other != gone)]
        left = np.flatnonzero(self.pieces.alive)
        pairs += [(one, other) for one, other in self.rng.choice(left, (OTHERS, 2)) if one != other]
        self._look(*np.array(pairs).T)
        for held in self._held:
            held[kept] += held[gone]

    def _look(self, first: np.ndarray, second: np.ndarray) -> None:
        if not len(first):
            return
        shares = [held / np.maximum(held.sum(axis=1, keepdims=True), 1e-12) for held in self._held]
        smaller = np.minimum(self.pieces.area[first], self.pieces.area[second])
        self.known.append(self.pieces.describe(first, second).astype(np.float16))
        self.wanted.append(np.stack([(share[first] * share[second]).sum(axis=1) for share in shares], axis=1))
        self.weight.append(np.maximum(smaller, 1e-4) ** BY_SIZE)

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "joins_known": np.concatenate([np.zeros((0, JOINS.read), np.float16), *self.known]),
            "joins_wanted": np.concatenate([np.zeros((0, JOINS.written)), *self.wanted]).astype(np.float16),
            "joins_weight": np.concatenate([np.zeros(0), *self.weight]).astype(np.float32),
        }


def pairs_of_parts(shape: TrainingShape, inside: np.ndarray) -> dict[str, np.ndarray]:
    """T pairs of parts: every one that a tree holds, chosen once, with the nodes of the tree of about its size beside
    it; inside (M, N). What is only of its size and shape counts neither way.

    alike_known (T, K) float16: what is known of each; alike_wanted (T, 1): do they match; alike_weight (T,)
    """
    example, area = shape.example, shape.graph.area / shape.graph.area.sum()
    if "named" not in example:
        raise UserError(
            "these shapes were made by an earlier version: make them again, with scripts/train_prior.py data"
        )
    same, similar = example["same"].astype(bool), example["similar"].astype(bool)
    parts = example["named"].astype(np.int64)[None] == np.arange(len(same))[:, None]
    both = (inside * area) @ parts.T
    iou = both / np.maximum((inside @ area)[:, None] + parts @ area - both, 1e-12)
    held, lookout = iou.max(axis=0) >= IN_TREE, alike.Lookout(shape.graph, shape.nodes, inside)
    known, wanted, weight = [np.zeros((0, ALIKE.read))], [np.zeros(0)], [np.zeros(0)]
    for part in np.flatnonzero(held):
        chosen = inside[int(iou[:, part].argmax())]
        rows = lookout.of_its_size(chosen)
        covered, twins = iou[rows] >= FOUND, same[part] & held
        match = (covered & twins).any(axis=1)
        clear = match | ~(covered & (same[part] | similar[part])).any(axis=1)
        if clear.any():
            known.append(lookout.describe(rows, chosen)[clear])
            wanted.append(match[clear])
            weight.append(np.full(int(clear.sum()), 1.0 if twins.any() else ALONE))
    return {
        "alike_known": np.concatenate(known).clip(-1e4, 1e4).astype(np.float16),
        "alike_wanted": np.concatenate(wanted).astype(np.float16)[:, None],
        "alike_weight": np.concatenate(weight).astype(np.float32),
    }


# --- training -----------------------------------------------------------------------------------------


def train_proposals(settings: ProposalTrainingSettings, on_progress: Progress = silent) -> dict[str, float]:
    """Learn from all pairs in the folder and write both files of weights; the cross-entropies on shards held out."""
    learned, aside = learned_and_held_out(settings.data_folder, "pairs")
    held = {path: load_npz(path, "pairs to learn from") for path in learned + aside}
    missed = {}
    tasks: list[tuple[str, ScoresConfig, str, tuple[str, ...], int, Path]] = [
        ("joins", JOINS, joins.KIND, joins.KNOWN, settings.epochs_joins, settings.joins),
        ("alike", ALIKE, alike.KIND, alike.KNOWN, settings.epochs_alike, settings.alike),
    ]
    for name, config, kind, known, epochs, out in tasks:
        training, apart = (_learned_from({path: held[path] for path in some}, name, known) for some in (learned, aside))
        scores = fit_scores(config, *training, epochs, settings.seed, on_progress)
        missed[name] = _missed(scores, *apart)
        save_torch(out, scores.state(kind, known) | {"held_out": missed[name]})
    print("cross-entropy held out: " + ", ".join(f"{name} {value:.4f}" for name, value in missed.items()), flush=True)
    return missed


def _learned_from(
    held: dict[Path, dict[str, np.ndarray]], name: str, known: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is known, wanted and the weights of all pairs of a kind; UserError if they are of an earlier version."""
    for path, each in held.items():
        if each[f"{name}_names"].tolist() != list(known):
            raise UserError(f"{path} was made by an earlier version: remove it, and make the pairs again")
    rows = [each for each in held.values() if f"{name}_known" in each]
    if not rows:
        raise UserError("there are no pairs of parts: make those of the first round too, scripts/train_prior.py pairs")
    known_of, wanted, weight = (
        np.concatenate([each[f"{name}_{what}"] for each in rows]) for what in ("known", "wanted", "weight")
    )
    return np.nan_to_num(known_of.astype(np.float32)), wanted.astype(np.float32), weight


def _missed(scores: Scores, known: np.ndarray, wanted: np.ndarray, weight: np.ndarray) -> float:
    likely = np.concatenate([scores(known[start : start + 65536]) for start in range(0, len(known), 65536)])
    each = binary_cross_entropy(torch.from_numpy(likely), torch.from_numpy(wanted), reduction="none").mean(dim=1)
    return float(np.average(each.numpy(), weights=weight))
