"""How long the page takes from a click to the colours on their way back, for meshes of several sizes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from utils.clicks import Clicks
from utils.evaluation.report import markdown
from utils.geometry.mesh import Mesh
from utils.output.export import save_colored_mesh
from utils.segmenter import Segmenter
from utils.viewer.folder import OutputFolder
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.workspace import Models, Settings

HEAD = (
    "vertices",
    "faces",
    "click to colours, median ms",
    "best",
    "in the server",
    "of that the decoder",
    "processor time",
    "decoder's",
    "mesh shown after",
)
WARM_UP = 2  # clicks
SETTLED = 0.2  # seconds after which nothing of a click is left to do


def time_page(
    segmenter_of: Callable[[Mesh], Segmenter], connect: Callable[[int], Any], vertices: Sequence[int], clicks: int
) -> list[dict[str, float]]:
    """Times of `clicks` clicks on tori of about so many vertices; see `page_report`.

    connect: a client of the page at a port of this machine (`tests.viser_client.Tab`). Every click is at a new vertex,
    so no answer is remembered. Processor time is that of server and client together: where other work runs, it says
    what the wall clock would without.
    """
    results = []
    for count in vertices:
        with tempfile.TemporaryDirectory() as folder:
            results.append(_time_mesh(torus(count), segmenter_of, connect, clicks, Path(folder)))
    return results


def torus(vertices: int) -> Mesh:
    """A torus of about so many vertices and twice as many faces."""
    minor = max(8, round((vertices / 3) ** 0.5))
    shape = trimesh.creation.torus(1.0, 0.4, major_sections=round(vertices / minor), minor_sections=minor)
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))


def _time_mesh(
    mesh: Mesh, segmenter_of: Callable[[Mesh], Segmenter], connect: Callable[[int], Any], clicks: int, folder: Path
) -> dict[str, float]:
    save_colored_mesh(folder / "mesh.ply", mesh, np.full((mesh.num_vertices, 3), 0.5))
    models = Models(
        lambda loaded, *_: segmenter_of(loaded), lambda _: (), lambda *_: None, lambda loaded, _: segmenter_of(loaded)
    )
    server = Server(
        Studio(Settings(folder / "mesh.ply", OutputFolder(folder / "out"), mesh_first=False), models), port=0
    )
    tab = connect(server.port)
    first, _ = _milliseconds(lambda: tab.painted(1))
    page = next(iter(server.pages.values()))
    places, normals = page.loaded.mesh.normalized, page.loaded.mesh.vertex_normals * page.loaded.mesh.winding
    outward = np.flatnonzero(places[:, 2] > 0.05)
    total, busy = [], []
    for number, vertex in enumerate(np.random.default_rng(0).choice(outward, WARM_UP + clicks, replace=False)):
        if number:
            tab.set("History", "Reset")
        time.sleep(SETTLED)

        def click(vertex: int = vertex) -> None:
            tab.after(lambda: tab.click(places[vertex] + 0.01 * normals[vertex], -normals[vertex]))

        worked = time.process_time()
        total.append(_milliseconds(click)[0])
        time.sleep(SETTLED)
        busy.append(1000 * (time.process_time() - worked))
    inside = list(page.pointer.milliseconds)
    segmenter = page.loaded.answers.segmenter
    asked = [Clicks.from_lists([int(v)]) for v in np.random.default_rng(1).choice(outward, clicks, replace=False)]
    decoding, decoder_busy = zip(*(_milliseconds(partial(segmenter.probability, query)) for query in asked))
    tab.close()
    server.stop()
    return {
        "vertices": mesh.num_vertices,
        "faces": mesh.num_faces,
        "total": statistics.median(total[WARM_UP:]),
        "best": min(total[WARM_UP:]),
        "inside": statistics.median(inside[WARM_UP:]),
        "decoder": statistics.median(decoding),
        "busy": statistics.median(busy[WARM_UP:]),
        "decoder_busy": statistics.median(decoder_busy),
        "first": first,
    }


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """What it takes on the wall clock and of processor time."""
    started, worked = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - started), 1000 * (time.process_time() - worked)


def page_report(results: Sequence[dict[str, float]]) -> str:
    """Milliseconds, a mesh a line: from sending a click to holding the colours, of that inside the server, and of the
    decoder alone."""
    rows = [
        (*(f"{value:,.0f}" for name, value in found.items() if name != "first"), f"{found['first'] / 1000:.1f} s")
        for found in results
    ]
    return "\n".join(markdown(HEAD, rows))
