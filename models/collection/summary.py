"""A page about a finished run: what failed and why, time and memory, and pictures of a sample and of the worst."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.collection.manifest import fetched
from models.collection.rows import MEASURED, Shards
from utils.files import atomic_path
from utils.geometry.mesh import load_mesh
from utils.progress import Progress, silent, track

PAGE, PICTURES = "summary.html", "pictures"
REASONS = 20  # that are listed
QUANTILES = (0.5, 0.9, 0.99, 1.0)
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;border-bottom:1px solid #ddd}
figure{margin:1.2em 0}img{max-width:100%}figcaption{color:#555}"""


@dataclass
class Totals:
    """What is known of all rows without their labels.

    reasons   of failures, where numbers and quoted names are left out, and an example of each
    measured  (N,) of each of `MEASURED`; scored: mean quality and place of the rows that have an answer
    """

    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    measured: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURED})
    scored: list[tuple[float, int]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Totals:
        totals = cls()
        for place, row in enumerate(Shards().read(folder, ["id", "path", "error", "quality", *MEASURED])):
            totals.rows += 1
            for name in MEASURED:
                if row[name] is not None:
                    totals.measured[name].append(row[name])
            if row["error"] is None:
                totals.scored.append((float(np.mean(row["quality"])) if row["quality"] else np.inf, place))
            else:
                reason = row["error"].replace(row["path"], "the mesh")
                totals.reasons[reason] += 1
                totals.examples.setdefault(reason, row["id"])
        return totals

    @property
    def failed(self) -> int:
        return self.reasons.total()

    def worst(self, count: int) -> list[int]:
        """Rows of the lowest quality, the worst first."""
        return [place for quality, place in sorted(self.scored)[:count] if np.isfinite(quality)]

    def sample(self, count: int) -> list[int]:
        """Rows that have an answer, evenly spread."""
        places = np.linspace(0, len(self.scored) - 1, min(count, len(self.scored))).astype(int)
        return [self.scored[place][1] for place in places.tolist()]


def write_summary(folder: Path, work: str, pictures: int, on_progress: Progress = silent) -> Path:
    """Write the page of a folder in which all rows are there; pictures: of each kind, none of work without labels."""
    totals = Totals.of(folder)
    count = pictures if work != "ready" else 0
    chosen = {"A sample": totals.sample(count), "The lowest quality": totals.worst(count)}
    wanted = {place for places in chosen.values() for place in places}
    shown: dict[int, str] = {}
    rows = (pair for pair in enumerate(Shards().read(folder)) if pair[0] in wanted) if wanted else iter(())
    for place, row in track(rows, "pictures", on_progress, len(wanted), "picture"):
        shown[place] = _figure(folder, place, row)
    parts = [f"<h1>{totals.rows:,} meshes</h1>", _table(totals), _failures(totals)]
    for title, places in chosen.items():
        parts += [f"<h2>{title}</h2>", *(shown[place] for place in places)] if places else []
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Collection</title><style>{STYLE}</style>'
    with atomic_path(folder / PAGE) as temporary:
        temporary.write_text(page + "\n".join(parts) + "\n")
    return folder / PAGE


def _table(totals: Totals) -> str:
    heads = "".join(f"<th>{_share(quantile)}</th>" for quantile in QUANTILES)
    lines = [f"<p>{totals.rows - totals.failed:,} with an answer, {totals.failed:,} without.</p><table><tr><th></th>"]
    lines.append(f"{heads}<th>together</th></tr>")
    for name, title in (("seconds", "seconds"), ("cpu_seconds", "processor seconds"), ("memory_mib", "memory, MiB")):
        values = totals.measured[name]
        cells = "".join(f"<td>{value:,.1f}</td>" for value in np.quantile(values, QUANTILES)) if values else ""
        whole = f"{sum(values) / 3600:,.2f} hours" if values and name != "memory_mib" else ""
        lines.append(f"<tr><td>{title}</td>{cells}<td>{whole}</td></tr>")
    return "".join(lines) + "</table>"


def _share(quantile: float) -> str:
    return {0.5: "median", 1.0: "most"}.get(quantile, f"{100 * quantile:g} %")


def _failures(totals: Totals) -> str:
    if not totals.failed:
        return ""
    lines = [
        f"<tr><td>{number:,}</td><td>{html.escape(reason)}</td><td>{html.escape(totals.examples[reason])}</td></tr>"
        for reason, number in totals.reasons.most_common(REASONS)
    ]
    return "<h2>Without an answer</h2><table><tr><th>meshes</th><th>reason</th><th>such as</th></tr>" + "".join(
        [*lines, "</table>"]
    )


def _figure(folder: Path, place: int, row: dict[str, Any]) -> str:
    """A picture of a row with its words; where it cannot be drawn, why."""
    path = folder / PICTURES / f"{place:08d}.png"
    quality = f", quality {np.mean(row['quality']):.2f}" if row["quality"] else ""
    words = f"{row['id']}: {row['faces']:,} faces, {row['seconds']:.1f} s{quality}"
    try:
        with fetched(row["path"]) as local:
            _draw(path, local, row["labels"])
    except Exception as error:  # the mesh may be gone by now: the rows are there nevertheless
        words += f" (not drawn: {' '.join(str(error).split())[:200]})"
        return f"<figure><figcaption>{html.escape(words)}</figcaption></figure>"
    source = f"{PICTURES}/{path.name}"
    return f'<figure><img src="{source}" loading="lazy"><figcaption>{html.escape(words)}</figcaption></figure>'


def _draw(path: Path, mesh_path: Path, labels: Sequence[int]) -> None:
    """Labels of polygons, from 1, or of vertices, 0 or 1."""
    from utils.output.colors import BASE_COLOR
    from utils.output.figures import save_parts_picture  # a run without pictures needs no matplotlib
    from utils.output.partition import part_color
    from utils.rendering.rasterize import Rasterizer

    mesh, found = load_mesh(mesh_path), np.asarray(labels, dtype=np.int64)
    if len(found) == mesh.num_polygons and found.min() > 0:
        on_faces = found[mesh.face_polygon]
        names = [f"part {number}" for number in range(1, int(found.max()) + 1)]
    else:
        on_faces = (found[mesh.faces].mean(axis=1) > 0.5).astype(np.int64)
        names = ["selected"]
    colors = np.array([BASE_COLOR, *(part_color(place) for place in range(len(names)))], dtype=np.float32)
    save_parts_picture(path, Rasterizer(mesh, "embree"), colors[on_faces], colors[1:], names)
