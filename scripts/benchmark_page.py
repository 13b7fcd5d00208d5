"""Time of interactive.py from a click to the colours on their way back, for meshes of several sizes.

The client is `tests/viser_client.py`: the page's messages without a browser, over a real connection. The decoder has
random weights, which take the same time as trained ones; every click is at a new vertex, so no answer is remembered.
Processor time is that of server and client together: where other work runs it says what the wall clock would without.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import trimesh

from models.iseg.decoders import build_network
from models.iseg.segmenter import PRECISIONS, DecoderSegmenter
from tests.viser_client import Tab
from utils.clicks import Clicks
from utils.geometry.mesh import Mesh
from utils.options import positive_int
from utils.output.export import save_colored_mesh
from utils.viewer.folder import OutputFolder
from utils.viewer.server import Server
from utils.viewer.studio import Studio
from utils.viewer.workspace import Models, Settings


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--vertices",
        type=positive_int,
        nargs="+",
        default=[1500, 5500, 11000, 25000, 100000],
        help="of the meshes; they have twice as many faces",
    )
    parser.add_argument("--clicks", type=positive_int, default=15, help="on each mesh")
    parser.add_argument("--precision", choices=PRECISIONS, default="exact", help="of the decoder")
    return parser


def torus(vertices: int) -> Mesh:
    """A torus of about so many vertices."""
    minor = max(8, round((vertices / 3) ** 0.5))
    shape = trimesh.creation.torus(1.0, 0.4, major_sections=round(vertices / minor), minor_sections=minor)
    return Mesh(np.asarray(shape.vertices), np.asarray(shape.faces))


def decoder(mesh: Mesh, precision: str) -> DecoderSegmenter:
    """The default decoder with random weights."""
    generator = torch.Generator().manual_seed(0)
    network = build_network("geometric", generator=generator)
    features = torch.tanh(torch.randn(mesh.num_vertices, 256, generator=generator))
    network.decoder.standardize(features)
    return DecoderSegmenter(mesh, network, features, precision)


def nothing(*_: object) -> None:
    """Nothing is refined here."""


def measure(mesh: Mesh, clicks: int, precision: str, folder: Path) -> dict[str, float]:
    """Milliseconds from sending a click to holding the colours, of that inside the server, and of the decoder alone."""
    save_colored_mesh(folder / "mesh.ply", mesh, np.full((mesh.num_vertices, 3), 0.5))
    models = Models(
        lambda loaded, _: decoder(loaded, precision),
        lambda _: (),
        nothing,
        lambda loaded, _: decoder(loaded, precision),
    )
    server = Server(Studio(Settings(folder / "mesh.ply", OutputFolder(folder / "out")), models), port=0)
    tab = Tab(server.port)
    started = time.perf_counter()
    tab.painted(1)
    first = time.perf_counter() - started
    page = next(iter(server.pages.values()))
    places, normals = page.loaded.mesh.normalized, page.loaded.mesh.vertex_normals * page.loaded.mesh.winding
    outward = np.flatnonzero(places[:, 2] > 0.05)
    chosen = np.random.default_rng(0).choice(outward, clicks + 2, replace=False)
    total, busy = [], []
    for number, vertex in enumerate(chosen):
        tab.set("History", "Reset") if number else None
        time.sleep(0.2)
        before, started, worked = tab.paints, time.perf_counter(), time.process_time()
        tab.click(places[vertex] + 0.01 * normals[vertex], -normals[vertex])
        tab.wait(lambda: tab.paints > before)
        total.append(1000 * (time.perf_counter() - started))
        time.sleep(0.2)
        busy.append(1000 * (time.process_time() - worked))
    inside = list(page.milliseconds)
    decoding, decoder_busy = [], []
    for vertex in np.random.default_rng(1).choice(outward, clicks, replace=False):
        started, worked = time.perf_counter(), time.process_time()
        page.loaded.answers.segmenter.probability(Clicks.from_lists([int(vertex)]))
        decoding.append(1000 * (time.perf_counter() - started))
        decoder_busy.append(1000 * (time.process_time() - worked))
    tab.close()
    server.stop()
    return {
        "first": first,
        "total": statistics.median(total[2:]),
        "best": min(total[2:]),
        "inside": statistics.median(inside[2:]),
        "busy": statistics.median(busy[2:]),
        "decoder": statistics.median(decoding),
        "decoder_busy": statistics.median(decoder_busy),
    }


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    logging.getLogger("websockets").setLevel(logging.ERROR)
    print(
        "| vertices | faces | click to colours, median ms | best | in the server | of that the decoder | "
        "processor time | decoder's | mesh shown after |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for count in args.vertices:
        mesh = torus(count)
        with tempfile.TemporaryDirectory() as folder:
            found = measure(mesh, args.clicks, args.precision, Path(folder))
        print(
            f"| {mesh.num_vertices:,} | {mesh.num_faces:,} | {found['total']:.0f} | {found['best']:.0f} | "
            f"{found['inside']:.0f} | {found['decoder']:.0f} | {found['busy']:.0f} | {found['decoder_busy']:.0f} | {found['first']:.1f} s |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
