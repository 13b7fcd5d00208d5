"""Pictures of results: a query from all sides, several queries on one sheet, masks side by side.

This and `utils.output.plots` alone import matplotlib. Meshes are drawn by our own renderer at twice the size of the picture and
averaged down, so edges are smooth; clicks and words are drawn on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from utils.clicks import Clicks
from utils.files import atomic_path
from utils.geometry.mesh import Mesh
from utils.output.export import Palette, probability_colors
from utils.rendering.cameras import FIELD_OF_VIEW, Cameras, orbit_cameras
from utils.rendering.rasterize import Rasterizer, visible_vertices
from utils.rendering.shading import shade

GRID_ELEVATIONS = (60, 30, 0, -30, -60)  # degrees, the published grid, seen from above first
GRID_AZIMUTHS = (0, 60, 120, 180, 240, 300)
SUPERSAMPLING = 2
CREASE = math.radians(40)  # faces that meet at a larger angle keep their edge in the shading
# Spherical harmonics (1, x, z, y, ...) as in utils.rendering.shading. The published lights leave half of a shape black.
STUDIO_LIGHTS = (2.2, 0.4, 0.95, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
DPI = 100
MIN_LEGEND = 560  # pixels that the clicks and the note of a query need
INK = "#222222"
QUIET_INK = "#777777"


@dataclass(frozen=True, eq=False)
class QueryPicture:
    """One query to draw.

    probability  (V,) float in [0, 1]
    clicks       what was asked
    note         a few words under the title
    """

    probability: np.ndarray
    clicks: Clicks
    note: str = ""


class MeshPainter:
    """Draws one mesh with vertex colours from any cameras; the normals for shading are made once."""

    def __init__(self, rasterizer: Rasterizer) -> None:
        self.rasterizer = rasterizer
        self.mesh = rasterizer.mesh
        self._split, origin = split_at_creases(self.mesh)
        self._origin = torch.from_numpy(origin)

    def images(
        self, cameras: Cameras, colors: np.ndarray | None = None, face_colors: np.ndarray | None = None
    ) -> np.ndarray:
        """Anti-aliased images (B, H, W, 3) float32 at `cameras.size` of the mesh in vertex colours (V, 3) or face colours (F, 3)."""
        height, width = cameras.size
        large = cameras.resized((SUPERSAMPLING * height, SUPERSAMPLING * width))
        vertex_colors = None if colors is None else torch.as_tensor(colors, dtype=torch.float32)[self._origin]
        face_colors = None if face_colors is None else torch.as_tensor(face_colors, dtype=torch.float32)
        images = []
        for view in range(len(cameras)):
            raster = self.rasterizer(large[view])
            # The split copy has the same triangles in the same order; only its normals differ.
            image = shade(
                self._split,
                large[view],
                raster,
                vertex_colors=vertex_colors,
                face_colors=face_colors,
                smooth=True,
                lights=STUDIO_LIGHTS,
            )
            images.append(image.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3).mean((1, 3)).cpu().numpy())
        return np.stack(images)

    def click_dots(self, cameras: Cameras, clicks: Clicks) -> list[list[tuple[float, float, bool]]]:
        """For each view the clicks visible in it: x, y in pixels, and whether positive."""
        pixels, _ = cameras.project(torch.from_numpy(self.mesh.normalized)[clicks.vertices])
        dots = []
        for view in range(len(cameras)):
            camera = cameras[view]
            seen = visible_vertices(self.mesh, camera, self.rasterizer(camera))[0].cpu()[clicks.vertices]
            dots.append(
                [
                    (*xy, positive)
                    for xy, positive, shown in zip(pixels[view].tolist(), clicks.positive.tolist(), seen.tolist())
                    if shown
                ]
            )
        return dots


def split_at_creases(mesh: Mesh, crease: float = CREASE) -> tuple[Mesh, np.ndarray]:
    """A copy of the mesh for shading whose vertices are doubled along sharp edges, and joined across texture seams.

    The faces keep their order and corners. Vertex normals of the copy are smooth within, and sharp between, the
    surfaces that meet at more than `crease` radians. Returns the copy and the original vertex (V',) of each of its own.
    """
    _, weld = np.unique(mesh.vertices, axis=0, return_inverse=True)
    corner_vertex = weld.ravel()[mesh.faces]
    face = np.repeat(np.arange(mesh.num_faces), 3)
    start, end = corner_vertex.ravel(), np.roll(corner_vertex, -1, axis=1).ravel()
    here = np.arange(3 * mesh.num_faces)  # corner 3 f + k is where side k of face f starts
    there = 3 * face + (here + 1) % 3
    forward = start < end
    low_corner, high_corner = np.where(forward, here, there), np.where(forward, there, here)
    low, high = np.minimum(start, end), np.maximum(start, end)

    order = np.lexsort((high, low))
    first, second = order[:-1], order[1:]
    # Only faces of one winding are joined: of opposite ones the normals would cancel.
    meet = (low[first] == low[second]) & (high[first] == high[second]) & (forward[first] != forward[second])
    first, second = first[meet], second[meet]
    normals = mesh.face_normals
    smooth = np.einsum("ij,ij->i", normals[face[first]], normals[face[second]]) > math.cos(crease)
    first, second = first[smooth], second[smooth]
    joined = np.concatenate(
        [np.stack([low_corner[first], low_corner[second]]), np.stack([high_corner[first], high_corner[second]])], axis=1
    )
    graph = sp.coo_matrix((np.ones(joined.shape[1]), joined), shape=(len(here),) * 2)
    count, group = sp.csgraph.connected_components(graph, directed=False)
    origin = np.zeros(count, dtype=np.int64)
    origin[group] = mesh.faces.ravel()
    return Mesh(mesh.vertices[origin], group.reshape(-1, 3).astype(np.int64)), origin


# --- views --------------------------------------------------------------------------------------


def grid_angles() -> tuple[Tensor, Tensor]:
    """Elevations and azimuths, radians, of the published grid of views, row by row."""
    elevation = [e for e in GRID_ELEVATIONS for _ in GRID_AZIMUTHS]
    azimuth = [a for _ in GRID_ELEVATIONS for a in GRID_AZIMUTHS]
    return torch.tensor(elevation, dtype=torch.float32).deg2rad(), torch.tensor(azimuth, dtype=torch.float32).deg2rad()


def telling_angles(
    rasterizer: Rasterizer, clicks: Clicks, probability: np.ndarray, count: int
) -> tuple[Tensor, Tensor]:
    """Elevations and azimuths (count,), radians, of different views that show the clicks and the selection well.

    Greedy: each view is worth the clicks it sees (most where not seen yet) and how squarely it sees them, the shares of
    the selection and of the rest that it shows, and its distance from the views chosen before.
    """
    elevation, azimuth = torch.meshgrid(
        torch.tensor([-20.0, 10.0, 25.0, 45.0]).deg2rad(), torch.arange(0, 360, 15.0).deg2rad(), indexing="ij"
    )
    elevation, azimuth = elevation.flatten(), azimuth.flatten()
    cameras = orbit_cameras(elevation, azimuth, size=(96, 96))
    mesh = rasterizer.mesh
    raster = rasterizer(cameras)
    seen = visible_vertices(mesh, cameras, raster).cpu()
    outward = torch.nn.functional.normalize(cameras.positions, dim=1)
    normals = torch.from_numpy(mesh.vertex_normals * np.float32(mesh.winding))[clicks.vertices]
    facing = (outward @ normals.T).clamp(0.2, 1) * seen[:, clicks.vertices]  # (views, clicks)
    selected = torch.from_numpy(np.asarray(probability) > 0.5)
    shares = [seen[:, part].float().mean(1) for part in (selected, ~selected) if part.any()]
    size = raster.covered.float().mean((1, 2)).cpu()
    merit = torch.stack(shares).sum(0) + size / size.max() - 0.3 * (elevation - 0.4).abs()

    chosen: list[int] = []
    shown = torch.zeros(len(clicks))
    for _ in range(count):
        near = torch.zeros(len(cameras))
        if chosen:
            near = (outward @ outward[chosen].T).amax(1)
        news = (facing * (1 - 0.6 * shown)).sum(1) / len(clicks)
        together = seen[:, clicks.vertices].all(1).float()
        value = 3 * news + together + merit - 2 * near.clamp_min(0) ** 2 - 10.0 * (near > 0.75)
        chosen.append(int(value.argmax()))
        shown = torch.maximum(shown, facing[chosen[-1]])
    return elevation[chosen], azimuth[chosen]


@dataclass(frozen=True, eq=False)
class Frame:
    """Several views of a mesh, cut to tiles of one size and one scale that hold it, each view centred on its own.

    cameras      B views that look at the origin
    left, top    (B,) pixel of the camera image where each tile begins; tiles may reach beyond the image
    height, width   of the tiles
    """

    cameras: Cameras
    left: list[int]
    top: list[int]
    height: int
    width: int

    @classmethod
    def around(cls, mesh: Mesh, elevation: Tensor, azimuth: Tensor, area: float, margin: float = 1.05) -> Frame:
        """Tiles of about `area` pixels for views at the given angles (B,), radians."""
        points = torch.from_numpy(mesh.normalized[mesh.referenced])
        unit = 0.5 / math.tan(FIELD_OF_VIEW / 2)  # image side at focal length 1
        pixels, _ = orbit_cameras(elevation, azimuth, size=(1, 1)).project(points)
        tangents = (pixels - 0.5) / unit
        low, high = tangents.amin(1), tangents.amax(1)
        extent = (high - low).amax(0)
        extent = margin * extent.clamp_min(0.4 * float(extent.max()))
        focal = math.sqrt(area / float(extent.prod()))
        width, height = (round(focal * float(x)) for x in extent)
        reach = float(tangents.abs().max()) * margin
        side = 2 * math.ceil(focal * reach)
        cameras = orbit_cameras(elevation, azimuth, fov_y=2 * math.atan(0.5 * side / focal), size=(side, side))
        centre = 0.5 * side + focal * (low + high) / 2
        corner = (centre - 0.5 * torch.tensor([width, height])).round().int()
        return cls(cameras, corner[:, 0].tolist(), corner[:, 1].tolist(), height, width)

    def __getitem__(self, views: slice) -> Frame:
        index = torch.arange(len(self.cameras))[views]
        return Frame(self.cameras[index], self.left[views], self.top[views], self.height, self.width)

    def crop(self, images: np.ndarray) -> list[np.ndarray]:
        """The tiles (height, width, 3) of camera images (B, H, W, 3), white beyond their border."""
        tiles = []
        for image, left, top in zip(images, self.left, self.top):
            before = max(0, -left, -top)
            after = max(0, left + self.width - image.shape[1], top + self.height - image.shape[0])
            padded = np.pad(image, ((before, after), (before, after), (0, 0)), constant_values=1.0)
            tiles.append(padded[top + before : top + before + self.height, left + before : left + before + self.width])
        return tiles

    def shift(self, dots: list[list[tuple[float, float, bool]]]) -> list[list[tuple[float, float, bool]]]:
        """Camera image coordinates of dots in the tiles'."""
        return [
            [(x - left, y - top, positive) for x, y, positive in of_view]
            for of_view, left, top in zip(dots, self.left, self.top)
        ]


# --- pictures -----------------------------------------------------------------------------------


def save_render_views(
    path: str | Path,
    rasterizer: Rasterizer,
    probability: np.ndarray,
    clicks: Clicks,
    palette: Palette = Palette(),
    cell: int = 224,
) -> None:
    """Write the published picture of a query: the mesh coloured by probability (V,) in a grid of 30 views.

    Rows are elevations, columns azimuths (`GRID_ELEVATIONS`, `GRID_AZIMUTHS`); clicks are drawn where they are visible.
    """
    painter = MeshPainter(rasterizer)
    frame = Frame.around(rasterizer.mesh, *grid_angles(), area=cell * cell)
    images = frame.crop(painter.images(frame.cameras, probability_colors(probability, palette.base, palette.selected)))
    dots = frame.shift(painter.click_dots(frame.cameras, clicks))
    rows, columns = len(GRID_ELEVATIONS), len(GRID_AZIMUTHS)
    left, top, gap = 40, 74, 14
    step_x, step_y = frame.width + gap, frame.height + gap
    canvas = Canvas(left + columns * step_x, top + rows * step_y)
    canvas.legend(left, 4, clicks, palette, size=17)
    for column, degrees in enumerate(GRID_AZIMUTHS):
        canvas.text(
            left + column * step_x + 0.5 * frame.width, top - 18, f"azimuth {degrees}°", color=QUIET_INK, size=12
        )
    for row, degrees in enumerate(GRID_ELEVATIONS):
        canvas.text(
            0.5 * left,
            top + row * step_y + 0.5 * frame.height,
            f"elevation {degrees}°",
            color=QUIET_INK,
            size=12,
            rotation=90,
        )
        for column in range(columns):
            view = row * columns + column
            canvas.tile(left + column * step_x, top + row * step_y, images[view], dots[view], palette)
    canvas.save(path)


def save_contact_sheet(
    path: str | Path,
    rasterizer: Rasterizer,
    queries: Sequence[QueryPicture],
    title: str = "",
    views: int = 3,
    palette: Palette = Palette(),
    tile_area: int = 440 * 440,
) -> None:
    """Write one picture of several queries of a mesh, `views` well-chosen views each, below or beside each other."""
    if not queries:
        raise ValueError("a contact sheet needs at least one query")
    painter = MeshPainter(rasterizer)
    angles = [telling_angles(rasterizer, query.clicks, query.probability, views) for query in queries]
    # One frame for all rows, so that they can be compared.
    frame = Frame.around(
        rasterizer.mesh, torch.cat([a[0] for a in angles]), torch.cat([a[1] for a in angles]), tile_area
    )
    gap, head, pad = 28, 56, 28
    title_height = 60 if title else 8
    block_width = max(views * frame.width + (views - 1) * gap, MIN_LEGEND)
    block_height = frame.height + head + gap
    columns = _columns(len(queries), block_width + 2 * pad, block_height)
    canvas = Canvas(columns * (block_width + 2 * pad), title_height + -(-len(queries) // columns) * block_height)
    if title:
        canvas.text(pad, 0.5 * title_height + 2, title, size=24, align="left", weight="bold")
    for index, query in enumerate(queries):
        row, column = divmod(index, columns)
        left, top = pad + column * (block_width + 2 * pad), title_height + row * block_height
        if row or title:
            canvas.rule(left, top, left + block_width)
        canvas.legend(left, top + 8, query.clicks, palette, size=18, note=query.note)
        part = frame[index * views : (index + 1) * views]
        images = part.crop(
            painter.images(part.cameras, probability_colors(query.probability, palette.base, palette.selected))
        )
        for place, (image, dots) in enumerate(zip(images, part.shift(painter.click_dots(part.cameras, query.clicks)))):
            canvas.tile(left + place * (frame.width + gap), top + head, image, dots, palette)
    canvas.save(path)


def _columns(count: int, width: int, height: int, aspect: float = 1.5) -> int:
    """How many of `count` blocks go beside each other: a sheet about `aspect` times as wide as high, with few gaps."""

    def flaw(columns: int) -> float:
        rows = -(-count // columns)
        return abs(math.log(columns * width / (rows * height) / aspect)) + 4 * (1 - count / (rows * columns))

    return min(range(1, count + 1), key=flaw)


def save_mask_comparison(
    path: str | Path, images: np.ndarray, masks: Mapping[str, Sequence[Sequence[np.ndarray]]]
) -> None:
    """Write masks side by side: a row an image, the image itself first, then a column per entry of `masks`.

    images  (N, H, W, 3) uint8
    masks   column title -> for each image a sequence of (H, W) bool masks, which may overlap (smaller ones on top)
    """
    images = np.asarray(images)
    count, height, width = images.shape[:3]
    for title, column in masks.items():
        if len(column) != count:
            raise ValueError(f"'{title}' has masks for {len(column)} images, not {count}")
    scale = max(1, round(360 / width))
    height, width = scale * height, scale * width
    gap, head = 12, 40
    titles = ["image", *masks]
    canvas = Canvas(len(titles) * (width + gap) + gap, head + count * (height + gap))
    for column, title in enumerate(titles):
        canvas.text(gap + column * (width + gap) + 0.5 * width, 0.5 * head, title, size=14)
        for row in range(count):
            image = images[row].astype(np.float32) / 255
            if column:
                image = overlay_masks(image, masks[title][row])
            image = image.repeat(scale, axis=0).repeat(scale, axis=1)
            canvas.tile(gap + column * (width + gap), head + row * (height + gap), image)
            if column:
                canvas.text(
                    gap + column * (width + gap) + 8,
                    head + row * (height + gap) + 12,
                    f"{len(masks[title][row])} masks",
                    size=11,
                    align="left",
                    color=QUIET_INK,
                )
    canvas.save(path)


def overlay_masks(image: np.ndarray, masks: Sequence[np.ndarray], opacity: float = 0.6) -> np.ndarray:
    """The image (H, W, 3) in [0, 1] with each mask (H, W) in a colour of its own, large ones first, outlined."""
    result = np.array(image, dtype=np.float32)
    light = image.mean(axis=2, keepdims=True)
    for rank, index in enumerate(sorted(range(len(masks)), key=lambda i: -np.count_nonzero(masks[i]))):
        mask = np.asarray(masks[index], dtype=bool)
        color = _distinct_color(rank)
        result[mask] = ((1 - opacity) * light + opacity * color * (0.4 + 0.6 * light))[mask]
        result[mask & ~_eroded(mask)] = 0.6 * color
    return result


def _distinct_color(rank: int) -> np.ndarray:
    """RGB of the rank-th hue; neighbours are a golden-ratio turn apart."""
    hue = (0.58 + rank * 0.61803398875) % 1.0
    red, green, blue = abs(hue * 6 - 3) - 1, 2 - abs(hue * 6 - 2), 2 - abs(hue * 6 - 4)
    return 0.15 + 0.8 * np.clip([red, green, blue], 0, 1)


def _eroded(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


class Canvas:
    """A white picture in pixel coordinates, origin at the top left, on which tiles, dots and words are put."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = int(width), int(height)
        self._figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self._pixels = np.ones((self.height, self.width, 3), dtype=np.float32)

    def tile(
        self,
        left: float,
        top: float,
        image: np.ndarray,
        dots: Sequence[tuple[float, float, bool]] = (),
        palette: Palette = Palette(),
    ) -> None:
        """Put an image (H, W, 3) in [0, 1] with its click dots."""
        left, top = int(left), int(top)
        self._pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
        for x, y, positive in dots:
            self.dot(
                left + x,
                top + y,
                positive,
                palette,
                radius=max(5.0, 0.016 * math.sqrt(image.shape[0] * image.shape[1])),
            )

    def dot(self, x: float, y: float, positive: bool, palette: Palette, radius: float) -> None:
        """A click: a disc with a plus or a minus, so that it is told apart without colours too."""
        color = palette.positive if positive else palette.negative
        self._axes.add_patch(
            Circle((x, y), radius, facecolor=color, edgecolor="white", linewidth=0.16 * radius, zorder=3)
        )
        arm = 0.5 * radius
        self._axes.plot(
            [x - arm, x + arm], [y, y], color="white", linewidth=0.2 * radius, zorder=4, solid_capstyle="butt"
        )
        if positive:
            self._axes.plot(
                [x, x], [y - arm, y + arm], color="white", linewidth=0.2 * radius, zorder=4, solid_capstyle="butt"
            )

    def legend(self, left: float, top: float, clicks: Clicks, palette: Palette, size: float, note: str = "") -> None:
        """A line with every click as a dot and its vertex id, then the note."""
        x, y, radius = left + 0.6 * size, top + 1.2 * size, 0.6 * size
        shown = list(zip(clicks.vertices.tolist(), clicks.positive.tolist()))
        for vertex, positive in shown[:8]:
            self.dot(x, y, positive, palette, radius)
            x = self.text(x + 1.6 * radius, y, str(vertex), size=size, align="left") + 2.2 * radius
        if len(shown) > 8:
            x = self.text(x, y, f"and {len(shown) - 8} more", size=size, align="left", color=QUIET_INK) + 2 * radius
        if note:
            self.text(x + radius, y, note, size=0.8 * size, align="left", color=QUIET_INK)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float,
        align: str = "center",
        color: str = INK,
        rotation: float = 0,
        weight: str = "normal",
    ) -> float:
        """Words centred vertically at y; `size` is in pixels. Returns where they end."""
        item = self._axes.text(
            x,
            y,
            words,
            fontsize=size * 72 / DPI,
            ha=align,
            va="center",
            color=color,
            rotation=rotation,
            weight=weight,
            zorder=5,
        )
        box = item.get_window_extent(self._figure.canvas.get_renderer())
        return float(box.x1)

    def rule(self, left: float, y: float, right: float) -> None:
        """A thin horizontal line."""
        self._axes.plot([left, right], [y, y], color="#dddddd", linewidth=0.8, zorder=2)

    def save(self, path: str | Path) -> None:
        """Write the picture as PNG."""
        self._axes.imshow(
            self._pixels.clip(0, 1), extent=(0, self.width, self.height, 0), interpolation="nearest", zorder=1
        )
        self._axes.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="auto")
        with atomic_path(path) as temporary:
            self._figure.savefig(temporary, dpi=DPI, format="png")
