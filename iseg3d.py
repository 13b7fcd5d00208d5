"""iSeg3D: segments from the first click, without training on the mesh, by an embedding of points that knows primitives.

generate  training clouds of reshuffled primitives (iSeg3D paper, Sec. 3.1): our own, or those of ABC models
train     the embedding, or the heatmap network that it is compared with (Sec. 4.1)
test      answer clicks on any mesh, with the files that decoder.py writes (Sec. 3.2-3.4)
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from models.iseg3d.annotation import AnnotationSettings
from models.iseg3d.clouds import POINTS
from models.iseg3d.scribble import along_surface
from models.iseg3d.segmenter import WEIGHTS, FineTuning, Iseg3dSegmenter
from models.iseg3d.training import KINDS, Training, TrainingSettings, config_for, exported
from utils.clicks import Clicks
from utils.device import choose_device
from utils.errors import UserError, run_cli
from utils.files import load_torch, save_torch
from utils.geometry.mesh import load_mesh
from utils.options import BACKENDS, add_options, flag, positive_int, settings_from
from utils.output.query import QuerySettings
from utils.segmenter import answer_query

SAVE_SECONDS = 60.0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Help)
    parser.add_argument("--mode", choices=("generate", "train", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0, help="of the training; of the points on the mesh")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; auto takes CUDA where there is a GPU")
    _add_training_options(parser)
    group = parser.add_argument_group("test: the mesh")
    group.add_argument("--obj_path", type=Path, metavar="FILE", help="the mesh: OBJ, PLY, OFF, STL or GLB")
    group.add_argument("--weights", type=Path, default=WEIGHTS, help="network that --mode train exported")
    group.add_argument("--points", type=positive_int, default=POINTS, help="sampled on the mesh")
    group.add_argument(
        "--save_dir",
        type=Path,
        help="test: of the answers, default experiments/NAME/iseg3d; "
        "train: of checkpoint and weights, default experiments/iseg3d",
    )
    group.add_argument(
        "--renderer", choices=BACKENDS, default="auto", help="of the pictures; auto: kaolin with CUDA, else embree"
    )
    add_options(parser, QuerySettings)
    _add_annotation_options(parser)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    pass


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("generate and train")
    group.add_argument("--data_dir", type=Path, default=Path("data/iseg3d"), help="of the training clouds")
    group.add_argument("--shapes", type=positive_int, default=40_000, help="clouds to make, or to train on")
    group.add_argument(
        "--abc_dir",
        type=Path,
        help="reshuffle the surfaces of these ABC models (obj/ and feat/) instead of our own primitives",
    )
    group.add_argument("--jobs", type=positive_int, default=1, help="processes that make clouds")
    group.add_argument("--network", choices=KINDS, default="embedding", help="embedding: iSeg3D; heatmap: the baseline")
    group.add_argument("--steps", type=positive_int, default=TrainingSettings.steps)
    group.add_argument("--batch_size", type=positive_int, default=TrainingSettings.batch, help="clouds in a step")
    group.add_argument(
        "--learning_rate",
        type=float,
        default=TrainingSettings.learning_rate,
        help="of Adam at the start; a cosine ends it",
    )
    group.add_argument("--overwrite", type=flag, default=False, metavar="0|1", help="start over instead of resuming")


def _add_annotation_options(parser: argparse.ArgumentParser) -> None:
    printed = AnnotationSettings()
    group = parser.add_argument_group("annotation")
    group.add_argument(
        "--scribble",
        nargs="+",
        type=int,
        default=[],
        metavar="ID",
        help="exclude what lies along a line through these vertices, drawn on the surface: a dense set of negative clicks",
    )
    group.add_argument(
        "--radius", type=float, default=printed.radius, help="of a positive click in the embedding (Eq. 7)"
    )
    group.add_argument("--outlier_removal", type=flag, default=True, metavar="0|1", help="Algorithm 1")
    group.add_argument("--smoothing", type=flag, default=True, metavar="0|1", help="Algorithm 2")
    group.add_argument(
        "--fine_tune",
        type=int,
        default=0,
        metavar="STEPS",
        help="of online fine-tuning by the clicks before answering (Eq. 9)",
    )


def main(argv: list[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    _check(args)
    return {"generate": generate, "train": train, "test": answer}[args.mode](args)


def _check(args: argparse.Namespace) -> None:
    """UserError for options that make no sense."""
    settings_from(args, QuerySettings)
    if not 0 < args.learning_rate < float("inf"):
        raise UserError(f"--learning_rate {args.learning_rate:g} must be above 0")
    if not 0 < args.radius < float("inf"):
        raise UserError(f"--radius {args.radius:g} must be above 0")
    if args.fine_tune < 0:
        raise UserError(f"--fine_tune {args.fine_tune} must be 0 or more steps")
    if args.mode == "test" and args.obj_path is None:
        raise UserError("name the mesh: --obj_path FILE")


# --- training -----------------------------------------------------------------------------------


def generate(args: argparse.Namespace) -> int:
    """Make the training clouds that are not there yet."""
    from models.iseg3d.dataset import write_clouds

    repository = None
    if args.abc_dir is not None:
        from models.iseg3d.abc import read_repository

        models = read_repository(args.abc_dir)
        repository = [patch for model in models for patch in model.patches]
        print(f"generate: {models.summary()}")
        if not repository:
            raise UserError(f"{args.abc_dir} holds no usable ABC model; it needs obj/ and feat/ as downloaded")
    write_clouds(args.data_dir, args.shapes, repository, args.jobs)
    print(f"generate: {args.shapes} clouds in {args.data_dir}")
    return 0


def train(args: argparse.Namespace) -> int:
    """Train a network, or finish an interrupted training; then export its weights."""
    from models.iseg3d.dataset import CloudSet

    folder = args.save_dir or Path("experiments/iseg3d")
    settings = TrainingSettings(
        args.network, args.shapes, args.steps, args.batch_size, args.learning_rate, seed=args.seed
    )
    clouds = CloudSet(args.data_dir, args.shapes, config_for(args.network))
    training = Training(settings, clouds, choose_device(args.device))
    path = folder / f"{args.network}_checkpoint.pth"
    if path.is_file() and not args.overwrite:
        held = load_torch(path, what="checkpoint of iSeg3D")
        if not isinstance(held, dict) or held.get("settings") != settings.to_dict():
            raise UserError(f"{path} was trained with other settings; choose another --save_dir or give --overwrite 1")
        if held.get("clouds") != training.clouds_digest:
            raise UserError(
                f"{path} was trained on other clouds than those in {args.data_dir}; choose another --save_dir or give --overwrite 1"
            )
        training.restore(held)
    with tqdm(total=settings.steps, initial=training.done, desc=args.network, unit="step", disable=None) as bar:
        saved = time.monotonic()

        def after_step() -> None:
            nonlocal saved
            bar.update()
            bar.set_postfix(loss=f"{training.log[-1]['loss']:.3f}", refresh=False)
            if time.monotonic() - saved > SAVE_SECONDS:
                save_torch(path, training.state())
                saved = time.monotonic()

        training.run(after_step)
    save_torch(path, training.state())
    weights = folder / f"{args.network}.pt"
    save_torch(weights, exported(training))
    from utils.output.plots import save_training_plot  # a query needs no matplotlib here

    save_training_plot(weights.with_suffix(".png"), training.log)
    recent = [record["loss"] for record in training.log[-50:]]
    print(f"train: {weights} ({training.done} steps, {training.seconds / 60:.0f} min, loss {np.mean(recent):.4f})")
    return 0


# --- query --------------------------------------------------------------------------------------


def answer(args: argparse.Namespace) -> int:
    """Answer one set of clicks and write what it selects."""
    args.save_dir = args.save_dir or Path("experiments") / args.obj_path.stem / "iseg3d"
    mesh = load_mesh(args.obj_path)
    query = settings_from(args, QuerySettings)
    clicks = query.clicks
    if args.scribble:
        line = along_surface(mesh, args.scribble)
        clicks = Clicks(
            torch.cat([clicks.vertices, line]), torch.cat([clicks.positive, torch.zeros(len(line), dtype=torch.bool)])
        )
    clicks = clicks.validate(mesh.num_vertices)
    query = replace(
        query,
        select_vertices=(),
        positive_vertices=tuple(clicks.positives.tolist()),
        negative_vertices=tuple(clicks.negatives.tolist()),
    )
    settings = AnnotationSettings(
        args.radius,
        degree=AnnotationSettings.degree if args.outlier_removal else 0,
        smooth_rounds=AnnotationSettings.smooth_rounds if args.smoothing else 0,
    )
    started = time.perf_counter()
    segmenter = Iseg3dSegmenter(mesh, args.weights, choose_device(args.device), args.points, args.seed, settings)
    ready = time.perf_counter()
    tuned = args.fine_tune > 0 and segmenter.fine_tune(clicks, settings=FineTuning(steps=args.fine_tune))
    asked = time.perf_counter()
    if args.fine_tune:
        print(
            f"fine-tuned in {asked - ready:.1f} s"
            if tuned
            else "not fine-tuned: no negative click, or all of them are far enough from the positive ones already",
            file=sys.stderr,
        )
    answer_query(segmenter, query, args.save_dir, ready - started, args.renderer)
    return 0


if __name__ == "__main__":
    run_cli(main)
