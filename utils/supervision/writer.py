"""Making click supervision: sample vertices, prompt the teacher in many views, keep what the rules keep (paper Sec. 3.3).

The work goes view by view, since the prompts of a view share its embedding, in two passes: first every single click, then
the second clicks, which start from the finished single masks. Each pass writes shards of some thousand samples; a killed
run goes on at its first missing shard. What is drawn comes from generators seeded by the run's seed and the view or table
they are for, so an interruption changes nothing.

Departures from the release: views come from one pool shared by all vertices instead of being drawn for each; visibility
is read from the rasterisation; every clicked pixel is forced, not only that of a single; a second mask of equal area is
dropped too; and, only if asked for (`share_pairs`), the second clicks of a vertex are drawn once instead of in every view.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from tqdm import tqdm

from utils.errors import UserError
from utils.files import digest, load_npz, save_json, save_npz
from utils.geometry.mesh import Mesh
from utils.geometry.sampling import farthest_point_sampling
from utils.rendering.cameras import Cameras
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.rendering.view_pool import ViewPool
from utils.supervision.prompts import (
    changes_enough,
    draw_columns,
    inside_mask,
    lowest_columns,
    nearer_half,
    prompt_clicks,
)
from utils.supervision.store import (
    ABSENT,
    FORMAT,
    KINDS,
    SupervisionSet,
    cameras_to_arrays,
    pack_masks,
    read_manifest,
    save_shard,
    shard_path,
)
from utils.teacher import Teacher

SHARD_SAMPLES = 4096  # prompts a shard answers at most, unless one view has more; a shard holds whole views
ROWS_AT_ONCE = 256  # of the table single clicks x sampled vertices
PAIRS_AT_ONCE = 1024  # masks of second clicks held unpacked
PARTNERS_CONSIDERED = 512  # nearest sampled vertices of each that `SharedPairs` looks at; bounds its memory
SHARED_LEAST_VIEWS = 3  # a pair shared between views must be usable in so many


@dataclass(frozen=True)
class ClickSettings:
    """Which vertices are clicked, and in how many views.

    percentage  share of the vertices, by farthest-point sampling from the first (published 0.03)
    max_clicks  at most so many vertices, 0 = no limit (published: none)
    n_views     at most so many views of each (published 100)
    min_facing  click a vertex only where its normal and the direction to the camera, either way round, have at least
                this cosine (published: none); masks are worse near silhouettes
    render_res  side of the masks, pixels (published 224)
    seed        of everything drawn
    """

    percentage: float = 0.03
    max_clicks: int = 0
    n_views: int = 100
    min_facing: float = 0.0
    render_res: int = 224
    seed: int = 0


@dataclass(frozen=True)
class SecondClickSettings:
    """How second clicks are tried; the defaults are the published ones.

    max_pairs    second clicks of either sign tried for each vertex and view; with `share_pairs` for each vertex
    refinements  calls with both clicks, each starting from the best mask of the one before
    min_score    single masks with a lower score get no second click
    max_iou      a second mask more like the first than this is dropped
    pair_views   views of each vertex (with `share_pairs`: of each pair) in which second clicks are tried, 0 = all
    share_pairs  draw the second clicks of a vertex once, see `SharedPairs`
    """

    max_pairs: int = 5
    refinements: int = 6
    min_score: float = 0.4
    max_iou: float = 0.9
    pair_views: int = 0
    share_pairs: bool = False


@dataclass(frozen=True, eq=False)
class ClickViews:
    """Where the C sampled vertices show in N views.

    vertices  (C,) int64 ids; positions (C, 3) float32, normalised
    visible   (N, C) bool; pixels (N, C, 2) int64, column and row, within the image
    """

    vertices: Tensor
    positions: Tensor
    visible: Tensor
    pixels: Tensor

    def index_of(self, vertices: Tensor) -> Tensor:
        """Place of vertex ids (n,) among the sampled ones."""
        order = self.vertices.argsort()
        return order[torch.searchsorted(self.vertices[order], vertices.contiguous())]


def write_supervision(
    directory: str | Path,
    rasterizer: Rasterizer,
    pool: ViewPool,
    teacher: Teacher,
    clicks: ClickSettings,
    second: SecondClickSettings,
    kinds: tuple[str, ...] = KINDS,
    overwrite: bool = False,
) -> SupervisionSet:
    """Fill `directory` with the named kinds of samples, or finish what an interrupted call began.

    The teacher must be the one that embedded `pool`. Second clicks need the singles, made now or before.
    Raises UserError if the folder holds supervision of another mesh, teacher or settings (unless `overwrite`), if the
    singles are missing, or if no sampled vertex is seen in any view.
    """
    directory, mesh = Path(directory), rasterizer.mesh
    if teacher.name != pool.teacher_name:
        raise UserError(
            f"the views at {pool.directory} were embedded by {pool.teacher_name}, not by {teacher.name}; "
            "name that teacher with --SAM or make the views again"
        )
    if "single" not in kinds and "single" not in read_manifest(directory, mesh)["shards"]:
        raise UserError("second clicks start from the masks of single clicks: add --single_click 1")
    cameras = pool.cameras.resized((clicks.render_res, clicks.render_res))
    _claim(directory, _manifest(mesh, pool, teacher, clicks, second), kinds, overwrite)
    views = _click_views(directory, rasterizer, cameras, clicks)
    if "single" in kinds:
        _write_singles(
            directory, pool, teacher, views, choose_views(views.visible, clicks.n_views, clicks.seed), cameras
        )
    wanted = tuple(kind for kind in KINDS[1:] if kind in kinds)
    if wanted:
        singles = SupervisionSet.open(directory, mesh, kinds=("single",))
        pairs = (SharedPairs if second.share_pairs else PairsOfEachView)(views, singles, second, clicks.seed)
        _write_pairs(directory, pool, teacher, views, singles, pairs, second, wanted)
    return SupervisionSet.open(directory, mesh)


def choose_clicked_vertices(mesh: Mesh, settings: ClickSettings) -> np.ndarray:
    """(C,) int64: the sampled vertices, beginning with the first that a face uses (published: vertex 0)."""
    used = np.flatnonzero(mesh.referenced)
    count = max(1, round(len(used) * settings.percentage))
    if settings.max_clicks:
        count = min(count, settings.max_clicks)
    return used[farthest_point_sampling(mesh.normalized[used], count)]


def locate_clicks(
    rasterizer: Rasterizer, cameras: Cameras, vertices: np.ndarray, min_facing: float = 0.0
) -> ClickViews:
    """Project the sampled vertices (C,) into every view and see which of them it shows, facing it enough."""
    chosen = torch.from_numpy(vertices)
    positions = torch.from_numpy(rasterizer.mesh.normalized[vertices])
    projected, _ = cameras.project(positions)
    height, width = cameras.size
    pixels = projected.nan_to_num(0.0).floor().long()
    pixels = torch.stack([pixels[..., 0].clamp(0, width - 1), pixels[..., 1].clamp(0, height - 1)], dim=-1)
    visible = torch.zeros(pixels.shape[:2], dtype=torch.bool)
    for view in tqdm(range(len(cameras)), desc="find visible vertices", unit="view", disable=None):
        camera = cameras[view]
        visible[view] = visible_vertices(rasterizer.mesh, camera, rasterizer(camera))[0].cpu()[chosen]
    if min_facing > 0:
        normals = torch.from_numpy(rasterizer.mesh.vertex_normals[vertices])
        towards = torch.nn.functional.normalize(cameras.positions[:, None] - positions, dim=-1)
        # Either way round, for sheets and for files wound inside out.
        visible &= (towards * normals).sum(dim=-1).abs() >= min_facing
    return ClickViews(chosen, positions, visible, pixels)


def choose_views(visible: Tensor, n_views: int, seed: int) -> Tensor:
    """(N, C) bool: up to `n_views` of the views that show each vertex, drawn at random where there are more.

    Raises UserError if no vertex is visible in any view.
    """
    columns, rows = draw_columns(visible.T, n_views, _generator("views", seed))
    chosen = torch.zeros_like(visible)
    chosen[rows, columns] = True
    if not chosen.any():
        raise UserError("no sampled vertex is seen in any view; give more views or another --radius")
    return chosen


class _Singles:
    """The single masks that may get a second click, by view."""

    def __init__(self, views: ClickViews, singles: SupervisionSet, min_score: float) -> None:
        self.samples = singles
        self.first = views.index_of(singles.vertices[:, 0])  # (S,) which sampled vertex each sample clicks
        good = singles.score >= min_score
        self.by_view = {
            view: samples[good[samples]] for view, samples in singles.by_view().items() if good[samples].any()
        }

    def __iter__(self):
        """(view, samples (n,), their sampled vertices (n,)) of every view, in order."""
        for view, samples in self.by_view.items():
            yield view, samples, self.first[samples]


class PairsOfEachView:
    """The published second clicks: drawn anew for every first click and view.

    Candidates are the other sampled vertices seen in the view, outside the first mask for a positive and inside it for
    a negative click, nearer than half (in squared distance) of the farthest such; up to `max_pairs` are drawn.
    """

    def __init__(self, views: ClickViews, singles: SupervisionSet, settings: SecondClickSettings, seed: int) -> None:
        self.views, self.settings, self.seed = views, settings, seed
        self.tried = torch.zeros(views.visible.shape, dtype=torch.bool)
        for view, _, first in _Singles(views, singles, settings.min_score):
            self.tried[view, first] = True
        if settings.pair_views:
            columns, rows = draw_columns(self.tried.T, settings.pair_views, _generator("views of pairs", seed))
            self.tried = torch.zeros_like(self.tried)
            self.tried[rows, columns] = True

    def expected(self) -> Tensor:
        """(N,) int64: most pairs of one sign that `draw` can give in each view."""
        return self.tried.sum(dim=1) * self.settings.max_pairs

    def draw(self, view: int, kind: str, first: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Second clicks for n single clicks of one view.

        first (n,): their sampled vertices; masks (n, H, W) bool. Returns (P,) int64 into the n singles and (P,) int64
        into the sampled vertices.
        """
        generator = _generator(kind, self.seed, view)
        drawn = []
        for start in range(0, len(first), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            prompt, column = self._draw_rows(view, kind, first[rows], masks[rows], generator)
            drawn.append((prompt + start, column))
        return torch.cat([prompt for prompt, _ in drawn]), torch.cat([column for _, column in drawn])

    def _draw_rows(self, view: int, kind: str, first: Tensor, masks: Tensor, generator: torch.Generator):
        on_side = inside_mask(masks, self.views.pixels[view]) == (kind == "negative")
        eligible = on_side & self.views.visible[view] & self.tried[view, first][:, None]
        eligible[torch.arange(len(first)), first] = False
        distance = (self.views.positions[first][:, None] - self.views.positions).square().sum(dim=-1)
        return draw_columns(nearer_half(eligible, distance), self.settings.max_pairs, generator)


class SharedPairs:
    """Second clicks drawn once for every first click and tried in many views (not published).

    A loss that lifts masks to the mesh wants many views of the same clicks; drawing anew in each view makes nearly every
    pair unique. Here, a sampled vertex q is a candidate for a positive second click of v if most views that show both
    have it outside v's single mask and, as published, it is nearer than half (in squared distance) of the farthest such.
    It is a candidate for a negative one if most views have it inside v's mask but most have v outside q's: were each
    inside the other's, they would click one part, and excluding q would tear it (so did two in three negatives on the
    hammer without this rule, three in ten with it). Up to `max_pairs` of either sign are drawn; each is tried in up to
    `pair_views` of the views in which it lies on its side of the mask. Pairs with fewer than three such views are left out.
    """

    def __init__(self, views: ClickViews, singles: SupervisionSet, settings: SecondClickSettings, seed: int) -> None:
        self.views, self.settings, self.seed = views, settings, seed
        self.near = _nearest_sampled(views.positions, PARTNERS_CONSIDERED)  # (C, K) sampled vertices
        table = _Singles(views, singles, settings.min_score)
        seen, inside = self._count_sides(table)
        self.partners, self.chosen = {}, {}
        eligible = {
            "positive": self._positive_candidates(seen, inside),
            "negative": self._negative_candidates(seen, inside),
        }
        for kind in KINDS[1:]:
            self.partners[kind] = self._choose_partners(kind, eligible[kind])
            self.chosen[kind] = self._choose_views(kind, table)

    def expected(self) -> Tensor:
        """(N,) int64: most pairs of one sign that `draw` can give in each view."""
        return torch.stack([chosen.sum(dim=(1, 2)) for chosen in self.chosen.values()]).amax(dim=0)

    def draw(self, view: int, kind: str, first: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """As `PairsOfEachView.draw`; the masks are not looked at again."""
        prompt, slot = self.chosen[kind][view, first].nonzero(as_tuple=True)
        return prompt, self.partners[kind][first[prompt], slot]

    def _count_sides(self, table: _Singles) -> tuple[Tensor, Tensor]:
        """(C, K) int64 each: the views that show both, and of these the ones with the neighbour inside the single mask."""
        seen, inside = torch.zeros_like(self.near), torch.zeros_like(self.near)
        for view, first, visible, covered in self._sides(table, self.near):
            seen[first] += visible
            inside[first] += visible & covered
        return seen, inside

    def _sides(self, table: _Singles, columns: Tensor):
        """For every view and its n singles: first (n,), and for the K columns of each, visible and inside the mask (n, K)."""
        for view, samples, first in table:
            other = columns[first]
            pixel = self.views.pixels[view][other]
            masks = table.samples.masks(samples)
            covered = masks[torch.arange(len(first))[:, None], pixel[..., 1], pixel[..., 0]]
            yield view, first, self.views.visible[view][other], covered

    def _positive_candidates(self, seen: Tensor, inside: Tensor) -> Tensor:
        """(C, K) bool."""
        outside = seen - inside
        distance = (self.views.positions[self.near] - self.views.positions[:, None]).square().sum(dim=-1)
        return nearer_half((2 * outside > seen) & (outside >= SHARED_LEAST_VIEWS), distance)

    def _negative_candidates(self, seen: Tensor, inside: Tensor) -> Tensor:
        """(C, K) bool."""
        first = torch.arange(len(self.near))[:, None]
        code = (first * len(self.near) + self.near).flatten()  # of (v, q) ...
        reverse = (self.near * len(self.near) + first).flatten()  # ... and of (q, v)
        order = code.argsort()
        place = order[torch.searchsorted(code[order], reverse).clamp(max=max(0, len(code) - 1))]
        seen_back, inside_back = seen.flatten()[place], inside.flatten()[place]
        apart = (code[place] == reverse) & (seen_back >= SHARED_LEAST_VIEWS) & (2 * inside_back < seen_back)
        return (2 * inside > seen) & (inside >= SHARED_LEAST_VIEWS) & apart.view_as(seen)

    def _choose_partners(self, kind: str, eligible: Tensor) -> Tensor:
        """(C, P) sampled vertices; a vertex itself stands where there are fewer than P."""
        rows, columns = draw_columns(eligible, self.settings.max_pairs, _generator("partners", kind, self.seed))
        slot = torch.arange(len(rows)) - torch.searchsorted(rows, rows)  # 0, 1, ... within each row
        partners = torch.arange(len(self.near))[:, None].repeat(1, max(1, self.settings.max_pairs))
        partners[rows, slot] = self.near[rows, columns]
        return partners

    def _choose_views(self, kind: str, table: _Singles) -> Tensor:
        """(N, C, P) bool: the views in which each pair is tried."""
        partners = self.partners[kind]
        usable = torch.zeros((len(self.views.visible), *partners.shape), dtype=torch.bool)
        for view, first, visible, covered in self._sides(table, partners):
            usable[view, first] = visible & (covered == (kind == "negative"))
        usable &= partners != torch.arange(len(partners))[:, None]
        if not self.settings.pair_views:
            return usable
        # All pairs of a vertex prefer the same views: its single mask, where they start, is then asked for only there.
        keys = torch.rand((len(partners), 1, len(usable)), generator=_generator("views of pairs", self.seed))
        return lowest_columns(usable.permute(1, 2, 0), keys, self.settings.pair_views).permute(2, 0, 1)


def _nearest_sampled(positions: Tensor, count: int) -> Tensor:
    """(C, K) int64: the K = min(count, C - 1) nearest other points of each, nearest first."""
    points = positions.numpy()
    found = cKDTree(points).query(points, k=range(2, min(count, len(points) - 1) + 2))[1] if len(points) > 1 else []
    return torch.from_numpy(np.asarray(found, dtype=np.int64).reshape(len(points), -1))


def _write_singles(
    directory: Path, pool: ViewPool, teacher: Teacher, views: ClickViews, prompted: Tensor, cameras: Cameras
) -> None:
    """Pass one: every chosen (view, vertex) prompted with its one positive click."""
    ranges = _shard_ranges(prompted.sum(dim=1))
    _announce(directory, "single", len(ranges))
    with tqdm(total=int(prompted.sum()), desc="single clicks", unit="click", disable=None) as bar:
        for shard, span in enumerate(ranges):
            if not shard_path(directory, "single", shard).exists():
                parts = [_single_samples(pool, teacher, views, view, prompted[view], cameras.size) for view in span]
                _save_parts(shard_path(directory, "single", shard), parts, cameras.size)
            bar.update(int(prompted[span.start : span.stop].sum()))


def _single_samples(pool: ViewPool, teacher: Teacher, views: ClickViews, view: int, prompted: Tensor, size) -> tuple:
    first = prompted.nonzero()[:, 0]
    labels = torch.ones((len(first), 1), dtype=torch.int64)
    answer = prompt_clicks(teacher, pool.embedding(view), views.pixels[view, first][:, None], labels, size)
    vertices = torch.stack([views.vertices[first], torch.full_like(first, ABSENT)], dim=1)
    positive = torch.tensor([True, False]).repeat(len(first), 1)
    return vertices, positive, torch.full_like(first, view), answer.scores, pack_masks(answer.masks)


def _write_pairs(
    directory: Path,
    pool: ViewPool,
    teacher: Teacher,
    views: ClickViews,
    singles: SupervisionSet,
    pairs,
    settings: SecondClickSettings,
    kinds: tuple[str, ...],
) -> None:
    """Pass two: the second clicks that `pairs` draws; both signs are drawn whatever `kinds` asks for, so that a kind
    made later or again is the same."""
    ranges = _shard_ranges(pairs.expected())
    for kind in kinds:
        _announce(directory, kind, len(ranges))
    table = _Singles(views, singles, settings.min_score)
    with tqdm(total=int(pairs.expected().sum()), desc="second clicks", unit="click", disable=None) as bar:
        for shard, span in enumerate(ranges):
            missing = [kind for kind in kinds if not shard_path(directory, kind, shard).exists()]
            parts = {kind: [] for kind in missing}
            for view in span:
                if missing and view in table.by_view:
                    for kind, part in _pair_samples(pool, teacher, views, view, table, pairs, settings, missing):
                        parts[kind].append(part)
                bar.update(int(pairs.expected()[view]))
            for kind in missing:
                _save_parts(shard_path(directory, kind, shard), parts[kind], table.samples.mask_size)


def _pair_samples(
    pool: ViewPool,
    teacher: Teacher,
    views: ClickViews,
    view: int,
    table: _Singles,
    pairs,
    settings: SecondClickSettings,
    kinds: list[str],
):
    """Yield (kind, samples) of the second clicks kept in one view."""
    samples = table.by_view[view]
    first, masks, size = table.first[samples], table.samples.masks(samples), table.samples.mask_size
    drawn = {kind: pairs.draw(view, kind, first, masks) for kind in KINDS[1:]}
    needed = torch.cat([prompt for prompt, _ in drawn.values()]).unique()
    if not len(needed):
        return
    embedding, pixels = pool.embedding(view), views.pixels[view]
    one_label = torch.ones((len(needed), 1), dtype=torch.int64)
    start = prompt_clicks(teacher, embedding, pixels[first[needed]][:, None], one_label, size).best
    for kind in kinds:
        for prompt, other in zip(*(part.split(PAIRS_AT_ONCE) for part in drawn[kind])):
            both = torch.stack([first[prompt], other], dim=1)
            positive = torch.tensor([True, kind == "positive"]).repeat(len(both), 1)
            answer = prompt_clicks(
                teacher,
                embedding,
                pixels[both],
                positive.long(),
                size,
                start[torch.searchsorted(needed, prompt)],
                settings.refinements,
            )
            kept = changes_enough(masks[prompt], answer.masks, positive[:, 1], settings.max_iou)
            yield (
                kind,
                (
                    views.vertices[both[kept]],
                    positive[kept],
                    torch.full((int(kept.sum()),), view),
                    answer.scores[kept],
                    pack_masks(answer.masks[kept]),
                ),
            )


def _save_parts(path: Path, parts: list[tuple], size: tuple[int, int]) -> None:
    """Write the samples of a shard's views, maybe none."""
    empty = (
        torch.zeros((0, 2), dtype=torch.int64),
        torch.zeros((0, 2), dtype=torch.bool),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0),
        np.zeros((0, (size[0] * size[1] + 7) // 8), dtype=np.uint8),
    )
    *tensors, masks = zip(empty, *parts)
    save_shard(path, *(torch.cat(tensor) for tensor in tensors), np.concatenate(masks))


def _shard_ranges(counts: Tensor) -> list[range]:
    """Consecutive views cut into shards of at most `SHARD_SAMPLES` prompts, or one view."""
    ranges, start, held = [], 0, 0
    for view, count in enumerate(counts.tolist()):
        if held and held + count > SHARD_SAMPLES:
            ranges.append(range(start, view))
            start, held = view, 0
        held += count
    return ranges + [range(start, len(counts))]


def _manifest(mesh: Mesh, pool: ViewPool, teacher: Teacher, clicks: ClickSettings, second: SecondClickSettings) -> dict:
    settings = {"clicks": asdict(clicks), "views": pool.settings.to_dict(), "second_clicks": asdict(second)}
    return {"format": FORMAT, "mesh_digest": mesh.digest, "teacher": teacher.name, "settings": settings, "shards": {}}


def _claim(directory: Path, manifest: dict, kinds: tuple[str, ...], overwrite: bool) -> None:
    """Write the manifest of a new set, or check that the one there asks for the same.

    The settings of second clicks count only once a set has them; with `overwrite` singles, everything goes, else the
    second clicks.
    """
    path = directory / "supervision.json"
    if not path.is_file() or (overwrite and "single" in kinds):
        _remove(directory, [*(f"{kind}_*.npz" for kind in KINDS), "clicks.npz"])
        save_json(path, manifest)
        return
    held = read_manifest(directory)
    second_kinds = any(kind in kinds for kind in KINDS[1:])
    if overwrite or not any(kind in held["shards"] for kind in KINDS[1:]):
        _remove(directory, [f"{kind}_*.npz" for kind in KINDS[1:]])
        held["shards"] = {kind: count for kind, count in held["shards"].items() if kind == "single"}
        held["settings"]["second_clicks"] = manifest["settings"]["second_clicks"]
        save_json(path, held)
    parts = ("clicks", "views", "second_clicks") if second_kinds else ("clicks", "views")
    differing = [name for name in ("mesh_digest", "teacher") if held[name] != manifest[name]]
    differing += [
        name
        for part in parts
        for name, value in manifest["settings"][part].items()
        if held["settings"].get(part, {}).get(name) != value
    ]
    if differing:
        raise UserError(
            f"{directory} holds click supervision with another {', '.join(differing)}; "
            "choose another --decoder_data_dir or add --overwrite 1"
        )


def _announce(directory: Path, kind: str, shards: int) -> None:
    """Write down how many shards a kind will have: from then on, a missing one means unfinished."""
    manifest = read_manifest(directory)
    if manifest["shards"].get(kind) != shards:
        manifest["shards"][kind] = shards
        save_json(directory / "supervision.json", manifest)


def _remove(directory: Path, patterns: list[str]) -> None:
    for pattern in patterns:
        for path in directory.glob(pattern):
            path.unlink()


def _click_views(directory: Path, rasterizer: Rasterizer, cameras: Cameras, settings: ClickSettings) -> ClickViews:
    """The sampled vertices and where they show; kept beside the shards."""
    path = directory / "clicks.npz"
    if not path.exists():
        views = locate_clicks(
            rasterizer, cameras, choose_clicked_vertices(rasterizer.mesh, settings), settings.min_facing
        )
        save_npz(
            path,
            vertices=views.vertices.numpy(),
            visible=views.visible.numpy(),
            pixels=views.pixels.numpy().astype(np.int16),
            **cameras_to_arrays(cameras),
        )
    held = load_npz(path, "list of clicked vertices")
    vertices = torch.from_numpy(held["vertices"])
    positions = torch.from_numpy(rasterizer.mesh.normalized[held["vertices"]])
    pixels = torch.from_numpy(held["pixels"].astype(np.int64))
    return ClickViews(vertices, positions, torch.from_numpy(held["visible"]), pixels)


def _generator(*parts: str | int) -> torch.Generator:
    """A generator of its own for whatever `parts` name, on the CPU: the same draws on every machine."""
    return torch.Generator().manual_seed(int(digest(*parts), 16))
