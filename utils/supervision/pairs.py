"""Pass two of making click supervision: second clicks that change the masks of single clicks (paper Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from scipy.spatial import KDTree
from torch import Tensor

from utils.options import Checked, option, positive_int
from utils.progress import Progress, silent
from utils.rendering.view_pool import ViewPool
from utils.supervision.prompts import (
    changes_enough,
    draw_columns,
    inside_mask,
    lowest_columns,
    nearer_half,
    prompt_clicks,
    seeded,
)
from utils.supervision.singles import SingleMasks
from utils.supervision.store import KINDS, SHARD_SAMPLES, Samples, write_shards
from utils.teacher import Teacher

SECOND_KINDS = KINDS[1:]
ROWS_AT_ONCE = 256  # of the table single clicks x sampled vertices
PAIRS_AT_ONCE = 1024  # masks of second clicks held unpacked
PARTNERS_CONSIDERED = 512  # nearest sampled vertices of each that `shared_pairs` looks at; bounds its memory
SHARED_LEAST_VIEWS = 3  # a pair shared between views must be usable in so many


@dataclass(frozen=True)
class SecondClickSettings(Checked):
    """How second clicks are tried; the defaults are the published ones.

    max_iou  a second mask more like the first than this is dropped
    """

    max_pairs: int = option(
        5, "of either sign, tried for each vertex and view", type=positive_int, group="second clicks"
    )
    refinements: int = option(6, "prompts of each, starting from the last mask", type=positive_int)
    min_score: float = option(0.4, "of a single mask to get a second click")
    max_iou: float = 0.9
    pair_views: int = option(0, "views of each vertex that get second clicks; 0: all")
    share_pairs: bool = option(
        False,
        "draw --max_pairs second clicks of either sign for each vertex once and try each in up to --pair_views views, "
        "instead of new ones in every view",
    )


@dataclass(frozen=True, eq=False)
class SecondClicks:
    """A way of drawing second clicks.

    expected  (N,) int64: most pairs of one sign that `draw` can give in each view
    draw      (view, kind, first (n,), masks (n, H, W) bool) of n single clicks of a view -> prompts (P,) int64 into the
              n, and their second clicks (P,) int64; both clicks count the sampled vertices
    """

    expected: Tensor
    draw: Callable[[int, str, Tensor, Tensor], tuple[Tensor, Tensor]]


def write_pairs(
    directory: Path,
    pool: ViewPool,
    teacher: Teacher,
    singles: SingleMasks,
    settings: SecondClickSettings,
    kinds: tuple[str, ...],
    seed: int,
    shard_samples: int = SHARD_SAMPLES,
    on_progress: Progress = silent,
) -> None:
    """Write the samples of second clicks of the named kinds.

    Both signs are drawn whatever `kinds` asks for, so that a kind made later or again is the same.
    """
    second = (shared_pairs if settings.share_pairs else pairs_of_each_view)(singles, settings, seed)
    views, size = singles.views, singles.samples.mask_size

    def samples_of(view: int, missing: Sequence[str]) -> Iterator[tuple[str, Samples]]:
        if view not in singles.by_view:
            return
        samples = singles.by_view[view]
        first, masks = singles.first[samples], singles.samples.masks(samples)
        drawn = {kind: second.draw(view, kind, first, masks) for kind in SECOND_KINDS}
        needed = torch.cat([prompt for prompt, _ in drawn.values()]).unique()
        if not len(needed):
            return
        asked, embedding, pixels = teacher.in_view(pool.cameras[view]), pool.embedding(view), views.pixels[view]
        one_label = torch.ones((len(needed), 1), dtype=torch.int64)
        start = prompt_clicks(asked, embedding, pixels[first[needed]][:, None], one_label, size).best
        for kind in missing:
            for prompt, other in zip(*(part.split(PAIRS_AT_ONCE) for part in drawn[kind])):
                both = torch.stack([first[prompt], other], dim=1)
                positive = torch.tensor([True, kind == "positive"]).repeat(len(both), 1)
                begin = start[torch.searchsorted(needed, prompt)]
                calls = settings.refinements
                answer = prompt_clicks(asked, embedding, pixels[both], positive.long(), size, begin, calls)
                kept = changes_enough(masks[prompt], answer.masks, positive[:, 1], settings.max_iou)
                vertices, scores = views.vertices[both[kept]], answer.scores[kept]
                yield kind, Samples.of(vertices, positive[kept], view, scores, answer.masks[kept])

    write_shards(directory, kinds, second.expected, samples_of, size, "second clicks", shard_samples, on_progress)


def pairs_of_each_view(singles: SingleMasks, settings: SecondClickSettings, seed: int) -> SecondClicks:
    """The published second clicks: drawn anew for every first click and view.

    Candidates are the other sampled vertices seen in the view, outside the first mask for a positive and inside it for
    a negative click, nearer than half (in squared distance) of the farthest such; up to `max_pairs` are drawn.
    """
    views = singles.views
    tried = torch.zeros(views.visible.shape, dtype=torch.bool)
    for view, _, first in singles:
        tried[view, first] = True
    if settings.pair_views:
        keys = torch.rand(tried.T.shape, generator=seeded("views of pairs", seed))
        tried = lowest_columns(tried.T, keys, settings.pair_views).T

    def draw(view: int, kind: str, first: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        generator, drawn = seeded(kind, seed, view), []
        for rows in torch.arange(len(first)).split(ROWS_AT_ONCE):
            mine = first[rows]
            on_side = inside_mask(masks[rows], views.pixels[view]) == (kind == "negative")
            eligible = on_side & views.visible[view] & tried[view, mine][:, None]
            eligible[torch.arange(len(rows)), mine] = False
            distance = (views.positions[mine][:, None] - views.positions).square().sum(dim=-1)
            prompt, other = draw_columns(nearer_half(eligible, distance), settings.max_pairs, generator)
            drawn.append((rows[prompt], other))
        prompts, others = zip(*drawn)
        return torch.cat(prompts), torch.cat(others)

    return SecondClicks(tried.sum(dim=1) * settings.max_pairs, draw)


def shared_pairs(singles: SingleMasks, settings: SecondClickSettings, seed: int) -> SecondClicks:
    """Second clicks drawn once for every first click and tried in many views (not published).

    A loss that lifts masks to the mesh wants many views of the same clicks; drawing anew in each view makes nearly
    every pair unique. Here, a sampled vertex q is a candidate for a positive second click of v if most views that show
    both have it outside v's single mask and, as published, it is nearer than half (in squared distance) of the farthest
    such. It is a candidate for a negative one if most views have it inside v's mask but most have v outside q's: were
    each inside the other's, they would click one part, and excluding q would tear it (so did two in three negatives on
    the hammer without this rule, three in ten with it). Up to `max_pairs` of either sign are drawn; each is tried in up
    to `pair_views` of the views in which it lies on its side of the mask; at least three views must allow a pair.
    """
    near = _nearest_sampled(singles.views.positions, PARTNERS_CONSIDERED)
    seen, inside = torch.zeros_like(near), torch.zeros_like(near)  # views that show both; that have q in v's mask
    for _, first, visible, covered in _sides(singles, near):
        seen[first] += visible
        inside[first] += visible & covered
    candidates = {
        "positive": _positive_candidates(singles.views.positions, near, seen, inside),
        "negative": _negative_candidates(near, seen, inside),
    }
    partners, chosen = {}, {}
    for kind in SECOND_KINDS:
        generator = seeded("partners", kind, seed)
        partners[kind] = _choose_partners(near, candidates[kind], settings.max_pairs, generator)
        usable = _usable_views(singles, partners[kind], kind == "negative")
        if settings.pair_views:
            # All pairs of a vertex prefer the same views: its single mask, where they start, is asked for only there.
            keys = torch.rand((len(near), 1, len(usable)), generator=seeded("views of pairs", seed))
            usable = lowest_columns(usable.permute(1, 2, 0), keys, settings.pair_views).permute(2, 0, 1)
        chosen[kind] = usable

    def draw(view: int, kind: str, first: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        prompt, slot = chosen[kind][view, first].nonzero(as_tuple=True)
        return prompt, partners[kind][first[prompt], slot]

    return SecondClicks(torch.stack([views.sum(dim=(1, 2)) for views in chosen.values()]).amax(dim=0), draw)


def _nearest_sampled(positions: Tensor, count: int) -> Tensor:
    """(C, K) int64: the K = min(count, C - 1) nearest other points of each, nearest first."""
    points = positions.numpy()
    if len(points) == 1:
        return torch.zeros((1, 0), dtype=torch.int64)
    found = KDTree(points).query(points, k=min(count + 1, len(points)))[1]
    return torch.from_numpy(np.asarray(found, dtype=np.int64)[:, 1:].copy())


def _sides(singles: SingleMasks, columns: Tensor) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Every view and its n singles: first (n,), and for `columns` (C, K) of each: visible, inside the mask (n, K)."""
    views = singles.views
    for view, samples, first in singles:
        other = columns[first]
        pixel = views.pixels[view][other]
        covered = singles.samples.masks(samples)[torch.arange(len(first))[:, None], pixel[..., 1], pixel[..., 0]]
        yield view, first, views.visible[view][other], covered


def _positive_candidates(positions: Tensor, near: Tensor, seen: Tensor, inside: Tensor) -> Tensor:
    """(C, K) bool."""
    outside = seen - inside
    distance = (positions[near] - positions[:, None]).square().sum(dim=-1)
    return nearer_half((2 * outside > seen) & (outside >= SHARED_LEAST_VIEWS), distance)


def _negative_candidates(near: Tensor, seen: Tensor, inside: Tensor) -> Tensor:
    """(C, K) bool."""
    seen_back, inside_back = _of_the_reverse(near, seen), _of_the_reverse(near, inside)
    apart = (seen_back >= SHARED_LEAST_VIEWS) & (2 * inside_back < seen_back)
    return (2 * inside > seen) & (inside >= SHARED_LEAST_VIEWS) & apart


def _of_the_reverse(near: Tensor, values: Tensor) -> Tensor:
    """(C, K): for each pair (v, q) the value of (q, v); 0 where v is not among the nearest of q."""
    count, width = near.shape
    if not width:
        return values
    rows, columns = np.repeat(np.arange(count), width), near.numpy().copy().ravel()
    matrix = sp.csr_matrix((values.flatten().numpy(), (rows, columns)), shape=(count, count))
    return torch.from_numpy(np.asarray(matrix[columns, rows])).reshape(near.shape)


def _choose_partners(near: Tensor, eligible: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(C, P) sampled vertices, P = max(1, count); a vertex itself stands where there are fewer."""
    rows, columns = draw_columns(eligible, count, generator)
    slot = torch.arange(len(rows)) - torch.searchsorted(rows, rows)  # 0, 1, ... within each row
    partners = torch.arange(len(near))[:, None].repeat(1, max(1, count))
    partners[rows, slot] = near[rows, columns]
    return partners


def _usable_views(singles: SingleMasks, partners: Tensor, inside: bool) -> Tensor:
    """(N, C, P) bool: the views that show both vertices of a pair and have the second on its side of the mask."""
    usable = torch.zeros((len(singles.views.visible), *partners.shape), dtype=torch.bool)
    for view, first, visible, covered in _sides(singles, partners):
        usable[view, first] = visible & (covered == inside)
    return usable & (partners != torch.arange(len(partners))[:, None])
