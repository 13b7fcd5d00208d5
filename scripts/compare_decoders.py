"""Which decoder and which loss select human parts better after the same training time.

For every labelled mesh, the feature field and the click supervision are made once (or taken from --work_dir), and each
combination of architecture and loss trains on them for the same processor time, preparation included. A simulated
annotator then clicks every part (docs/benchmark.md). Finished trainings are kept, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from models.presets import Run
from tqdm import tqdm

import data_generation
import decoder
import encoder
from models.iseg.checkpoint import load_features
from models.iseg.decoders import ARCHITECTURES, build_network
from models.iseg.segmenter import DecoderSegmenter
from models.iseg.training import DecoderTraining, LiftedSettings, RenderedSettings, choose_samples
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.evaluation.annotator import OnFaces, run_part
from utils.evaluation.psb import UnusableShape, benchmark_ids, load_shape, parts_of
from utils.files import load_json, save_json
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import positive_int
from utils.rendering.rasterize import Rasterizer
from utils.shapes.samples import load_sample
from utils.supervision.store import SupervisionSet

COUNTS = (1, 2, 3, 5)
PROBE_STEPS = 8


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--meshes",
        type=Path,
        nargs="*",
        default=[],
        metavar="OBJ",
        help="with .seg and .json beside them, as in meshes/",
    )
    parser.add_argument("--psb_dir", type=Path, help="the Princeton benchmark, for --ids")
    parser.add_argument("--ids", type=int, nargs="*", default=[], help="shapes of --psb_dir")
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor time for each training")
    parser.add_argument("--work_dir", type=Path, required=True, help="fields, clicks and finished trainings; kept")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=positive_int, default=1, help="processor time counts all threads")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    shapes = [(path.stem, path, *_labelled_sample(path)) for path in args.meshes]
    if args.ids and args.psb_dir is None:
        raise UserError("--ids needs --psb_dir, the folder of the Princeton benchmark")
    categories = benchmark_ids(args.psb_dir) if args.ids else {}
    for shape_id in args.ids:
        try:
            shape = load_shape(args.psb_dir, shape_id, categories.get(shape_id, "all"))
        except UnusableShape as reason:
            raise UserError(f"shape {shape_id} of {args.psb_dir} cannot be used: {reason}") from reason
        shapes.append((str(shape_id), args.psb_dir / "off" / f"{shape_id}.off", shape.mesh, shape.reference()))
    if not shapes:
        raise UserError("no labelled mesh; give --meshes, or --psb_dir with --ids")
    results: dict[str, dict] = {}
    for name, path, mesh, labels in tqdm(shapes, desc="meshes", unit="mesh", disable=None):
        run = Run(path, args.work_dir / name, name, device=args.device, seed=args.seed)
        encoder.main(run.encoder_arguments())
        data_generation.main(run.click_arguments())
        for architecture, loss in product(ARCHITECTURES, ("lifted", "rendered")):
            kept = (
                args.work_dir
                / name
                / f"{architecture}_{loss}_{args.seconds:g}s_{args.threads}threads_seed{args.seed}.json"
            )
            if not kept.is_file():
                segmenter, steps = train(run, mesh, architecture, loss, args)
                save_json(kept, {"steps": steps, "iou": measure(segmenter, mesh, labels)})
            results.setdefault(f"{architecture}, {loss}", {})[name] = load_json(kept, "finished training")
            print(name, architecture, loss, _row(results[f"{architecture}, {loss}"][name]["iou"]), flush=True)
    save_json(args.out, {"seconds": args.seconds, "threads": args.threads, "seed": args.seed, "results": results})
    print(table(results))
    return 0


def _labelled_sample(path: Path) -> tuple[Mesh, np.ndarray]:
    return load_mesh(path), load_sample(path).part


def train(run: Run, mesh: Mesh, architecture: str, loss: str, args: argparse.Namespace) -> tuple[DecoderSegmenter, int]:
    """Train for `args.seconds` of processor time, all threads counted; returns what answers clicks, and the number of steps."""
    device = choose_device(args.device)
    field, _ = load_features(run.features, mesh)
    samples = SupervisionSet.open(run.clicks, mesh, ("single", "positive", "negative"))
    chosen = choose_samples(samples, 100, 1.0, torch.Generator().manual_seed(args.seed))
    rasterizer = Rasterizer(mesh, "auto", device)

    def attempt(settings, after_step) -> DecoderTraining:
        generator = torch.Generator().manual_seed(args.seed)
        network = build_network(architecture, generator=generator)
        if network.uses_geometry:
            network.decoder.standardize(field)
        training = DecoderTraining(
            network.to(device), torch.optim.Adam(network.parameters(), lr=settings.learning_rate), generator
        )
        with contextlib.suppress(_TimeIsOver):
            decoder.run_training(
                training,
                field.to(device),
                mesh,
                samples,
                chosen,
                rasterizer,
                settings,
                None,
                lambda: after_step(training),
            )
        return training

    if loss == "rendered":
        deadline = time.process_time() + args.seconds
        training = attempt(RenderedSettings(num_epochs=10**6), lambda _: _stop_after(deadline))
    else:  # its rate falls along a cosine, so the number of steps has to be known beforehand
        started, marks = time.process_time(), []
        attempt(LiftedSettings(steps=PROBE_STEPS), lambda _: marks.append(time.process_time()))
        step = float(np.median(np.diff(marks)))
        left = args.seconds - (marks[0] - step - started)
        training = attempt(LiftedSettings(steps=max(1, int(left / step))), lambda _: None)
    return DecoderSegmenter(mesh, training.network, field, "float32"), len(training.losses)


class _TimeIsOver(Exception):
    """Ends a training that has no end of its own."""


def _stop_after(deadline: float) -> None:
    if time.process_time() > deadline:
        raise _TimeIsOver


def measure(segmenter: DecoderSegmenter, mesh: Mesh, labels: np.ndarray) -> list[list[float]]:
    """IoU after each of five clicks, for every part."""
    graph, areas = FaceGraph(mesh), mesh.face_areas
    prepared = OnFaces(mesh, lambda clicks: segmenter.probability(clicks))
    return [
        run_part(prepared, graph, areas, part, max(COUNTS), max(COUNTS), 0.9).iou for part in parts_of(labels, areas)
    ]


def _row(curves: list[list[float]]) -> str:
    return " ".join(f"{np.mean([curve[k - 1] for curve in curves]):.3f}" for k in COUNTS)


def table(results: dict[str, dict]) -> str:
    """Markdown: means over all parts of all meshes."""
    lines = [
        "| decoder, loss | steps (median) | " + " | ".join(f"IoU@{k}" for k in COUNTS) + " |",
        "|---" * (2 + len(COUNTS)) + "|",
    ]
    for name, runs in results.items():
        curves = [curve for run in runs.values() for curve in run["iou"]]
        means = " | ".join(f"{np.mean([curve[k - 1] for curve in curves]):.3f}" for k in COUNTS)
        lines.append(f"| {name} | {int(np.median([run['steps'] for run in runs.values()]))} | {means} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_cli(main)
